"""The command that keeps h of a data set, as a data file."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from repr_toolkit.commands.options import DATA_HELP, Settings, add_command


def embed(options: Namespace, settings: Settings) -> None:
    """Compute h of every image of a data set, and write it beside the images, as a data file.

    By a run's encoder, any layer of any torch network, or whatever else makes an h. The file holds
    the images with all that is known of them, h as their embedding, who made it, and of which data
    it is. Train a decoder on it by --data.source FILE.npz and repr_toolkit.encoders.Precomputed, or
    give it to the commands that measure h.
    """
    from repr_toolkit.commands.common import represent_options
    from repr_toolkit.representations import represent, write_embedding

    out = Path(options.out)
    h, data = represent(options.source, **represent_options(options, settings), progress=True)
    write_embedding(out, h, data, overwrite=options.overwrite)
    counts = ", ".join(f"{len(values):,} {split}" for split, values in h.h.items())
    print(f"{h.name}: h of {h.dim} numbers for the images of {data.name} ({counts})")
    print(f"  made by  {h.made_by}")
    if h.weights:
        print(f"  weights  {h.weights}")
    if h.input:
        print(f"  input    {h.input}")
    print(f"  of       {h.fingerprint}, {h.levels} levels")
    print(out)


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, embed, "h of a data set, as a data file", DATA_HELP)
    command.add_source()
    command.add_out("data file to write", suffixes=(".npz",), required=True, metavar="FILE.npz")
