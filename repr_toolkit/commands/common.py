"""What several commands share: what they tell, and the pictures they are given."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import Namespace
from torch import Tensor

from repr_toolkit.commands.options import SOURCE_OPTIONS, Settings
from repr_toolkit.commands.settings import data_settings
from repr_toolkit.config.yaml_text import parse_yaml
from repr_toolkit.data.picture_files import Mode, read_image
from repr_toolkit.faces.encode import encode_photographs, facenet_of, knows_faces
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.runs.run import Run
from repr_toolkit.sampling.draw import draws_that_differ
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.console import say


def originals_of(
    run: Run, model: EncoderDecoder, options: Namespace
) -> tuple[dict[str, Tensor], list[str]]:
    """The pictures that are named, or so many images of the split, as a batch; and their names.

    Raises ValueError for pictures where the encoder reads something else.
    """
    if not options.pictures:
        held_out = run.load_data().split(options.split)
        chosen = choose_evenly(len(held_out), options.images)
        return held_out[chosen], [f"{options.split} {index}" for index in chosen]
    if model.encoder is not None and model.encoder.source != "image":
        raise ValueError(f"the encoder of {run.path} reads {model.encoder.source!r}, not pictures")
    names = [Path(picture).name for picture in options.pictures]
    return {"image": pictures_for(run, model, options.pictures)}, names


def numbered(*names: str, draws: int) -> list[str]:
    """The names of columns, and the numbers of draws after them."""
    return [*names, *(str(number) for number in range(1, draws + 1))]


def pictures_for(run: Run, model: EncoderDecoder, paths: Sequence[str]) -> Tensor:
    """Image files as a run's model takes them (see `read_pictures`).

    Says so where they are made two levels in another way than the run's own images.
    """
    if run.config["data"].get("binarise") in ("fixed", "dynamic"):
        say("the pictures are cut at half, where the run's images were sampled in two levels")
    shape, levels = model.decoder.image_shape, model.decoder.levels
    return read_pictures(paths, shape, levels, run.config["data"].get("mode"))


def read_pictures(
    paths: Sequence[str],
    image_shape: tuple[int, int, int],
    levels: int,
    mode: Mode | None = None,
) -> Tensor:
    """Image files as uint8 (N, C, H, W) with values 0…levels−1, converted to `mode` if given.

    For a square image_shape (C, H, W) each picture's middle square is scaled to it. Raises
    ValueError, naming the file, for a damaged picture or one of another shape, FileNotFoundError
    for one that is not there.
    """
    _, height, width = image_shape
    pictures = []
    for path in paths:
        try:
            picture = read_image(Path(path), height if height == width else None, mode)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"there is no picture {path}") from error
        if picture.shape != image_shape:
            raise ValueError(
                f"{path} has the shape {picture.shape} (channels, height, width), but the model "
                f"takes {image_shape}; convert it first"
            )
        pictures.append(picture.astype(np.uint16) * levels // 256)
    return torch.from_numpy(np.stack(pictures).astype(np.uint8))


def encode_pictures(
    run: Run, model: EncoderDecoder, files: Sequence[str], weights: str | None, *, instead: str
) -> tuple[Tensor, Tensor]:
    """Picture files at the size of a run's model, uint8 (N, C, H, W), and their code (N, d).

    Of an encoder of faces they are the faces in photographs, embedded by the FaceNet of
    `weights` (see `facenet_of`). Raises ValueError for an encoder that reads no pictures, saying
    what to do `instead`, and for a model without code; and what `encode_photographs` and
    `pictures_for` raise.
    """
    model = model.coded
    if model.encoder is None:
        raise ValueError("the model has no encoder, and so no h of a picture")
    if knows_faces(model):
        return encode_photographs(model, files, facenet_of(model, weights))
    if model.encoder.source != "image":
        raise ValueError(
            f"the model's encoder reads {model.encoder.source!r}, not pictures; {instead}"
        )
    images = pictures_for(run, model, files)
    h = encode_batch(model, {"image": images})
    return images, h


def numbers_of(pictures: Sequence[str]) -> list[int]:
    """The numbers of images of a split that stand in place of picture files; [] for files.

    Raises ValueError for some of either.
    """
    numbered = [name for name in pictures if name.isdecimal() and not Path(name).exists()]
    if numbered and len(numbered) < len(pictures):
        raise ValueError(
            f"give picture files or numbers of images, not both: there is no file {numbered[0]}"
        )
    return [int(name) for name in numbered]


def draws_of(model: EncoderDecoder, n: int, options: Namespace) -> int:
    """How many of n draws from one code to make: those that differ, and a word on the others."""
    count = draws_that_differ(model.coded.decoder, n, options.temperature)
    if count < n:
        say("one h has one picture here, whatever the noise: it is drawn once")
    return count


def represent_options(options: Namespace, settings: Settings) -> dict[str, Any]:
    """The arguments of `repr_toolkit.representations.represent` from the options of `add_source`.

    The settings data.… become its `data_settings`. Raises ValueError for --init-args that are no
    mapping, an --image-size that is none, and as `data_settings` does.
    """
    init_args = parse_yaml(options.init_args) if options.init_args else {}
    if not isinstance(init_args, dict):
        raise ValueError(f"--init-args is a mapping of names to values, not {options.init_args!r}")
    names = [option.removeprefix("--").replace("-", "_") for option in SOURCE_OPTIONS]
    given = {name: options[name] for name in names}
    if given["image_size"] is not None:
        given["image_size"] = _image_size(given["image_size"])
    return {**given, "init_args": init_args, "data_settings": data_settings(settings)}


def _image_size(text: str) -> tuple[int, int]:
    """Height and width of `224` or `224x160`; ValueError for another text."""
    sides = re.fullmatch(r"([1-9]\d*)(?:[x×,]([1-9]\d*))?", text.strip())
    if sides is None:
        raise ValueError(f"--image-size is one side or HEIGHTxWIDTH, not {text!r}")
    return int(sides[1]), int(sides[2] or sides[1])
