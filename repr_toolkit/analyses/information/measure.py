"""What one trained run's own decoder says of its h: controls, lower bounds, maps."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.classification.bayes import classify
from repr_toolkit.analyses.information.bounds import (
    Bound,
    candidate_bound,
    label_bound,
    most_candidates,
)
from repr_toolkit.analyses.information.code_lengths import (
    CodeLengths,
    Reading,
    code_lengths,
    cumulative,
)
from repr_toolkit.analyses.information.controls import (
    coordinate_bits,
    hides_parts,
    masked_tables,
    sensitivity,
)
from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.config.recipe import differences
from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.models.encode import effective_dimension, encode_split
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run, load_with_decoder, require_same_data
from repr_toolkit.support.choose import choose_evenly, other_h
from repr_toolkit.support.stats import mean

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder

SHOWN = 6  # images whose own maps are kept
COORDINATES = 32  # of h up to which its coordinates are resampled, above it principal directions
CLASSES = 100  # above which labels are not compared


def measure(
    run: Run,
    split: str = "test",
    *,
    without: str | Path | None = None,
    along: str | None = None,
    parts: int = 32,
    part_images: int = 128,
    candidates: int = 16,
    bound_images: int = 512,
    seed: int = 0,
    batch_size: int = 256,
    progress: bool = False,
) -> Result:
    """Code a split of a run's data by its decoder given own h, and given less; see `blocks.KINDS`.

    Every difference is in bits an image, paired, positive where own h saves bits. `without` is a
    run whose decoder was trained on the same images without this h: what own h saves to it is
    usable information, if their decoders and budgets are alike. `along` resamples "coordinates"
    of h or "principal" directions (default: coordinates of at most 32), the first `parts` of
    them on `part_images` images. The lower bound takes `candidates` (see `candidate_bound`).

    `pictured` has the bits of every image, float64 (N,), `bits_own` and `bits_K` for each kind K of
    `KINDS` that was measured. "shuffled" is not where all h are equal, and where `other_h` gives
    not every image another h it is counted over those that it does. Where the decoder has a
    likelihood of sub-pixels there are `saved_K` float32 (C, H, W), the mean bits that own h saves
    at each of them to that kind, `error_K`, its standard error, and `shown_K` (s, C, H, W), those
    of the images `image` uint8 (s, C, H, W) of `levels` levels.

    Raises ValueError for a run without encoder or decoder, for a split that its data lack, and for
    a `without` on other images.
    """
    model = load_with_decoder(run)
    if model.encoder is None:
        raise ValueError(f"{run.path} has no encoder: there is no h whose bits could be counted")
    null_run = null = None
    if without is not None:
        null_run = Run(without)
        null = load_with_decoder(null_run)
        require_same_data({str(run.path): run, str(without): null_run})
    data = run.load_data()
    images = data.split(split)
    how: dict[str, Any] = {"batch_size": batch_size, "progress": progress}
    h = encode_split(model, images, **how)
    others, differ = other_h(h, seed)
    counted = differ.numpy()
    every = np.ones_like(counted)
    readings = {"own": Reading(model, h)}
    if counted.sum() > 1:
        readings["shuffled"] = Reading(model, h[others])
    readings["mean_h"] = Reading(model, h.double().mean(0).to(h.dtype).expand_as(h))
    if hides_parts(model):
        nothing = torch.zeros(h.shape[1] // 2, dtype=torch.bool)
        [hidden] = masked_tables(model, images, range(len(images)), [nothing])
        readings["hidden"] = Reading(model, hidden)
    if null is not None:
        null_h = None if null.encoder is None else encode_split(null, images, **how)
        readings["without"] = Reading(null, null_h)
    shown = choose_evenly(len(images), SHOWN)
    coded = code_lengths([*readings.values()], images, shown=shown, **how)
    kinds = [*readings][1:]
    if "shuffled" in kinds and coded.maps is not None:
        for means in (coded.maps.mean, coded.maps.error):
            means[1 + kinds.index("shuffled")] /= counted.mean()
    along = along or ("coordinates" if h.shape[1] <= COORDINATES else "principal")
    sensitive = sensitivity(
        model, images, h, along=along, parts=parts, images=part_images, seed=seed, **how
    )
    count = most_candidates(images, candidates)
    bound = None
    if count > 1:
        bound = candidate_bound(
            model, images, h, candidates=count, images=bound_images, seed=seed, **how
        )
    of_labels = _of_labels(model, data, split, how)
    dims = int(np.prod(data.image_shape))
    asked = {
        "split": split,
        "without": null_run and null_run.weights_digest,
        "along": along,
        "parts": parts,
        "part_images": part_images,
        "candidates": candidates,
        "bound_images": bound_images,
        "seed": seed,
    }
    numbers: dict[str, Any] = {
        "run": str(run.path),
        "data": data.name,
        "levels": data.levels,
        "split": split,
        "seed": seed,
        "images": len(images),
        "dims": dims,
        "h_dim": h.shape[1],
        "effective_dimension": effective_dimension(h),
        "likelihood": model.decoder.likelihood_label,
        "bits_per_dim": mean(coded.bits[0] / dims, images.groups()),
        "bits": float(coded.bits[0].mean()),
        "without_run": None if without is None else str(without),
        "without_unlike": [] if null_run is None else _unlike(run, null_run),
        "saves": {
            kind: _saves(coded, number, images, counted if kind == "shuffled" else every)
            for number, kind in enumerate(kinds, 1)
        },
        "lower_bound": bound,
        "label_lower_bound": of_labels,
        "sensitivity": {
            "along": along,
            "images": min(part_images, len(images)),
            "parts": sensitive,
        },
        "masked": coordinate_bits([model], images, images=part_images, **how)
        if hides_parts(model)
        else None,
    }
    return Result(asked, numbers, _arrays(coded, kinds, images[shown]["image"], data))


def _unlike(run: Run, null: Run) -> list[str]:
    """The settings, but for the encoder, that a run and its null do not share."""
    settings = differences(run.config, null.config)
    return [key for key in settings if key.split(".")[:2] != ["model", "encoder"]]


def _saves(
    coded: CodeLengths, number: int, images: ImageSplit, counted: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Bits that own h saves to a reading on the images that are `counted`, (N,), and by position.

    With the share of these images on which it saves any.
    """
    saved = -coded.saved(number)[counted]
    groups = images.groups(np.flatnonzero(counted))
    numbers = {**Usable(saved, groups).as_dict(), "share_of_images": float((saved > 0).mean())}
    if coded.maps is not None:
        numbers["cumulative"] = cumulative(-coded.maps.mean[number], coded.order).tolist()
    return numbers


def _arrays(coded: CodeLengths, kinds: list[str], image: Tensor, data: ImageData) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        f"bits_{kind}": bits for kind, bits in zip(("own", *kinds), coded.bits, strict=True)
    }
    if coded.maps is None:
        return arrays
    arrays |= {"image": image.numpy(), "levels": np.array(data.levels)}
    for number, kind in enumerate(kinds, 1):
        arrays[f"saved_{kind}"] = -coded.maps.mean[number].astype(np.float32)
        arrays[f"error_{kind}"] = coded.maps.error[number].astype(np.float32)
        arrays[f"shown_{kind}"] = -coded.maps.shown[number]
    return arrays


def _of_labels(
    model: "EncoderDecoder", data: ImageData, split: str, how: dict[str, Any]
) -> Bound | None:
    """The lower bound over all labels, for an encoder that reads them."""
    if model.encoder is None or model.encoder.source != "label":
        return None
    if len(np.unique(data.splits["train"].column("label").numpy())) > CLASSES:
        return None
    return label_bound(classify(model, data, split, **how))
