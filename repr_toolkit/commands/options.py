"""What the parsers of several commands share."""

import argparse
from collections.abc import Callable
from inspect import getdoc
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt

from repr_toolkit.commands import checks
from repr_toolkit.commands.checks import Check, each

Settings = dict[str, str]
"""Dotted names of a recipe's settings to the texts that they are set to."""

Action = Callable[[Namespace, Settings], None]
"""What a command does, by its options and settings."""

SETTINGS_HELP = """\
Every entry of a recipe is a setting, written as an option with the dotted path to it; values are
YAML. `repr-toolkit train RECIPE --print_config` shows all that there is to set. For example:

  --training.steps 100 --training.validate_every 50 shorter
  --data.root ~/data --data.batch_size 64           other data, other batches
  --data.source my_images.npz                       your own images
  --model.decoder.init_args.layers 4                a smaller model
  --model.encoder.class_path my_project.nets.Mine   your own encoder
  --trainer.devices 4 --trainer.accelerator gpu     arguments of lightning.Trainer
"""

DATA_HELP = """\
A run brings its own data, and an .npz with embeddings is data. For everything else they are given:

  --data.source mnist5k                             a data set's name, an .npz file, a folder …
  --data.root ~/data --data.levels 16               and how it is read, as in a recipe: size, mode,
                                                    download, fold, folds, inner and binarise too
"""

PLACES_HELP = """\
The data are those that the run was trained on, and must have the same fingerprint. If they lie
elsewhere now:

  --data.root ~/data                                the folder that holds them
  --data.source my_images.npz                       the same images under another name
  --data.download true                              whether they may be fetched
"""

PICTURES = "PNG to write, with the values beside it; or the .npz alone"
"""What --out of the commands that draw is."""

OPTIONS: dict[str, dict[str, Any]] = {
    "recipe": {"metavar": "RECIPE", "help": "name of a packaged recipe, or a YAML file"},
    "run": {
        "metavar": "RUN",
        "help": "run directory, such as runs/NAME",
        "check": checks.finished_run,
    },
    "--name": {"help": "name of the run directory (default: the recipe's name)"},
    "--runs-dir": {"default": "runs", "help": "folder of the run directory"},
    "--split": {"default": "test", "help": "train, val or test", "check": checks.split},
    "--seed": {"type": NonNegativeInt, "default": 0, "help": "of whatever is random"},
    "--batch-size": {"type": PositiveInt, "default": 256, "help": "images at a time"},
    "--candidates": {
        "type": PositiveInt,
        "default": 16,
        "help": "h among which the lower bound finds own h",
    },
    "--engine": {
        "default": "auto",
        "help": "how to sample, by one of the model's engines; auto is the fastest that works here",
    },
    "--temperature": {
        "type": NonNegativeFloat,
        "help": "of the distributions drawn from; 0 takes their modes",
    },
    "--weights": {
        "help": "FaceNet's, as for `faces` (default: those on this machine that made the run's "
        "embeddings)",
        "check": checks.weights,
    },
    "--json": {"action": "store_true", "help": "print JSON"},
    "--resume": {"action": "store_true", "help": "go on with the job if it was cut short"},
    "--overwrite": {"action": "store_true", "help": "replace --out if it exists"},
    "--wandb": {
        "action": "store_true",
        "help": "log to Weights & Biases too (WANDB_MODE=offline works)",
    },
}
"""The arguments and options that several commands share, for `Command.add_shared`."""

SOURCE_OPTIONS: dict[str, dict[str, Any]] = {
    "--layer": {"help": "of a network: module whose output is h, by its name (default: the whole)"},
    "--pool": {
        "choices": ("mean", "max", "none", "cls", "patches"),
        "default": "mean",
        "help": "of a network: how its maps or tokens become one vector; none flattens them, cls "
        "takes the class token, patches the mean of the other tokens",
    },
    "--weights": {
        "help": "of a network: a .pt or .safetensors file, or a name such as DEFAULT, which may "
        "download; without it they are those that the network draws, or loads by itself",
        "check": checks.weights,
    },
    "--weights-seed": {
        "type": NonNegativeInt,
        "default": 0,
        "help": "of the weights that a network draws",
    },
    "--init-args": {
        "metavar": "{NAME: VALUE, …}",
        "help": "arguments of the encoder or network, as YAML",
    },
    "--image-size": {
        "metavar": "SIDE or HEIGHTxWIDTH",
        "help": "of a network: what its images are brought to (default: what it was made for, "
        "where it or its library says so; else their own size)",
    },
    "--components": {"type": PositiveInt, "default": 64, "help": "of pca"},
    "--batch-size": OPTIONS["--batch-size"],
}
"""How a source makes h; `repr_toolkit.commands.common.represent_options` reads these."""


class HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help that keeps the line breaks of descriptions and names the defaults there are."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        # Of a flag that turns something off the default is that it is on, which confuses.
        if isinstance(action.default, bool) or action.default in (None, [], argparse.SUPPRESS):
            return text
        return f"{text} (default: %(default)s)"


