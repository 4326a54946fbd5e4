"""What one trained run's own decoder says of its h: controls, lower bounds, maps."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.analyses.classification.bayes import classify
from repr_toolkit.analyses.information.bounds import candidate_bound, label_bound
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
    mean_of,
    sensitivity,
)
from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.data import ImageData
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.kept import save_analysis
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.support.choose import choose_evenly, other_images
from repr_toolkit.support.processes import fastest_device
from repr_toolkit.support.stats import Estimate

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder

SHOWN = 6  # images whose own maps are kept
COORDINATES = 32  # of h up to which its coordinates are resampled, above it principal directions
CLASSES = 100  # above which labels are not compared

KINDS = {
    "shuffled": "another image's h",
    "mean_h": "the mean of all h",
    "hidden": "all of h hidden",
    "without": "a decoder without h",
}
"""What own h is held against, by its key in `OwnInformation.numbers`."""


@dataclass(frozen=True, eq=False)
class OwnInformation:
    """What was found of a run: ``numbers``, ready for JSON, and ``arrays``, its maps.

    ``arrays`` has the bits of every image, float64 (N,): ``bits_own`` and, for each kind K of
    `KINDS` that was measured, ``bits_K``. Where the decoder has a likelihood of sub-pixels it has
    ``saved_K`` float32 (C, H, W) too, the mean bits that own h saves at each of them to that kind,
    ``error_K``, its standard error, and ``shown_K`` (s, C, H, W), those of the images ``image``
    uint8 (s, C, H, W).
    """

    numbers: dict[str, Any]
    arrays: dict[str, Any]
    kinds: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The numbers and the whole protocol, ready for JSON."""
        return self.numbers

    def save(self, run: Path, *, keep: bool = False) -> Path | None:
        """Keep it as RUN/analysis/information.json and .npz.

        In the place of another question's only with ``keep``; see `save_analysis`.
        """
        return save_analysis(run, "information", self.numbers, self.arrays, keep=keep)


