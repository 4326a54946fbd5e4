"""What fresh decoders on frozen representations say of them, on held-out images."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from repr_toolkit.analyses.frozen.variants import NULL
from repr_toolkit.analyses.information.bounds import candidate_bound
from repr_toolkit.analyses.information.code_lengths import (
    Reading,
    code_lengths,
    cumulative,
)
from repr_toolkit.analyses.information.controls import coordinate_bits
from repr_toolkit.analyses.information.usable import STATEMENT, Usable
from repr_toolkit.data import ImageData
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.kept import Array, Result
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.support.choose import choose_evenly, other_h
from repr_toolkit.support.console import say

SHOWN = 6  # images whose own maps are drawn


def measure(
    asked: dict[str, Any],
    by_seed: Mapping[int, Mapping[str, Run]],
    hidden: Mapping[str, Sequence[Run]],
    data: ImageData,
) -> Result:
    """Read a split under every run of a study.

    `asked` has the `split` and the `candidates` of the lower bound. `by_seed` has the runs of each
    seed, the null's first, then the sources'; `hidden`, by source, those of each seed with random
    coordinates hidden, if any.

    `numbers` has the sources, most usable bits first, and the protocol. `pictured` has, of K
    sources, S seeds and N images, `names` (K,) and float64 `null_bits` (S, N) without h,
    `saved_bits` (K, S, N), and `other_h_costs` (K, S, N), more than own h, NaN for the images that
    `other_h` gives no other. Where the decoder has a
    likelihood of sub-pixels there are `saved_map` and `saved_error`, the mean over images and seeds
    and its standard error over images, float32 (K, C, H, W), and of the images `image` uint8 (s, C,
    H, W), of `levels` levels, `shown` (K, s, C, H, W), by the first seed.
    """
    first = next(iter(by_seed.values()))
    names = [name for name in first if name != NULL]
    images = data.splits[asked["split"]]
    shown = choose_evenly(len(images), SHOWN)
    coded, bounds, counted = [], {}, {}
    for seed, runs in by_seed.items():
        say(f"measuring seed {seed}: {len(names)} × own h, another image's, none")
        models = {name: load_with_decoder(run) for name, run in runs.items()}
        likelihood = models[NULL].decoder.likelihood_label
        readings = [Reading(models[NULL], encode_split(models[NULL], images))]
        for name in names:
            h = encode_split(models[name], runs[name].load_data().splits[asked["split"]])
            readings.append(Reading(models[name], h))
            partners, differ = other_h(h)  # the same for every seed, since h is frozen
            readings.append(Reading(models[name], h[partners]))
            counted[name] = differ.numpy()
            if name not in bounds:
                candidates = min(asked["candidates"], len(images) // 2)
                bounds[name] = candidate_bound(models[name], images, h, candidates=candidates)
        coded.append(code_lengths(readings, images, shown=shown, progress=True))
    # The number of the reading of own h; that of another image's h is the next.
    place = {name: 2 * number + 1 for number, name in enumerate(names)}
    saved = {name: np.stack([c.saved(place[name]) for c in coded]) for name in names}
    costs = {n: np.stack([c.bits[place[n] + 1] - c.bits[place[n]] for c in coded]) for n in names}
    costs = {name: np.where(counted[name], bits, np.nan) for name, bits in costs.items()}
    names.sort(key=lambda name: -saved[name].mean())
    null_bits = np.stack([c.bits[0] for c in coded])
    arrays: dict[str, Array] = {
        "names": np.array(names),
        "null_bits": null_bits,
        "saved_bits": np.stack([saved[name] for name in names]),
        "other_h_costs": np.stack([costs[name] for name in names]),
    }
    totals: dict[str, list[float]] = {}
    if maps := [c.maps for c in coded if c.maps is not None]:
        places = [place[name] for name in names]
        means = np.mean([of_seed.mean[places] for of_seed in maps], axis=0)
        errors = np.mean([of_seed.error[places] for of_seed in maps], axis=0)
        for name, mean in zip(names, means, strict=True):
            totals[name] = cumulative(mean, coded[0].order).tolist()
        arrays |= {
            "saved_map": means.astype(np.float32),
            "saved_error": errors.astype(np.float32),
            "shown": maps[0].shown[places],
            "image": images[shown]["image"].numpy(),
            "levels": np.array(data.levels),
        }
    masked = {}
    for name, trained in hidden.items():
        say(f"measuring the single coordinates of {name}")
        networks = [load_with_decoder(run) for run in trained]
        split = trained[0].load_data().splits[asked["split"]]
        masked[name] = coordinate_bits(networks, split, progress=True)
    sources = []
    for name in names:
        arguments = first[name].config["model"]["encoder"]["init_args"]
        bits = [float(c.bits[place[name]].mean()) for c in coded]
        others = [other for other in names if other != name]
        minus = {other: Usable(saved[name] - saved[other]) for other in others}
        source = {
            "name": name,
            "made_by": arguments["made_by"],
            "dim": arguments["h_dim"],
            "bits": float(np.mean(bits)),
            "bits_of_seeds": bits,
            "usable": Usable(saved[name]),
            "minus_best": minus.get(names[0]),
            "minus": minus,
            "shuffled_costs": Usable(costs[name][:, counted[name]])
            if counted[name].sum() > 1
            else None,
            "lower_bound": bounds[name],
            "masked": masked.get(name),
            "cumulative": totals.get(name),
        }
        sources.append(source)
    numbers = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "levels": data.levels,
        "split": asked["split"],
        "images": len(images),
        "seeds": [*by_seed],
        "steps": int(first[NULL].info["step"]),
        "likelihood": likelihood,
        "what": STATEMENT,
        "null": "the same decoder given h = 0 for every image",
        "h": "standardised by training images",
        "null_bits": float(null_bits.mean()),
        "null_bits_of_seeds": [float(mean) for mean in null_bits.mean(1)],
        "dims": prod(data.image_shape),
        "sources": sources,
    }
    return Result(asked, numbers, arrays)
