"""What fresh decoders on frozen representations say of them, on held-out images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from repr_toolkit.analyses.frozen.curve import learning_curve
from repr_toolkit.analyses.frozen.variants import null_name
from repr_toolkit.analyses.information.bounds import Bound, candidate_bound, most_candidates
from repr_toolkit.analyses.information.code_lengths import (
    CodeLengths,
    Reading,
    SavedMaps,
    code_lengths,
    cumulative,
)
from repr_toolkit.analyses.information.controls import coordinate_bits
from repr_toolkit.analyses.information.usable import STATEMENT, Usable
from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.models.encode import encode_split
from repr_toolkit.representations.thumbnail import last_of_blocks
from repr_toolkit.runs.kept import Array, Result
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.support.choose import choose_evenly, other_h
from repr_toolkit.support.console import say

Floats = npt.NDArray[np.float64]

SHOWN = 6  # images whose own maps are drawn


def measure(
    asked: dict[str, Any],
    by_seed: Mapping[int, Mapping[str, Run]],
    hidden: Mapping[str, Sequence[Run]],
    dims: Mapping[str, int],
    data: ImageData,
) -> Result:
    """Read a split under every run of a study.

    `asked` has the `split`, the `candidates` of the lower bound and the name of the `control`, or
    None. `dims` has the dimensions of the sources by name; `by_seed` the runs of each seed, the
    sources' and for every dimension m the null's, as `null_name(m)`; `hidden`, by source, those of
    each seed with random coordinates hidden, if any.

    `numbers` has the sources, most usable bits first and the control last, and the protocol.
    `pictured` has, of K sources, D dimensions, S seeds and N images, `names` (K,), `null_dims` (D,)
    and float64 `null_bits` (D, S, N) given h = 0, `saved_bits` (K, S, N) to the null of a source's
    own dimension, and `other_h_costs` (K, S, N), more than own h, NaN for the images that `other_h`
    gives no other. Where the decoder has a likelihood of sub-pixels there are `saved_map` and
    `saved_error`, the mean over images and seeds and its standard error over images, or groups of
    them, float32 (K, C, H, W), and of the images `image` uint8 (s, C, H, W), of `levels` levels,
    `shown` (K, s, C, H, W), by the first seed.
    """
    control = asked["control"]
    images = data.splits[asked["split"]]
    shown = choose_evenly(len(images), SHOWN)
    read = {name: _Source() for name in dims}
    nulls: dict[int, list[CodeLengths]] = {dim: [] for dim in sorted(set(dims.values()))}
    for seed, runs in by_seed.items():
        say(f"measuring seed {seed}: {len(dims)} × own h, another image's, none")
        for dim, of_seeds in nulls.items():
            models = {n: load_with_decoder(runs[n]) for n in dims if dims[n] == dim}
            null = load_with_decoder(runs[null_name(dim)])
            likelihood = null.decoder.likelihood_label
            readings = [Reading(null, encode_split(null, images))]
            for name, model in models.items():
                h = encode_split(model, runs[name].load_data().splits[asked["split"]])
                partners, differ = other_h(h)  # the same for every seed, since h is frozen
                readings += [Reading(model, h), Reading(model, h[partners])]
                read[name].counted = differ.numpy()
                candidates = most_candidates(images, asked["candidates"])
                if read[name].bound is None and candidates > 1:
                    read[name].bound = candidate_bound(model, images, h, candidates=candidates)
            coded = code_lengths(readings, images, shown=shown, progress=True)
            of_seeds.append(coded)
            for number, name in enumerate(models):
                read[name].readings.append(_SeedReading(coded, 2 * number + 1))
    names = sorted(dims, key=lambda name: (name == control, -read[name].saved.mean()))
    null_bits = np.stack([np.stack([c.bits[0] for c in of_seeds]) for of_seeds in nulls.values()])
    arrays: dict[str, Array] = {
        "names": np.array(names),
        "null_dims": np.array([*nulls]),
        "null_bits": null_bits,
        "saved_bits": np.stack([read[name].saved for name in names]),
        "other_h_costs": np.stack([read[name].costs for name in names]),
    }
    first = next(iter(nulls.values()))[0]
    if first.maps is not None:
        arrays |= {
            "saved_map": np.stack([read[name].mean_map for name in names]).astype(np.float32),
            "saved_error": np.stack([read[name].mean_error for name in names]).astype(np.float32),
            "shown": np.stack([read[name].shown for name in names]),
            "image": images[shown]["image"].numpy(),
            "levels": np.array(data.levels),
        }
    masked = {}
    for name, trained in hidden.items():
        say(f"measuring the single coordinates of {name}")
        networks = [load_with_decoder(run) for run in trained]
        split = trained[0].load_data().splits[asked["split"]]
        masked[name] = coordinate_bits(networks, split, progress=True)
    compared = [name for name in names if name != control]
    subpixels = prod(data.image_shape)
    sources, groups = [], images.groups()
    for name in names:
        source, dim = read[name], dims[name]
        own = [runs[name] for runs in by_seed.values()]
        pairs = [(runs[null_name(dim)], runs[name]) for runs in by_seed.values()]
        others = [other for other in compared if name not in (other, control)]
        minus = {other: Usable(source.saved - read[other].saved, groups) for other in others}
        sources.append(
            {
                "name": name,
                "control": name == control,
                "made_by": own[0].config["model"]["encoder"]["init_args"]["made_by"],
                "dim": dim,
                "bits": float(np.mean([reading.bits for reading in source.readings])),
                "bits_of_seeds": [float(reading.bits.mean()) for reading in source.readings],
                "usable": Usable(source.saved, groups),
                "minus_best": minus.get(compared[0]) if compared else None,
                "minus": minus,
                "shuffled_costs": source.shuffled_costs(images),
                "lower_bound": source.bound,
                "masked": masked.get(name),
                "cumulative": source.cumulative(first),
                "curve": learning_curve(pairs, subpixels),
            }
        )
    numbers = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "levels": data.levels,
        "split": asked["split"],
        "images": len(images),
        "seeds": [*by_seed],
        "steps": int(own[0].info["step"]),
        "likelihood": likelihood,
        "what": STATEMENT,
        "null": "the same decoder given h = 0 of the source's dimension for every image",
        "h": "standardised by training images",
        "nulls": [
            {"dim": dim, "bits_of_seeds": bits.mean(1).tolist()}
            for dim, bits in zip(nulls, null_bits, strict=True)
        ],
        "dims": subpixels,
        "control_worth": control and _worth(nulls[dims[control]], data),
        "sources": sources,
    }
    return Result(asked, numbers, arrays)


class _SeedReading(NamedTuple):
    """What the decoder of one seed says: reading number `own`, and after it of another's h."""

    coded: CodeLengths
    own: int

    @property
    def bits(self) -> Floats:
        """Of each image, (N,)."""
        own: Floats = self.coded.bits[self.own]
        return own

    @property
    def maps(self) -> SavedMaps:
        """The savings by sub-pixel; ValueError where there is no likelihood of them."""
        if self.coded.maps is None:
            raise ValueError("this decoder has no likelihood of sub-pixels")
        return self.coded.maps


