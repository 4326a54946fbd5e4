"""The command that says what h knows: classical probes and the online code."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from repr_toolkit.commands.common import (
    SOURCE_OPTIONS,
    command_line,
    options_of,
    represent_source,
    tell_left,
)
from repr_toolkit.commands.options import DATA_HELP, Settings, add_keep, add_source, make_parser

if TYPE_CHECKING:
    from repr_toolkit.data import ImageData
    from repr_toolkit.representations import Representation

OPTIONS = (
    *SOURCE_OPTIONS,
    *("targets", "probes", "images", "seed", "orders", "no_baselines", "no_control"),
)
"""Those that decide what is found."""


def probe(options: Namespace, settings: Settings) -> None:
    """Print what probes find in several representations side by side; keep it."""
    from repr_toolkit.analyses.probing.columns import gather
    from repr_toolkit.analyses.probing.measure import probe_representations
    from repr_toolkit.analyses.probing.table import notes, table
    from repr_toolkit.runs.kept import save_analysis
    from repr_toolkit.support.files import require_json, write_json

    out = None if options.out is None else Path(options.out)
    if out is not None:
        require_json(out, overwrite=options.overwrite)

    def tell(message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    def represent(source: str, data: "ImageData | None") -> "tuple[Representation, ImageData]":
        given = options_of(source, options)
        return represent_source(given, settings, source, data, progress=not options.json)

    columns = gather(options.sources, represent, baselines=options.baselines, tell=tell)
    found = probe_representations(
        columns.representations,
        columns.data,
        encoders=columns.encoders,
        targets=options.targets,
        probes=options.probes,
        images=options.images,
        seed=options.seed,
        orders=options.orders,
        control=options.control,
        tell=tell,
    )
    words = ["probe", *options.sources]
    result: dict[str, Any] = {"command": command_line(words, OPTIONS, options, settings)}
    result |= {"sources": options.sources, **found.as_dict()}
    result["asked"] |= {"baselines": options.baselines}
    result["left_out"] = columns.left_out
    written = []
    for name, folder in columns.runs.items():
        if not _of_the_run(folder, options, columns.data):
            tell(f"not kept in {folder}/analysis: this is not the run's own h of its own images")
            continue
        others = [other for other in columns.runs if other != name]
        own = {**result, **found.without(others).as_dict()}
        own["asked"] |= {"baselines": options.baselines}
        kept = save_analysis(folder, "probe", own, keep=options.keep)
        tell_left(kept, folder, "probe")
        written += [] if kept is None else [kept]
    if out is not None:
        written.append(write_json(out, result))
    if options.json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    print(f"\n{found.data}, test: {found.targets[0].images['test']:,} images\n")
    print(table(found))
    print(notes(found, columns.left_out), end="")
    print(*["", *written], sep="\n")


def _of_the_run(folder: Path, options: Namespace, data: "ImageData") -> bool:
    """Whether what was probed is a run's h, not a layer's, of the images that it was trained on."""
    from repr_toolkit.analyses.probing.columns import named
    from repr_toolkit.runs.run import Run

    info = Run(folder).info
    own = (info["data"]["fingerprint"], info["levels"])
    [source] = [source for _, source in map(named, options.sources) if Path(source) == folder]
    whole = options_of(source, options).layer is None
    return whole and own == (data.fingerprint, data.levels)


def add_commands(subcommands: Any) -> None:
    """Add the parsers of this module's commands."""
    command = make_parser(
        "Say what representations know: every label and attribute of the data is read from h by\n"
        "logistic or ridge regression, k-NN and a small network, fitted on the training images,\n"
        "chosen on the validation images, scored on the test images with 95 % intervals; beside\n"
        "them the pixels, each run's encoder before training, each network with random weights.\n"
        "Random labels tell how much a probe merely memorises, and the online code how many bits\n"
        "the labels cost somebody who has h. NAME=SOURCE names a column. Kept in RUN/analysis/\n"
        "for the report.\n\n" + DATA_HELP
    )
    add_source(command, many=True)
    command.add_argument(
        "--targets",
        nargs="+",
        metavar="KEY",
        help="labels and attributes to read, by their keys (default: all there are)",
    )
    command.add_argument(
        "--probes", nargs="+", metavar="PROBE", help="logistic, ridge, knn or mlp (default: all)"
    )
    command.add_argument(
        "--images", type=PositiveInt, help="images of each split at the most (default: all)"
    )
    command.add_argument("--seed", type=NonNegativeInt, default=0, help="of whatever is random")
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
    add_keep(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--out", metavar="FILE.json", help="file to keep the result in")
    command.add_argument("--overwrite", action="store_true", help="replace --out if it exists")
    subcommands.add_subcommand("probe", command, help="what h knows: probes, selectivity, bits")
