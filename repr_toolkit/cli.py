"""The ``repr-toolkit`` command: its parser, its settings, and how its errors are told.

An option whose name has a dot is a recipe setting (``--training.steps 100``). The set of settings
is open, since it includes the arguments of anyone's classes, so `split_settings` takes them out of
the command line before the parser sees it. The heavy libraries are imported by the commands, never
by the parser: ``--help`` answers at once.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, DefaultHelpFormatter
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt

from repr_toolkit import __version__, commands

DESCRIPTION = """\
Autoencoders and representation learning on images: any encoder, exact-likelihood decoders.

  repr-toolkit recipes                          what there is to train
  repr-toolkit study bottleneck_mnist5k         PixelCNN and MSE autoencoders, and their comparison
  repr-toolkit evaluate runs/NAME               bits/dim on held-out images
  repr-toolkit reconstruct runs/NAME cat.jpg    what the decoder makes of a picture's h
"""

SETTINGS_HELP = """\
Every entry of a recipe is a setting, written as an option with the dotted path to it; values are
YAML. `repr-toolkit recipes NAME` shows what there is to set. For example:

  --training.steps 100 --training.validate_every 50 shorter
  --data.root ~/data --data.batch_size 64           other data, other batches
  --data.source my_images.npz                       your own images
  --model.decoder.init_args.layers 4                a smaller model
  --model.encoder.class_path my_project.nets.Mine   your own encoder
  --trainer.devices 4 --trainer.accelerator gpu     any argument of lightning.Trainer