@dataclass(eq=False)
class _Source:
    """What the decoders on one source say, seed by seed."""

    counted: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    """of which images `other_h` gave another, (N,)"""
    bound: Bound | None = None
    readings: list[_SeedReading] = field(default_factory=list)

    @property
    def saved(self) -> Floats:
        """Bits saved, (S, N)."""
        return np.stack([reading.coded.saved(reading.own) for reading in self.readings])

    @property
    def costs(self) -> Floats:
        """What another's h costs, (S, N), NaN where there is none."""
        more = np.stack([one.coded.bits[one.own + 1] - one.bits for one in self.readings])
        costs: Floats = np.where(self.counted, more, np.nan)
        return costs

    def shuffled_costs(self, images: ImageSplit) -> Usable | None:
        if self.counted.sum() < 2:
            return None
        groups = images.groups(np.flatnonzero(self.counted))
        return Usable(self.costs[:, self.counted], groups)

    @property
    def mean_map(self) -> Floats:
        mean: Floats = np.mean([one.maps.mean[one.own] for one in self.readings], 0)
        return mean

    @property
    def mean_error(self) -> Floats:
        mean: Floats = np.mean([one.maps.error[one.own] for one in self.readings], 0)
        return mean

    @property
    def shown(self) -> npt.NDArray[np.float32]:
        """The maps of single images by the first seed, (s, C, H, W)."""
        first = self.readings[0]
        maps: npt.NDArray[np.float32] = first.maps.shown[first.own]
        return maps

    def cumulative(self, coded: CodeLengths) -> list[float] | None:
        """Bits saved up to each pixel; None where there is no likelihood of sub-pixels."""
        if coded.maps is None:
            return None
        total: list[float] = cumulative(self.mean_map, coded.order).tolist()
        return total


def _worth(nulls: Iterable[CodeLengths], data: ImageData) -> float | None:
    """What the control saves at least whoever makes use of all of it, in bits an image.

    That is what the null pays for the last sub-pixel of each block, which follows from the others
    and from the block's mean. None where there is no likelihood of sub-pixels.
    """
    worths = []
    for coded in nulls:
        if coded.maps is None:
            return None
        last = last_of_blocks(data.image_shape, coded.order)
        paid = coded.maps.reference
        if len(paid) < len(last):  # a pixel's channels are taken together
            last = last.any(0, keepdim=True)
        worths.append(float(paid[last.numpy()].sum()))
    return float(np.mean(worths))