class Command(ArgumentParser):
    """The parser of a command, which keeps the line breaks of its description.

    Attributes:
        options: The arguments of `add_argument` by the names of options and positional arguments.
        commands: The parsers of commands by their names, in the parser of the whole program.
        finds_data: Whether settings say where the data of runs lie.
        checks: What is looked at of a command line before the command imports anything heavy.
    """

    def __init__(self, description: str, **how: Any) -> None:
        self.options: dict[str, dict[str, Any]] = {}
        self.commands: dict[str, Command] = {}
        self.finds_data = False
        self.checks: list[Action] = []
        super().__init__(
            prog="repr-toolkit",
            description=description,
            formatter_class=HelpFormatter,
            allow_abbrev=False,
            print_config=None,  # an option of some commands, which the library knows nothing of
            **how,
        )
        self.add_argument("--debug", action="store_true", help="show the traceback of every error")
        self.add_argument(
            "--trust", action="store_true", help="let runs import whatever they name, and say what"
        )

    def add_argument(
        self,
        *names: str,
        words: Callable[[str], object] | None = None,
        check: Check | None = None,
        **how: Any,
    ) -> argparse.Action:
        """Take an argument, and remember how.

        `words` says of each of several values, after which others may stand, whether it is one.
        `check` looks at each value and raises, before the command imports anything heavy.
        """
        self.options |= {name: {**how, "words": words} for name in names}
        action: argparse.Action = super().add_argument(*names, **how)
        if check is not None:
            self.checks.append(lambda options, settings: each(check, options[action.dest]))
        return action

    def add_shared(self, *names: str, **changes: Any) -> None:
        """Take those of `OPTIONS`, with `changes` to them."""
        for name in names:
            self.add_argument(name, **{**OPTIONS[name], **changes})

    def add_count(self, name: str, default: int | None, text: str) -> None:
        """Take a positive number."""
        self.add_argument(name, type=PositiveInt, default=default, help=text)

    def add_drawing(self, temperature: float | None = None, seed: str = "of the noise") -> None:
        """Take how to sample; a temperature of None is that of the decoder's reconstructions."""
        text = OPTIONS["--temperature"]["help"]
        if temperature is None:
            text += " (default: 1, or 0 for a decoder that reconstructs by its mean)"
        self.add_shared("--seed", help=seed)
        self.add_shared("--temperature", default=temperature, help=text)
        self.add_shared("--engine")

    def add_originals(self) -> None:
        """Take a run, and pictures or a number of images of a split."""
        self.add_shared("run")
        self.add_argument(
            "pictures",
            nargs="*",
            metavar="PICTURE",
            help="image files, scaled to the model's size; without any, some of a split are taken",
            check=checks.picture,
        )
        self.add_count("--images", 8, "originals that are taken from the split")
        self.add_shared("--split")

    def add_out(
        self,
        what: str = PICTURES,
        default: str | None = None,
        suffixes: tuple[str, ...] = (".png", ".npz"),
        **how: Any,
    ) -> None:
        """Take a file to write `what` to, and whether it may replace another."""
        self.add_argument("--out", default=default, help=what, **how)
        self.add_shared("--overwrite")
        self.checks.append(checks.new_output(*suffixes))

    def add_source(self, *, many: bool = False) -> None:
        """Take what makes h, and how: the one `source`, or with `many` some in `sources`.

        `repr_toolkit.commands.common.represent_options` reads how.
        """
        self.add_argument(
            "sources" if many else "source",
            metavar="SOURCE",
            nargs="+" if many else None,
            help="what makes h: a run directory, an .npz with embeddings, pixels, pca, thumbnail, "
            "labels, the import path of an encoder or of a network's class or function, or "
            "untrained:SOURCE; and a part of h before any of these: pca10: for ten principal "
            "components, scale1: for a scale of a flow's z",
        )
        for name, how in SOURCE_OPTIONS.items():
            self.add_argument(name, **how)
        self.checks.append(checks.sources)


def add_command(
    subcommands: Any, action: Action, summary: str, further: str = "", *, finds_data: bool = False
) -> Command:
    """The parser of a further command, named and described by its function.

    `summary` stands in the list of commands, `further` below the function's docstring. With
    `finds_data` settings say where the data of runs lie.
    """
    further = f"{further}\n{PLACES_HELP}" if finds_data else further
    command = Command(f"{getdoc(action)}\n\n{further.lstrip()}".rstrip())
    command.finds_data = finds_data
    subcommands.add_subcommand(action.__name__, command, help=summary)
    return command


def drawing(options: Namespace) -> dict[str, Any]:
    """Seed, temperature and engine as arguments of `sample`; and a bar, unless for --json."""
    named = {name: options[name] for name in ("seed", "temperature", "engine")}
    return {**named, "progress": not options.get("json", False)}
