"""The command that says what h knows: classical probes and the online code."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt

from repr_toolkit.commands.options import DATA_HELP, Settings, add_command

PROBES = ("logistic", "ridge", "knn", "mlp")


def is_target(word: str) -> bool:
    """Whether a word of the command line is no source, so that it may be a target."""
    from repr_toolkit.representations import Source

    return not Source.parse(word).kind


def probe(options: Namespace, settings: Settings) -> None:
    """Say what representations know, by probes of every label and attribute of the data.

    These are read from h by logistic or ridge regression, k-NN and a small network, fitted on the
    training images, chosen on the validation images, scored on the test images with 95 % intervals;
    beside them the pixels, each run's encoder before training, each network with random weights.
    Random labels tell how much a probe merely memorises, and the online code how many bits the
    labels cost somebody who has h. NAME=SOURCE names a column. Each run keeps its own column and
    its baselines in RUN/analysis/, for the report.
    """
    from repr_toolkit.analyses.probing import ANALYSIS
    from repr_toolkit.analyses.probing import probe as probe_sources
    from repr_toolkit.commands.common import represent_options
    from repr_toolkit.commands.results import show
    from repr_toolkit.representations import Source
    from repr_toolkit.runs.kept import keep, unsaved
    from repr_toolkit.runs.run import Run
    from repr_toolkit.support.console import tell
    from repr_toolkit.support.files import write_json

    out = None if options.out is None else Path(options.out)

    result = probe_sources(
        options.sources,
        targets=options.targets,
        probes=options.probes,
        images=options.images,
        seed=options.seed,
        orders=options.orders,
        baselines=options.baselines,
        control=options.control,
        tell=tell,
        progress=not options.json,
        **represent_options(options, settings),
    )
    shown = unsaved(result, options.typed)
    if out is not None:
        write_json(out, {"command": shown.command, **shown.numbers})
    show(ANALYSIS.shown, {"": shown}, options)
    if out is not None and not options.json:
        print(f"\n{out}")
    for run in map(Run, result.runs):
        keep(run, ANALYSIS.name, result.of_run(run), options.typed, ANALYSIS.protocol)
    for source in map(Source.parse, options.sources):
        run = Run(source.path)
        if source.kind == "run" and not source.untrained and str(run.path) not in result.runs:
            tell(f"not kept in {run.path}/analysis: this is not the run's own h of its own images")


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, probe, "what h knows: probes, selectivity, bits", DATA_HELP)
    command.add_source(many=True)
    command.add_argument(
        "--targets",
        nargs="+",
        metavar="TARGET",
        words=is_target,
        help="labels and attributes to read: KEY, KEY[i], KEY=VALUE, or a label's name, up to "
        "a word that is a source (default: all keys)",
    )
    command.add_argument(
        "--probes",
        nargs="+",
        choices=PROBES,
        metavar="PROBE",
        help=f"{', '.join(PROBES)} (default: all)",
    )
    command.add_count("--images", None, "images of each split at the most (default: all)")
    command.add_shared("--seed")
    command.add_argument(
        "--orders", type=NonNegativeInt, default=3, help="random orders of the online code; 0: none"
    )
    for name, what in {
        "baselines": "pixels and untrained encoders beside the sources",
        "control": "random labels, for the selectivity",
    }.items():
        command.add_argument(
            f"--no-{name}", dest=name, action="store_false", help=f"leave out the {what}"
        )
    command.add_shared("--json")
    command.add_out("JSON to write the result to", suffixes=(".json",))
