"""The command that keeps h of a data set, as a data file."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from repr_toolkit.commands.common import represent_options
from repr_toolkit.commands.options import DATA_HELP, Settings, add_source, make_parser


def embed(options: Namespace, settings: Settings) -> None:
    """Write h of all images of a data set beside them, and who made it."""
    from repr_toolkit.representations import represent, write_embedding
    from repr_toolkit.support.files import require_writable

    out = Path(options.out)
    require_writable(out, "the data file", ".npz", overwrite=options.overwrite)
    h, data = represent(options.source, **represent_options(options, settings), progress=True)
    write_embedding(out, h, data, overwrite=options.overwrite)
    counts = ", ".join(f"{len(values):,} {split}" for split, values in h.h.items())
    print(f"{h.name}: h of {h.dim} numbers for the images of {data.name} ({counts})")
    print(f"  made by  {h.made_by}")
    print(f"  of       {h.fingerprint}, {h.levels} levels")
    print(out)


def add_commands(subcommands: Any) -> None:
    """Add the parsers of this module's commands."""
    command = make_parser(
        "Compute h of every image of a data set, by a run's encoder, any layer of any torch\n"
        "network, or whatever else makes one, and write a data file: the images with all that\n"
        "is known of them, h as their embedding, who made it, and of which data it is. Train a\n"
        "decoder on it by --data.source FILE.npz and repr_toolkit.encoders.Precomputed, or give\n"
        "it to the commands that measure h.\n\n" + DATA_HELP
    )
    add_source(command)
    command.add_argument("--out", required=True, metavar="FILE.npz", help="data file to write")
    command.add_argument("--overwrite", action="store_true", help="replace --out if it exists")
    subcommands.add_subcommand("embed", command, help="h of a data set, as a data file")
