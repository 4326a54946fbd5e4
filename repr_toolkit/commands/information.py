"""The command that counts the bits in h."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from repr_toolkit.commands.common import (
    SOURCE_OPTIONS,
    command_line,
    represent_options,
    tell_left,
)
from repr_toolkit.commands.options import (
    SETTINGS_HELP,
    Settings,
    add_keep,
    add_source_options,
    make_parser,
)

if TYPE_CHECKING:
    from repr_toolkit.data import ImageData
    from repr_toolkit.representations import Representation

OF_STUDY = ("split", "candidates", "name", "runs_dir", "seeds", "masked", *SOURCE_OPTIONS)
"""Options that decide what is found with sources."""

OF_BOTH = ("split", "candidates", "batch_size", "json", "debug")
OF_RUN = (
    *("without", "along", "parts", "part_images", "bound_images", "seed"),
    *("keep", "out", "overwrite"),
)


def information(options: Namespace, settings: Settings) -> None:
    """Print how many bits h saves: a run's own decoder, or fresh ones on frozen h."""
    defaults = _parser().get_defaults().as_dict()
    other = [
        name
        for name in defaults
        if name not in (*OF_BOTH, "target", "sources") and (name in OF_RUN) == bool(options.sources)
    ]
    given = [f"--{name.replace('_', '-')}" for name in other if options[name] != defaults[name]]
    if options.sources:
        if given:
            instead = "; with sources it is --seeds" if given[0] == "--seed" else ""
            raise ValueError(f"{given[0]} is for a run alone, but sources were given{instead}")
        _study(options, settings)
        return
    given += [f"--{name}" for name in settings]
    if given:
        raise ValueError(
            f"{given[0]} is for a recipe and its sources, but {options.target} was given no source"
        )
    _own(options)


def _own(options: Namespace) -> None:
    from repr_toolkit.analyses.information.measure import own_information
    from repr_toolkit.analyses.information.picture import DPI
    from repr_toolkit.analyses.information.table import picture, table
    from repr_toolkit.runs.run import Run
    from repr_toolkit.support.files import atomic_write, require_picture

    run = Run(options.target)
    if not run.config_file.is_file():
        raise FileNotFoundError(
            f"no run {run.path}; or, if it is a recipe, name the sources of h that a decoder is to "
            f"be trained on: repr-toolkit information {options.target} SOURCE…"
        )
    out = None if options.out is None else Path(options.out)
    if out is not None:
        require_picture(out, overwrite=options.overwrite)
    found = own_information(
        run.path,
        options.split,
        without=options.without,
        along=options.along,
        parts=options.parts,
        part_images=options.part_images,
        candidates=options.candidates,
        bound_images=options.bound_images,
        seed=options.seed,
        batch_size=options.batch_size,
        progress=not options.json,
    )
    tell_left(found.save(run.path, keep=options.keep), run.path, "information")
    print(json.dumps(found.as_dict(), indent=2) if options.json else table(found))
    if out is not None:
        with atomic_write(out) as file:
            picture(found).savefig(file, dpi=DPI, format="png")
        if not options.json:
            print(out)


def _study(options: Namespace, settings: Settings) -> None:
    from repr_toolkit.analyses.frozen.measure import run_information
    from repr_toolkit.config.recipe import apply_settings, load_recipe
    from repr_toolkit.data import load_data
    from repr_toolkit.runs.run import data_arguments
    from repr_toolkit.support.processes import first_process

    config = apply_settings(load_recipe(options.target), settings)
    data = load_data(**data_arguments(config))
    sources = [_represent(source, data, options) for source in options.sources]
    recipe = Path(options.target).stem
    name = options.name or f"information_{recipe.removeprefix('information_')}"
    path = run_information(
        config,
        Path(options.runs_dir) / name,
        sources,
        data,
        seeds=options.seeds,
        masked=options.masked,
        split=options.split,
        candidates=options.candidates,
        wandb=options.wandb,
        command=command_line(
            ["information", options.target, *options.sources], OF_STUDY, options, settings
        ),
    )
    if not first_process():
        return
    if options.json:
        print(path.with_suffix(".json").read_text("utf-8"), end="")
        return
    print(path.read_text("utf-8"))
    for suffix in (".md", ".csv", ".json", ".png"):
        print(path.with_suffix(suffix))


def _represent(source: str, data: "ImageData", options: Namespace) -> "Representation":
    """A source's h, under the name before its "=" where there is one."""
    from dataclasses import replace

    from repr_toolkit.representations import Source, options_for, represent

    sources = [*map(Source.parse, options.sources)]
    own = Source.parse(source)
    how = options_for(own, sources, represent_options(options, {}))
    h, _ = represent(own.text, data, **how, progress=not options.json)
    return replace(h, name=own.name or h.name)


def add_commands(subcommands: Any) -> None:
    """Add the parsers of this module's commands."""
    subcommands.add_subcommand("information", _parser(), help="bits that h carries about images")


def _parser() -> ArgumentParser:
    command = make_parser(
        "Count the bits that h carries about images.\n\n"
        "RECIPE SOURCE…: each source's h is frozen, and a fresh decoder of the recipe is trained\n"
        "on each, and one on no h, with the same images and steps: so encoders of any origin are\n"
        "compared, by the bits that their h saves. A source is a run directory, an .npz that\n"
        "`embed` or `faces` wrote, pixels, pca, labels, the import path of an encoder or network,\n"
        "or untrained:SOURCE; NAME=SOURCE names it. The same command again keeps what is done.\n"
        "Writes RUNS_DIR/NAME/information.md, .csv, .json, .png.\n\n"
        "RUN alone: its own decoder given own h, another image's and the mean; a lower bound of\n"
        "the mutual information; where in the image, and for which parts of h. Kept in\n"
        "RUN/analysis/ for the report.\n\n" + SETTINGS_HELP
    )
    command.add_argument("target", metavar="RECIPE|RUN", help="a recipe, or a run directory")
    command.add_argument("sources", nargs="*", metavar="SOURCE", help="what makes h")
    command.add_argument("--split", default="test", help="train, val or test")
    command.add_argument(
        "--candidates", type=PositiveInt, default=16, help="h among which the bound finds own h"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    group = command.add_argument_group("with sources")
    group.add_argument("--name", help="name of the study (default: information_ and the recipe's)")
    group.add_argument("--runs-dir", default="runs", help="folder of the study")
    group.add_argument(
        "--seeds",
        type=NonNegativeInt,
        nargs="+",
        metavar="SEED",
        help="train everything with each of these seeds (default: the recipe's alone)",
    )
    group.add_argument(
        "--masked",
        action="store_true",
        help="train a further decoder of each source with random coordinates of h hidden, for the "
        "bits of each coordinate",
    )
    group.add_argument("--wandb", action="store_true", help="log to Weights & Biases too")
    add_source_options(group)
    group = command.add_argument_group("of a run")
    group.add_argument("--without", metavar="RUN", help="a run without this h, on the same images")
    group.add_argument("--along", help="what of h is resampled: coordinates or principal")
    group.add_argument("--parts", type=PositiveInt, default=32, help="how many of them")
    group.add_argument("--part-images", type=PositiveInt, default=128, help="on how many images")
    group.add_argument(
        "--bound-images", type=PositiveInt, default=512, help="images of the lower bound"
    )
    group.add_argument("--seed", type=NonNegativeInt, default=0, help="of all that is drawn")
    add_keep(group)
    group.add_argument("--out", metavar="PNG", help="draw the maps")
    group.add_argument("--overwrite", action="store_true", help="replace --out if it exists")
    return command
