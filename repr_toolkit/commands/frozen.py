"""The command that compares frozen representations by the bits that they save fresh decoders."""

import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import SETTINGS_HELP, Settings, add_command


def frozen(options: Namespace, settings: Settings) -> None:
    """Compare encoders of any origin by the bits that their h saves.

    Each source's h is frozen, and fresh decoders of the recipe are trained on each, and on h = 0 of
    the same dimension, with the same images and steps. A thumbnail of the image, whose worth can be
    bounded from below, is a further source. NAME=SOURCE names a source. The same command again
    keeps what is done. Writes RUNS_DIR/NAME/frozen.json, .npz, .csv, .md, .png, and keeps the
    answer to every question in RUNS_DIR/NAME/analysis; the report of runs of these images shows the
    study with --frozen RUNS_DIR/NAME.
    """
    from repr_toolkit.analyses.frozen import blocks, run_frozen
    from repr_toolkit.analyses.frozen.study import WRITTEN
    from repr_toolkit.commands.common import represent_options
    from repr_toolkit.commands.results import show
    from repr_toolkit.config.recipe import given, load_recipe
    from repr_toolkit.data import load_data
    from repr_toolkit.representations import Representation, Source, options_for, represent
    from repr_toolkit.runs.run import data_arguments

    config = given(load_recipe(options.recipe), settings)
    data = load_data(**data_arguments(config))
    sources = [*map(Source.parse, options.sources)]
    asked = represent_options(options, {})
    folder = Path(options.runs_dir) / (options.name or f"frozen_{Path(options.recipe).stem}")

    def h_of(source: Source) -> Representation:
        how = options_for(source, sources, asked)
        h, _ = represent(source.text, data, **how, progress=not options.json)
        return replace(h, name=source.name or h.name)

    # With --json nothing but the JSON goes to stdout.
    with redirect_stdout(sys.stderr) if options.json else nullcontext():
        kept = run_frozen(
            config,
            folder,
            [h_of(source) for source in sources],
            data,
            seeds=options.seeds,
            masked=options.masked,
            control=not options.no_control,
            split=options.split,
            candidates=options.candidates,
            wandb=options.wandb,
            command=options.typed,
        )
    if kept is None:  # the first process speaks
        return
    show(blocks, {folder.name: kept}, options)
    for file in (folder / f"frozen{suffix}" for suffix in WRITTEN):
        if file.is_file() and not options.json:
            print(file)


def add_commands(subcommands: Any) -> None:
    command = add_command(
        subcommands, frozen, "bits that frozen h saves a fresh decoder", SETTINGS_HELP
    )
    command.add_shared("recipe")
    command.checks.append(checks.recipe)
    command.add_source(many=True)
    command.add_shared("--split", "--candidates")
    command.add_shared("--name", help="name of the study (default: frozen_ and the recipe's)")
    command.add_shared("--runs-dir", help="folder of the study")
    command.add_argument(
        "--seeds",
        type=NonNegativeInt,
        nargs="+",
        metavar="SEED",
        help="train everything with each of these seeds (default: the recipe's and the next two; "
        "fewer than three allow no verdict)",
    )
    command.add_argument(
        "--masked",
        action="store_true",
        help="train a further decoder of each source with random coordinates of h hidden, for the "
        "bits of each coordinate",
    )
    command.add_argument(
        "--no-control",
        action="store_true",
        help="train no decoder on a thumbnail, the positive control, and none on its null",
    )
    command.add_shared("--wandb", "--json")
