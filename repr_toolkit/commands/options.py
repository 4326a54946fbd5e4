"""What the parsers of several commands share."""

import argparse

from jsonargparse import ArgumentParser, DefaultHelpFormatter
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt

Settings = dict[str, str]
"""Dotted names of a recipe's settings to the texts that they are set to."""

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


class HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help that keeps the line breaks of descriptions and names the defaults there are."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        plain = action.default in (None, False, [], argparse.SUPPRESS)
        return text if plain else f"{text} (default: %(default)s)"


def make_parser(description: str, version: str | None = None) -> ArgumentParser:
    """A parser that keeps the line breaks of its description."""
    parser = ArgumentParser(
        prog="repr-toolkit",
        description=description,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        version=version,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of every error")
    return parser


def add_training_options(command: ArgumentParser) -> None:
    """A recipe, and where its runs go."""
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


def add_run(command: ArgumentParser) -> None:
    """The run directory that a command is about."""
    command.add_argument("run", metavar="RUN", help="run directory, such as runs/NAME")


def add_weights(command: ArgumentParser) -> None:
    """The weights of the FaceNet that embeds photographs."""
    command.add_argument(
        "--weights",
        help="FaceNet's, as for `faces` (default: those on this machine that made the run's "
        "embeddings)",
    )


def add_drawing_options(command: ArgumentParser, out: str, *, temperature: float | None) -> None:
    """How to draw, and where the picture goes."""
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
