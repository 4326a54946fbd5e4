"""A study of frozen representations: a fresh decoder on each, and the bits that each saves it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repr_toolkit.analyses.frozen.variants import (
    NULL,
    folder_name,
    masked_name,
    standardised,
    store,
    study_of,
    variant_name,
)
from repr_toolkit.analyses.information.bounds import Bound, candidate_bound
from repr_toolkit.analyses.information.code_lengths import (
    CodeLengths,
    Floats,
    Maps,
    Reading,
    code_lengths,
    cumulative,
)
from repr_toolkit.analyses.information.controls import OfOneNetwork, coordinate_bits, together
from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.data import ImageData
from repr_toolkit.models.encode import encode_split
from repr_toolkit.representations import Representation
from repr_toolkit.runs.run import FROZEN, Run, load_with_decoder
from repr_toolkit.support.choose import choose_evenly, other_images
from repr_toolkit.support.console import say
from repr_toolkit.support.processes import fastest_device, first_process_only
from repr_toolkit.training.variants import compared, train_variants

OUTPUTS = tuple(f"information.{suffix}" for suffix in ("md", "csv", "json", "png", "npz"))
SHOWN = 6  # images whose own maps are drawn


@dataclass(frozen=True, eq=False)
class OfSource:
    """What a fresh decoder says of one frozen representation.

    ``bits_of_seeds`` are what an image needs given own h, ``usable`` and ``shuffled`` bits an
    image that it saves, to no h and to another image's;
    ``saved_map`` (C, H, W) is `usable` by sub-pixel, the mean over images and seeds, with its
    standard error over images, ``shown`` (s, C, H, W) the first seed's of single images, and
    ``cumulative`` (H·W,) its sum up to each pixel in the order of generation. They are
    None where the decoder has no likelihood of sub-pixels.
    """

    name: str
    made_by: str
    dim: int
    bits_of_seeds: list[float]
    usable: Usable
    shuffled: Usable
    bound: Bound
    saved_map: Floats | None
    saved_error: Floats | None
    shown: Maps | None
    cumulative: Floats | None
    one_network: OfOneNetwork | None

    @property
    def bits(self) -> float:
        """What an image needs given own h, the mean over seeds."""
        return float(np.mean(self.bits_of_seeds))


@dataclass(frozen=True, eq=False)
class Findings:
    """All sources of a study, most usable bits first, and how they were measured."""

    sources: list[OfSource]
    null_bits_of_images: Floats  # (S, N)
    images: torch.Tensor  # uint8 (s, C, H, W), those of the maps
    data: ImageData
    split: str
    seeds: list[int]
    steps: int
    likelihood: str

    @property
    def null_bits_of_seeds(self) -> list[float]:
        """What an image needs without h, by seed."""
        return [float(mean) for mean in self.null_bits_of_images.mean(1)]

    @property
    def null_bits(self) -> float:
        """What an image needs without h, the mean over seeds."""
        return float(self.null_bits_of_images.mean())


def run_information(
    config: Mapping[str, Any],
    study_dir: str | Path,
    sources: Sequence[Representation],
    data: ImageData,
    *,
    seeds: Sequence[int] | None = None,
    masked: bool = False,
    split: str = "test",
    candidates: int = 16,
    wandb: bool = False,
    command: str = "information",
) -> Path:
    """Train a fresh decoder of a recipe on each frozen representation, and one on none; compare.

    Each is given h standardised by training images, on the same images in the same order and for
    as many steps; ``seeds`` (default: the recipe's) repeats all of it. With ``masked``, a further
    decoder of each is trained with random coordinates of h hidden. Runs go to ``study_dir``/NAME,
    the representations to ``study_dir``/frozen; finished runs are kept and one that was cut is
    resumed. Then information.md, whose path is returned, .csv, .json and .png are written, anew
    if a run is newer; ``command`` is for the record.

    Raises ValueError for representations of other images than ``data``, which are the recipe's,
    for two of one name, and what `run_study` raises.
    """
    study_dir = Path(study_dir)
    if not sources:
        raise ValueError("there is no representation to measure: name one or more sources")
    data.split(split)
    names = [folder_name(h.name) for h in sources]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two sources are called {name}; name one anew, as in OTHER=SOURCE")
    seeds = [config["seed"]] if seeds is None else [*dict.fromkeys(map(int, seeds))]
    stored = [
        store(standardised(h), data, study_dir / FROZEN, name)
        for h, name in zip(sources, names, strict=True)
    ]
    runs, _ = train_variants(study_of(config, stored, seeds, masked), study_dir, wandb=wandb)
    _measure_and_write(
        config, study_dir, runs, names, data, seeds, masked, split, candidates, command, wandb
    )
    return study_dir / "information.md"


@first_process_only
def _measure_and_write(
    config: Mapping[str, Any],
    study_dir: Path,
    runs: Mapping[str, Run],
    names: Sequence[str],
    data: ImageData,
    seeds: Sequence[int],
    masked: bool,
    split: str,
    candidates: int,
    command: str,
    wandb: bool,
) -> None:
    from repr_toolkit.analyses.frozen.table import same_question, write
    from repr_toolkit.analyses.frozen.to_wandb import log_study

    asked = {"sources": list(names), "seeds": list(seeds), "masked": masked}
    asked |= {"split": split, "candidates": candidates}
    if same_question(study_dir, asked) and compared(study_dir, runs, OUTPUTS):
        if wandb:
            log_study(study_dir)
        return
    by_seed = [
        {name: runs[variant_name(name, seed, config)] for name in (NULL, *names)} for seed in seeds
    ]
    hidden = {
        name: [runs[variant_name(masked_name(name), seed, config)] for seed in seeds]
        for name in names
        if masked
    }
    found = measure(by_seed, hidden, data, split, list(seeds), candidates)
    write(study_dir, found, asked, command)
    if wandb:
        log_study(study_dir)


def measure(
    by_seed: Sequence[Mapping[str, Run]],
    hidden: Mapping[str, Sequence[Run]],
    data: ImageData,
    split: str,
    seeds: list[int],
    candidates: int,
) -> Findings:
    """Read a split under every run; ``by_seed`` names the null's run first, then the sources'.

    ``hidden`` has, by source, the runs of each seed with random coordinates hidden, if any.
    """
    images = data.splits[split]
    shown = choose_evenly(len(images), SHOWN)
    names = [name for name in by_seed[0] if name != NULL]
    coded: list[CodeLengths] = []
    bounds: dict[str, Bound] = {}
    count = min(candidates, len(images) // 2)
    for seed, runs in zip(seeds, by_seed, strict=True):
        say(f"measuring seed {seed}: {len(names)} × own h, another image's, none")
        models = {name: load_with_decoder(run).to(fastest_device()) for name, run in runs.items()}
        likelihood = models[NULL].decoder.likelihood_label
        readings = [Reading(models[NULL], encode_split(models[NULL], images))]
        for name in names:
            codes = encode_split(models[name], runs[name].load_data().splits[split])
            assert codes is not None
            readings.append(Reading(models[name], codes))
            readings.append(Reading(models[name], codes[other_images(len(codes))]))
            if seed == seeds[0]:
                bounds[name] = candidate_bound(models[name], images, codes, candidates=count)
        coded.append(code_lengths(readings, images, shown=shown, progress=True))
    found = []
    for number, name in enumerate(names):
        own, other = 2 * number + 1, 2 * number + 2
        arguments = by_seed[0][name].config["model"]["encoder"]["init_args"]
        saved = _mean([c.saved_map[own] for c in coded if c.saved_map is not None])
        have_maps = coded[0].saved_map is not None
        source = OfSource(
            name=name,
            made_by=arguments["made_by"],
            dim=arguments["h_dim"],
            bits_of_seeds=[float(c.bits[own].mean()) for c in coded],
            usable=Usable(np.stack([c.saved(own) for c in coded])),
            shuffled=Usable(np.stack([c.bits[other] - c.bits[own] for c in coded])),
            bound=bounds[name],
            saved_map=saved,
            saved_error=_mean([c.saved_error[own] for c in coded if c.saved_error is not None]),
            shown=coded[0].shown[own] if have_maps and coded[0].shown is not None else None,
            cumulative=None if saved is None else cumulative(saved, coded[0].order),
            one_network=_of_one_network(hidden.get(name, ()), split),
        )
        found.append(source)
    found.sort(key=lambda source: -source.usable.bits)
    any_run = by_seed[0][NULL]
    return Findings(
        found,
        np.stack([c.bits[0] for c in coded]),
        images[shown]["image"],
        data,
        split,
        seeds,
        int(any_run.info["step"]),
        likelihood,
    )


def _of_one_network(runs: Sequence[Run], split: str) -> OfOneNetwork | None:
    found = []
    for run in runs:
        say(f"measuring the single coordinates of {run.path.name}")
        model = load_with_decoder(run).to(fastest_device())
        found.append(coordinate_bits(model, run.load_data().splits[split], progress=True))
    return together(found) if found else None


def _mean(maps: Sequence[Floats]) -> Floats | None:
    return np.mean(maps, axis=0) if maps else None