"""

EXPECTED = (OSError, ValueError, TypeError, ImportError, FloatingPointError)
"""Errors that are told in one line: what the toolkit raises for wrong input. Others are bugs, and
keep their traceback; --debug shows that of these too."""


class HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help that keeps the line breaks of descriptions and names the defaults there are."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        plain = action.default in (None, False, [], argparse.SUPPRESS)
        return text if plain else f"{text} (default: %(default)s)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own); return the exit status.

    0 is success, 1 an error that is told in one line, 2 wrong usage, 130 an interruption.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # Last, so that a user's modules are found and shadow nothing that is installed.
    sys.path.append(str(Path.cwd()))
    parser = build_parser()
    try:
        words, settings = split_settings(argv)
    except ValueError as error:
        parser.error(str(error))
    args = parser.parse_args(words or ["--help"])
    command, options = args.command, args[args.command]
    if settings and command not in ("train", "study", "check"):
        parser.error(f"{command} takes no settings, but was given --{next(iter(settings))}")
    try:
        getattr(commands, command)(options, settings)
    except (KeyboardInterrupt, SystemExit) as stop:
        if not is_interruption(stop):
            raise
        print(f"\nInterrupted. {continuation(command, argv)}", file=sys.stderr)
        return 130
    except Exception as error:
        if args.debug or options.debug or not isinstance(error, EXPECTED):
            raise
        print(f"repr-toolkit: error: {error}", file=sys.stderr)
        return 1
    return 0


def split_settings(argv: Sequence[str]) -> tuple[list[str], commands.Settings]:
    """Part the options with a dot in their name from the rest of a command line.

    Both ``--a.b value`` and ``--a.b=value`` are understood; the last of two equal names holds.
    Raises ValueError for a setting without a value.

    >>> split_settings(["train", "x.yaml", "--training.steps", "9", "--name=v1.2", "--data.size=8"])
    (['train', 'x.yaml', '--name=v1.2'], {'training.steps': '9', 'data.size': '8'})
    """
    words: list[str] = []
    settings: commands.Settings = {}
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if not (name.startswith("--") and "." in name):
            words.append(word)
            continue
        if not equals:
            value = next(rest, "--")
            if value.startswith("--"):
                raise ValueError(f"the setting {name} needs a value, as in {name} VALUE")
        settings[name.removeprefix("--")] = value
    return words, settings


def is_interruption(stop: BaseException) -> bool:
    """Whether Ctrl-C stopped the command; Lightning turns the interruption into an exit."""
    return isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt)


def continuation(command: str, argv: Sequence[str]) -> str:
    """How to go on after an interruption, as a sentence; empty where nothing is kept."""
    if command not in ("train", "study", "sample"):
        return ""
    resume = ["--resume"] if command != "study" and "--resume" not in argv else []
    return "Go on from what is kept with:\n  " + shlex.join(["repr-toolkit", *argv, *resume])


def build_parser() -> ArgumentParser:
    """The parser of everything but the settings."""
    parser = _parser(DESCRIPTION, version=__version__)
    subcommands = parser.add_subcommands(dest="command", metavar="COMMAND", title="commands")

    command = _parser("List the packaged recipes, or print one of them as it is written.")
    command.add_argument("name", nargs="?", metavar="NAME", help="a recipe to print")
    subcommands.add_subcommand("recipes", command, help="list the recipes, or print one")

    command = _parser("Train one model.\n\n" + SETTINGS_HELP)
    _add_training_options(command)
    command.add_argument(
        "--resume", action="store_true", help="go on with the run from its last checkpoint"
    )
    subcommands.add_subcommand("train", command, help="train one model")

    command = _parser(
        "Train the variants of a recipe's `study`, then compare them: figure6.png,\n"
        "comparison.csv and comparison.md. The same command again skips the variants that are\n"
        "done and resumes the one that was cut short. Settings change what the variants share.\n\n"
        + SETTINGS_HELP
    )
    _add_training_options(command)
    subcommands.add_subcommand("study", command, help="train several variants and compare them")

    command = _parser(
        "Print the bits/dim of a run on a split of its data, with the standard error; where there\n"
        "is an encoder, also given another image's h, and the difference of the two."
    )
    _add_run(command)
    command.add_argument("--split", default="test", help="train, val or test")
    command.add_argument("--batch-size", type=PositiveInt, default=256, help="images at a time")
    command.add_argument("--json", action="store_true", help="print JSON")
    subcommands.add_subcommand("evaluate", command, help="bits/dim of a run on a split")

    command = _parser(
        "Draw new images: without an encoder from p(x); with an encoder of labels, N for each of\n"
        "the labels given; with any encoder, N from the h of images of a split: of N of them, or\n"
        "of all in turn where N is larger. The noise of image i follows from --seed and i alone.\n"
        "\n"
        "Any N fits into memory: chunks that are done are kept in NAME.parts beside --out until\n"
        "all are there, and after a kill the same command goes on with --resume. Started by\n"
        "torchrun or srun, the processes share the chunks."
    )
    _add_run(command)
    command.add_argument("-n", type=PositiveInt, default=16, help="images (for each label)")
    command.add_argument(
        "--labels", type=NonNegativeInt, nargs="+", metavar="LABEL", help="classes to draw"
    )
    _add_drawing_options(command, "sample.png", temperature=1.0)
    command.add_argument(
        "--chunk-size", type=PositiveInt, default=256, help="images drawn and kept at a time"
    )
    command.add_argument(
        "--resume", action="store_true", help="go on with the job if it was cut short"
    )
    subcommands.add_subcommand("sample", command, help="draw new images")

    command = _parser(
        "Draw what the decoder makes of each picture's h. Every row of the result is an original\n"
        "and N reconstructions of it; a column has the same noise in every row."
    )
    _add_run(command)
    command.add_argument(
        "pictures",
        nargs="*",
        metavar="PICTURE",
        help="image files, scaled to the model's size; without any, images of a split are taken",
    )
    command.add_argument("-n", type=PositiveInt, default=4, help="reconstructions of each original")
    command.add_argument(
        "--images", type=PositiveInt, default=8, help="originals that are taken from the split"
    )
    _add_drawing_options(command, "reconstruct.png", temperature=None)
    subcommands.add_subcommand("reconstruct", command, help="draw reconstructions of pictures")

    command = _parser(
        "Check that an encoder or decoder class, yours or ours, keeps its contract: shapes,\n"
        "likelihood, causality, no blind spot, h reaches everywhere. Arguments of the class are\n"
        "given as settings: --init_args.features 8"
    )
    command.add_argument(
        "class_path", metavar="CLASS_PATH", help="import path, such as my_project.nets.ChannelMean"
    )
    subcommands.add_subcommand("check", command, help="check anyone's encoder or decoder")
    return parser


def _parser(description: str, version: str | None = None) -> ArgumentParser:
    parser = ArgumentParser(
        prog="repr-toolkit",
        description=description,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        version=version,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of every error")
    return parser


def _add_training_options(command: ArgumentParser) -> None:
    command.add_argument(
        "recipe", metavar="RECIPE", help="name of a packaged recipe, or a YAML file"
    )
    command.add_argument("--name", help="name of the run directory (default: the recipe's name)")
    command.add_argument("--runs-dir", default="runs", help="folder of the run directory")
    command.add_argument(
        "--wandb",
        action="store_true",
        help="log to Weights & Biases too (WANDB_MODE=offline works)",
    )
    command.add_argument("--seed", type=NonNegativeInt, help="instead of the recipe's seed")


def _add_run(command: ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help="run directory, such as runs/NAME")


def _add_drawing_options(command: ArgumentParser, out: str, *, temperature: float | None) -> None:
    command.add_argument("--split", default="test", help="train, val or test")
    command.add_argument("--seed", type=NonNegativeInt, default=0, help="of the noise")
    command.add_argument(
        "--temperature",
        type=NonNegativeFloat,
        default=temperature,
        help="of the distributions drawn from; 0 takes their modes",
    )
    command.add_argument(
        "--engine",
        default="auto",
        help="how to sample: naive, fixed_point, cached, native or graph, of which a model has "
        "some, or direct; auto is the fastest that works here",
    )
    command.add_argument(
        "--out", default=out, help="PNG to write, with the values beside it; or the .npz alone"
    )
    command.add_argument("--overwrite", action="store_true", help="replace --out if it exists")
