"""Frozen representations as data files, and the study that trains one fresh decoder on each."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from repr_toolkit.config.recipe import Config
from repr_toolkit.data import ImageData
from repr_toolkit.data.augment import Augmentation
from repr_toolkit.data.images import SPLITS
from repr_toolkit.data.npz import load_npz
from repr_toolkit.representations import Representation, write_embedding
from repr_toolkit.runs.places import FROZEN
from repr_toolkit.support.speech import either

NULL = "without"
"""The start of the names of variants whose decoder is given h = 0 for every image."""
MASKED = "_masked"
"""The end of a variant's name whose decoder is trained with random coordinates of h hidden."""
CLASSES = "repr_toolkit.encoders"
VALIDATIONS, LEAST_VALIDATIONS = 8, 4


def standardised(h: Representation) -> Representation:
    """Every number of h shifted and scaled to mean 0 and standard deviation 1 on training images.

    One that is constant there becomes 0.
    """
    train = h.h["train"].astype(np.float64)
    mean, deviation = train.mean(0), train.std(0)
    # What is left of a constant by rounding must not be blown up to one.
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-30)
    scale = np.where(constant, 0, 1 / np.where(constant, 1, deviation))
    values = {
        split: ((numbers - mean) * scale).astype(np.float32) for split, numbers in h.h.items()
    }
    return replace(h, made_by=f"{h.made_by}, standardised", h=values)


def store(h: Representation, data: ImageData, folder: Path) -> None:
    """Write `data` with h as their `embedding` to `folder`/NAME.npz, as `embed` does.

    A file that is there is kept if it holds the same. Raises ValueError if it holds something else,
    or h is of other images.
    """
    h.require(data)
    file = folder / f"{h.name}.npz"
    if file.exists():
        _require_same(h, load_npz(file), file)
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_embedding(file, h, data, overwrite=True)  # which processes at once may do, all the same


def _require_same(h: Representation, stored: ImageData, file: Path) -> None:
    same = stored.encoder == h.made_by and stored.levels == h.levels
    for split in SPLITS:
        embedding = stored.splits[split].column("embedding").numpy()
        same = same and np.array_equal(embedding, h.h[split])
    if not same:
        raise ValueError(
            f"{file} holds another h than {h.name} is now ({stored.encoder} there, {h.made_by} "
            f"now); choose another {either('--name', 'study_dir')}, or name the source anew"
            + either(", as in OTHER=SOURCE", "")
        )


def folder_name(name: str) -> str:
    """A representation's name as that of a variant, which is a folder's."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip("_.-") or "h"
    return f"{plain}_h" if plain == FROZEN or plain.startswith(NULL) else plain


def null_name(dim: int) -> str:
    """The name of the variant that is given `dim` zeros."""
    return f"{NULL}_m{dim}"


def variant_name(name: str, seed: int, config: Mapping[str, Any]) -> str:
    """The folder of a training: with the seed, unless it is the recipe's own."""
    return name if seed == config["seed"] else f"{name}_seed{seed}"


def study_of(
    config: Mapping[str, Any],
    sources: Sequence[Representation],
    folder: Path,
    seeds: Sequence[int],
    masked: Collection[str],
) -> Config:
    """A recipe whose encoder is replaced by each representation stored in a folder, and by nothing.

    Nothing is h = 0 of the dimension of each source, so that a decoder and its null start from the
    same weights. All variants of a seed see the same images in the same order, for the same steps,
    validated often enough for a learning curve (`validate_every`), and all see the images that h is
    of: none is mirrored or moved, and pixels are sampled in two levels once. `masked` names the
    sources that get a decoder with coordinates hidden. Raises ValueError for a recipe without
    decoder.
    """
    if config["model"]["decoder"] is None:
        raise ValueError(
            "this recipe trains an encoder alone: bits are a decoder's, so give a recipe with a "
            "model.decoder"
        )
    study: dict[str, Any] = {}
    every = {
        "training.validate_every": validate_every(config["training"]),
        **{f"data.{key}": value for key, value in asdict(Augmentation()).items()},
    }
    if config["data"]["binarise"] == "dynamic":
        every["data.binarise"] = "fixed"
    for seed in seeds:
        settings: dict[str, Any] = {"seed": seed, **every}
        for dim in sorted({h.dim for h in sources}):
            encoder = {"class_path": f"{CLASSES}.Constant", "init_args": {"h_dim": dim}}
            study[variant_name(null_name(dim), seed, config)] = {
                **settings,
                "model.encoder": encoder,
            }
        for h in sources:
            # By the file's name, so that the folder of a study may be moved.
            data: dict[str, Any] = {"source": f"{h.name}.npz", "root": str(folder.resolve())}
            data |= {"levels": None, "size": None, "fold": None, "inner": None, "download": False}
            of_data = {**settings, **{f"data.{key}": value for key, value in data.items()}}
            arguments = {"h_dim": h.dim, "source": "embedding", "made_by": h.made_by}
            kinds = {"Precomputed": h.name}
            if h.name in masked:
                kinds["MaskedCoordinates"] = h.name + MASKED
            for kind, name in kinds.items():
                encoder = {"class_path": f"{CLASSES}.{kind}", "init_args": arguments}
                study[variant_name(name, seed, config)] = {**of_data, "model.encoder": encoder}
    return {**config, "study": study}


def validate_every(training: Mapping[str, Any]) -> int:
    """The steps between validations, each of which is a point of the learning curve.

    The recipe's own where that makes four or more; else what makes 8, or else 4 to 16, of them;
    else the recipe's own.

    >>> validate_every({"steps": 800, "validate_every": 400})
    100
    """
    steps, own = training["steps"], int(training["validate_every"])
    if steps // own >= LEAST_VALIDATIONS:
        return own
    counts = (VALIDATIONS, *range(LEAST_VALIDATIONS, 2 * VALIDATIONS + 1))
    return next((steps // count for count in counts if steps % count == 0), own)