def own_information(
    run: str | Path,
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
) -> OwnInformation:
    """Code a split of a run's data by its decoder given own h, and given less; see `KINDS`.

    Every difference is in bits an image, paired, positive where own h saves bits. ``without`` is a
    run whose decoder was trained on the same images without this h: what own h saves to it is
    usable information, if their decoders and budgets are alike. ``along`` resamples "coordinates"
    of h or "principal" directions (default: coordinates of at most 32), the first ``parts`` of
    them on ``part_images`` images. The lower bound takes ``candidates`` (see `candidate_bound`).

    Raises ValueError for a run without encoder or decoder, for a split that its data lack, and for
    a ``without`` on other images.
    """
    path = Run(run)
    model = load_with_decoder(path).to(fastest_device())
    if model.encoder is None:
        raise ValueError(f"{path.path} has no encoder: there is no h whose bits could be counted")
    null = None if without is None else _null(Run(without), path)
    data = path.load_data()
    images = data.split(split)
    how: dict[str, Any] = {"batch_size": batch_size, "progress": progress}
    codes = encode_split(model, images, **how)
    assert codes is not None
    readings = {
        "own": Reading(model, codes),
        "shuffled": Reading(model, codes[other_images(len(codes), seed)]),
        "mean_h": Reading(model, mean_of(codes)),
    }
    if hides_parts(model):
        count = codes.shape[1] // 2
        nothing = torch.zeros(count, dtype=torch.bool)
        [hidden] = masked_tables(model, images, range(len(images)), [nothing])
        readings["hidden"] = Reading(model, hidden)
    if null is not None:
        readings["without"] = Reading(null, encode_split(null, images, **how))
    shown = choose_evenly(len(images), SHOWN)
    coded = code_lengths([*readings.values()], images, shown=shown, **how)
    kinds = tuple(readings)[1:]
    dims = int(np.prod(data.image_shape))
    along = along or ("coordinates" if codes.shape[1] <= COORDINATES else "principal")
    parts_found = sensitivity(
        model, images, codes, along=along, parts=parts, images=part_images, seed=seed, **how
    )
    bound = candidate_bound(
        model,
        images,
        codes,
        candidates=min(candidates, len(images) // 2),
        images=bound_images,
        seed=seed,
        **how,
    )
    estimate = Estimate.of(coded.bits[0] / dims)
    asked = {
        "split": split,
        "without": without,
        "along": along,
        "parts": parts,
        "part-images": part_images,
        "candidates": candidates,
        "bound-images": bound_images,
        "seed": seed,
        "batch-size": batch_size,
    }
    words = [str(w) for key, v in asked.items() if v is not None for w in (f"--{key}", v)]
    del asked["batch-size"]  # which changes no answer
    numbers: dict[str, Any] = {
        "asked": {key: str(value) for key, value in asked.items()},
        "command": shlex.join(["repr-toolkit", "information", str(path.path), *words]),
        "run": str(path.path),
        "data": data.name,
        "fingerprint": data.fingerprint,
        "levels": data.levels,
        "split": split,
        "seed": seed,
        "images": len(images),
        "dims": dims,
        "h_dim": codes.shape[1],
        "likelihood": model.decoder.likelihood_label,
        "bits_per_dim": {"mean": estimate.mean, "standard_error": estimate.standard_error},
        "bits": float(coded.bits[0].mean()),
        "without_run": None if without is None else str(without),
        "saves": {kind: _saves(coded, number, kind) for number, kind in enumerate(kinds, 1)},
        "lower_bound": bound.as_dict(),
        "label_lower_bound": _of_labels(model, data, split, batch_size, progress),
        "sensitivity": {
            "along": along,
            "images": min(part_images, len(images)),
            "parts": [part.as_dict() for part in parts_found],
        },
        "masked": coordinate_bits(model, images, images=part_images, **how).as_dict()
        if hides_parts(model)
        else None,
    }
    return OwnInformation(numbers, _arrays(coded, kinds, images[shown]["image"], data), kinds)


def _saves(coded: CodeLengths, number: int, kind: str) -> dict[str, Any]:
    """Bits that own h saves to a kind, with the share of images that it does, and by position."""
    saved = -coded.saved(number)
    found = {"to": KINDS[kind], **Usable(saved).as_dict()}
    found["share_of_images"] = float((saved > 0).mean())
    if coded.saved_map is not None:
        found["cumulative"] = cumulative(-coded.saved_map[number], coded.order).tolist()
    return found


def _arrays(
    coded: CodeLengths, kinds: tuple[str, ...], image: Tensor, data: ImageData
) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        f"bits_{kind}": bits for kind, bits in zip(("own", *kinds), coded.bits, strict=True)
    }
    if coded.saved_map is None or coded.saved_error is None or coded.shown is None:
        return arrays
    arrays |= {"image": image.numpy(), "levels": np.array(data.levels)}
    for number, kind in enumerate(kinds, 1):
        arrays[f"saved_{kind}"] = -coded.saved_map[number].astype(np.float32)
        arrays[f"error_{kind}"] = coded.saved_error[number].astype(np.float32)
        arrays[f"shown_{kind}"] = -coded.shown[number]
    return arrays


def _null(run: Run, own: Run) -> "EncoderDecoder":
    model = load_with_decoder(run).to(fastest_device())
    images = [(r.info["data"]["fingerprint"], r.info["levels"]) for r in (run, own)]
    if images[0] != images[1]:
        raise ValueError(
            f"{run.path} was trained on other images, or other levels, than {own.path}"
        )
    return model


def _of_labels(
    model: "EncoderDecoder", data: ImageData, split: str, batch_size: int, progress: bool
) -> Mapping[str, Any] | None:
    """The lower bound over all labels, for an encoder that reads them."""
    if model.encoder is None or model.encoder.source != "label":
        return None
    if len(np.unique(data.splits["train"].column("label").numpy())) > CLASSES:
        return None
    found = classify(model, data, split, batch_size=batch_size, progress=progress)
    return label_bound(found).as_dict()
