"""What fresh decoders on frozen representations say of them, on held-out images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from repr_toolkit.analyses.frozen.result import BitsOfSource, FrozenStudy
from repr_toolkit.analyses.frozen.variants import NULL
from repr_toolkit.analyses.information.bounds import Bound, candidate_bound
from repr_toolkit.analyses.information.code_lengths import (
    CodeLengths,
    Floats,
    Reading,
    code_lengths,
    cumulative,
)
from repr_toolkit.analyses.information.controls import OfOneNetwork, coordinate_bits, together
from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.data import ImageData
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.support.choose import choose_evenly, other_images
from repr_toolkit.support.console import say
from repr_toolkit.support.processes import fastest_device

SHOWN = 6  # images whose own maps are drawn


def measure(
    asked: dict[str, Any],
    by_seed: Mapping[int, Mapping[str, Run]],
    hidden: Mapping[str, Sequence[Run]],
    data: ImageData,
) -> FrozenStudy:
    """Read a split under every run of a study.

    `asked` has the `split` and the `candidates` of the lower bound. `by_seed` has the runs of each
    seed, the null's first, then the sources'; `hidden`, by source, those of each seed with random
    coordinates hidden, if any.
    """
    images = data.splits[asked["split"]]
    shown = choose_evenly(len(images), SHOWN)
    first = next(iter(by_seed.values()))
    names = [name for name in first if name != NULL]
    coded: list[CodeLengths] = []
    bounds: dict[str, Bound] = {}
    candidates = min(asked["candidates"], len(images) // 2)
    for seed, runs in by_seed.items():
        say(f"measuring seed {seed}: {len(names)} × own h, another image's, none")
        models = {name: load_with_decoder(run).to(fastest_device()) for name, run in runs.items()}
        likelihood = models[NULL].decoder.likelihood_label
        readings = [Reading(models[NULL], encode_split(models[NULL], images))]
        for name in names:
            h = encode_split(models[name], runs[name].load_data().splits[asked["split"]])
            assert h is not None
            readings.append(Reading(models[name], h))
            readings.append(Reading(models[name], h[other_images(len(h))]))
            if name not in bounds:
                bounds[name] = candidate_bound(models[name], images, h, candidates=candidates)
        coded.append(code_lengths(readings, images, shown=shown, progress=True))
    sources = []
    for number, name in enumerate(names):
        own, other = 2 * number + 1, 2 * number + 2
        arguments = first[name].config["model"]["encoder"]["init_args"]
        saved_map = _mean([c.saved_map[own] for c in coded if c.saved_map is not None])
        single = coded[0].shown
        source = BitsOfSource(
            name=name,
            made_by=arguments["made_by"],
            dim=arguments["h_dim"],
            bits_of_seeds=[float(c.bits[own].mean()) for c in coded],
            usable=Usable(np.stack([c.saved(own) for c in coded])),
            shuffled=Usable(np.stack([c.bits[other] - c.bits[own] for c in coded])),
            bound=bounds[name],
            saved_map=saved_map,
            saved_error=_mean([c.saved_error[own] for c in coded if c.saved_error is not None]),
            shown=None if single is None else single[own],
            cumulative=None if saved_map is None else cumulative(saved_map, coded[0].order),
            one_network=_of_one_network(hidden.get(name, ()), asked["split"]),
        )
        sources.append(source)
    sources.sort(key=lambda source: -source.usable.mean)
    return FrozenStudy(
        asked,
        sources,
        np.stack([c.bits[0] for c in coded]),
        images[shown]["image"].numpy(),
        data,
        [*by_seed],
        int(first[NULL].info["step"]),
        likelihood,
    )


def _of_one_network(runs: Sequence[Run], split: str) -> OfOneNetwork | None:
    networks = []
    for run in runs:
        say(f"measuring the single coordinates of {run.path.name}")
        model = load_with_decoder(run).to(fastest_device())
        networks.append(coordinate_bits(model, run.load_data().splits[split], progress=True))
    return together(networks) if networks else None


def _mean(maps: Sequence[Floats]) -> Floats | None:
    return np.mean(maps, axis=0) if maps else None
