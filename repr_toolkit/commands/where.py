"""The command that measures whether things stand where h says."""

import json
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt

from repr_toolkit.commands.options import Settings, make_parser


def where(options: Namespace, settings: Settings) -> None:
    """Print how near to where h says things stand in samples; draw a picture where asked."""
    from repr_toolkit.analyses.placement import Placement
    from repr_toolkit.support.files import atomic_write, require_picture
    from repr_toolkit.support.pictures import DPI

    out = None if options.out is None else Path(options.out)
    if out is not None:
        require_picture(out, overwrite=options.overwrite)
    placement = Placement(
        options.runs,
        options.split,
        images=options.images,
        seed=options.seed,
        temperature=options.temperature,
        engine=options.engine,
        progress=not options.json,
    )
    result = placement.measure()
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print(f"{result['data']}, {result['split']}: {result['images']:,} images")
        print(f"{result['measure']} (95 % interval)")
        _show("the images themselves", result["real"])
        for run in result["runs"]:
            print(f"samples of {run['run']}")
            _show("own h", run["asked"])
            _show("another image's h", run["other"])
            if "versus_first" in run:
                _show("own h, minus the first run", run["versus_first"])
    if out is not None:
        figure = placement.picture(options.rows, options.columns)
        with atomic_write(out) as file:
            figure.savefig(file, dpi=DPI, format="png")
        if not options.json:
            print(out)


def _show(title: str, found: dict[str, float]) -> None:
    numbers = "{mean:8.3f}  ({low:.3f} … {high:.3f})".format(**found).replace("-", "−")
    print(f"  {title:28}{numbers}")


def add_commands(subcommands: Any) -> None:
    """Add the parsers of this module's commands."""
    command = make_parser(
        "Measure whether things stand where h says, in samples given the h of held-out images:\n"
        "for encoders that read `landmarks`, how far the eyes are from where they should be; for\n"
        "those that read `quadrant`, how often the ink is there. Beside it stand the same for\n"
        "another image's h (chance) and for the images themselves (what can be reached). Several\n"
        "runs are given the same h and noise, and compared to the first image by image."
    )
    command.add_argument("runs", nargs="+", metavar="RUN", help="run directories, of the same data")
    command.add_argument("--split", default="test", help="train, val or test")
    command.add_argument(
        "-n",
        "--images",
        type=PositiveInt,
        help="images of the split whose h is taken, one sample for each (default: all)",
    )
    command.add_argument("--seed", type=NonNegativeInt, default=0, help="of the noise")
    command.add_argument(
        "--temperature",
        type=NonNegativeFloat,
        default=1.0,
        help="of the distributions drawn from; 0 takes their modes",
    )
    command.add_argument(
        "--engine", default="auto", help="how to sample; auto is the fastest that works here"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--out", help="PNG to draw: samples, with crosses where h says")
    command.add_argument("--rows", type=PositiveInt, default=8, help="images in the picture")
    command.add_argument(
        "--columns", type=PositiveInt, default=3, help="samples of each run for each of them"
    )
    command.add_argument("--overwrite", action="store_true", help="replace --out if it exists")
    subcommands.add_subcommand("where", command, help="whether things stand where h says")
