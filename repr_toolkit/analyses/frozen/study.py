"""A study of frozen representations: a fresh decoder on each, and what they say, in one folder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repr_toolkit.analyses.frozen.blocks import LEAD, TITLE, blocks, mean_curve, rows
from repr_toolkit.analyses.frozen.measure import measure
from repr_toolkit.analyses.frozen.variants import (
    MASKED,
    folder_name,
    null_name,
    standardised,
    store,
    study_of,
    variant_name,
)
from repr_toolkit.analyses.information.picture import overlays
from repr_toolkit.analyses.information.usable import LEAST_SEEDS
from repr_toolkit.data import ImageData
from repr_toolkit.data.augment import Augmentation
from repr_toolkit.page.blocks import Section
from repr_toolkit.page.terminal import as_text
from repr_toolkit.page.wandb import log_sections
from repr_toolkit.representations import Representation
from repr_toolkit.representations.thumbnail import thumbnail
from repr_toolkit.runs.kept import Kept, keep_together, kept_together
from repr_toolkit.runs.places import FROZEN
from repr_toolkit.runs.run import Run
from repr_toolkit.support.console import say
from repr_toolkit.support.files import as_bytes, atomic_write, csv_text
from repr_toolkit.support.pictures import DPI
from repr_toolkit.support.processes import first_process_only
from repr_toolkit.training.variants import trained_variants

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROTOCOL = 2
"""A number, to be raised whenever the same question comes to have another answer."""

WRITTEN = (".json", ".npz", ".csv", ".md", ".png")
"""The files `frozen.*` of a study; no .png without maps."""


def run_frozen(
    config: Mapping[str, Any],
    study_dir: str | Path,
    sources: Sequence[Representation],
    data: ImageData,
    *,
    seeds: Sequence[int] | None = None,
    masked: bool = False,
    control: bool = True,
    split: str = "test",
    candidates: int = 16,
    wandb: bool = False,
    command: str = "",
) -> Kept | None:
    """Train a fresh decoder of a recipe on each frozen representation, and on none; compare.

    Each is given h standardised by training images, on the same images in the same order and for
    as many steps, and each dimension has a null, given h = 0; `seeds` (default: the recipe's and
    the two after it, the fewest that allow a verdict) repeat all of it. With `masked`, a further
    decoder of each is trained with random coordinates of h hidden. With `control` a thumbnail of
    the image is a further source, the positive control. Runs go to `study_dir`/NAME,
    the representations to `study_dir`/frozen; finished runs are kept and one that was cut is
    resumed. What they say is kept in `study_dir`/analysis by what was asked, and measured again
    only if the options or a run's weights changed; `study_dir`/frozen.json, .npz, .csv, .md and
    .png are those of the last question. `command` is for the record. On any process but the first
    the result is None.

    Raises ValueError for representations of other images than `data`, which are the recipe's,
    for two of one name, and what `run_study` raises.
    """
    study_dir = Path(study_dir)
    if not sources:
        raise ValueError("there is no representation to measure: name one or more sources")
    data.split(split)
    controls = [thumbnail(data)] if control else []
    own = {h.made_by for h in controls}  # a source that is the control itself is no other source
    for h in sources:
        if h.made_by in own:
            say(f"{h.name} is the positive control itself, and stands there alone")
    sources = [*(h for h in sources if h.made_by not in own), *controls]
    names = [folder_name(h.name) for h in sources]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two sources are called {name}; name one anew, as in OTHER=SOURCE")
    if seeds is None:
        seeds = range(config["seed"], config["seed"] + LEAST_SEEDS)
    seeds = [*dict.fromkeys(map(int, seeds))]
    if changed := Augmentation.of(config["data"]):
        say(f"no image is {changed}, as the recipe asks for: each h is of an image as it is")
    if config["data"]["binarise"] == "dynamic":
        say("pixels are sampled once, not at each step: each h is of what was sampled")
    folder = study_dir / FROZEN
    frozen = [replace(standardised(h), name=name) for h, name in zip(sources, names, strict=True)]
    for h in frozen:
        store(h, data, folder)
    dims = {h.name: h.dim for h in frozen}
    hiding = names[: len(names) - len(controls)] if masked else []
    study = study_of(config, frozen, folder, seeds, hiding)
    asked = {
        "split": split,
        "candidates": candidates,
        "sources": names,
        "seeds": seeds,
        "masked": masked,
        "control": names[-1] if control else None,
        "protocol": PROTOCOL,
    }
    with trained_variants(study, study_dir, wandb=wandb) as runs:
        by_seed = {
            seed: {
                name: runs[variant_name(name, seed, config)]
                for name in (*map(null_name, sorted(set(dims.values()))), *names)
            }
            for seed in seeds
        }
        hidden = {
            name: [runs[variant_name(name + MASKED, seed, config)] for seed in seeds]
            for name in hiding
        }
        kept: Kept | None = _compare(study_dir, asked, by_seed, hidden, dims, data, command)
    if kept is not None and wandb:
        section = Section("frozen", TITLE, LEAD, blocks({study_dir.name: kept}))
        group = study_dir.resolve().name
        log_sections([section], study_dir, group=group, name="frozen")
    return kept


@first_process_only
def _compare(
    study_dir: Path,
    asked: dict[str, Any],
    by_seed: Mapping[int, Mapping[str, Run]],
    hidden: Mapping[str, Sequence[Run]],
    dims: Mapping[str, int],
    data: ImageData,
    command: str,
) -> Kept:
    """What the runs say: as it is kept, where that answers the same of them, or measured."""
    every = chain(*(of_seed.values() for of_seed in by_seed.values()), *hidden.values())
    runs = {run.path.name: run for run in every}
    kept = kept_together(study_dir, "frozen", runs, **asked)
    if kept is None:
        result = measure(asked, by_seed, hidden, dims, data)
        weights = {name: run.weights_digest for name, run in runs.items()}
        result = replace(result, numbers={**result.numbers, "weights_of_runs": weights})
        kept = keep_together(study_dir, "frozen", runs, result, command)
    else:
        say(f"measured before; delete {kept.file} to measure anew")
    assert kept.file is not None
    contents = {
        ".json": kept.file.read_bytes(),
        ".npz": kept.file.with_suffix(".npz").read_bytes(),
        ".csv": as_bytes(csv_text(rows(kept))),
        ".md": as_bytes(f"# {TITLE}\n\n{as_text(blocks({study_dir.name: kept}))}"),
    }
    for suffix, content in contents.items():
        with atomic_write(study_dir / f"frozen{suffix}") as out:
            out.write(content)
    if "image" in kept.arrays:
        with atomic_write(study_dir / "frozen.png") as out:
            _picture(kept).savefig(out, dpi=DPI, format="png")
    return kept


def _picture(kept: Kept) -> "Figure":
    """The maps of every source over some images."""
    maps, sources = kept.arrays, kept.numbers["sources"]
    return overlays(
        [source["name"] for source in sources],
        maps["saved_map"],
        maps["shown"],
        [source["cumulative"] for source in sources],
        maps["image"],
        int(maps["levels"]),
        [*map(mean_curve, sources)] if all(source["curve"] for source in sources) else (),
    )
