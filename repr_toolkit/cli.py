"""The `repr-toolkit` command: its parser, its settings and its error messages.

An option whose name has a dot is a recipe setting (`--training.steps 100`). The set of settings is
open, since it includes the arguments of anyone's classes, so `split_settings` takes them out of the
command line before the parser sees it. The commands import the heavy libraries, the parser never
does: `--help` answers at once.
"""

import shlex
import signal
import sys
from collections.abc import Sequence
from contextvars import copy_context

from jsonargparse import Namespace

from repr_toolkit import __version__, commands
from repr_toolkit.commands.checks import further_process
from repr_toolkit.commands.options import Command, Settings
from repr_toolkit.commands.settings import PLACES, data_settings
from repr_toolkit.commands.words import in_order
from repr_toolkit.support.console import print_anything, write_error
from repr_toolkit.support.pulse import pulse
from repr_toolkit.support.reading import of_memory
from repr_toolkit.support.signals import Stopped, termination_raised
from repr_toolkit.support.speech import speak_options

DESCRIPTION = """\
Autoencoders and representation learning on images: any encoder, exact-likelihood decoders.

  repr-toolkit recipes                          what there is to train
  repr-toolkit study bottleneck_mnist5k         PixelCNN and MSE autoencoders, and their comparison
  repr-toolkit evaluate runs/NAME               bits/dim on held-out images
  repr-toolkit reconstruct runs/NAME cat.jpg    what the decoder makes of a picture's h
"""

EXPECTED = (
    OSError,
    ValueError,
    TypeError,
    ImportError,
    FloatingPointError,
    MemoryError,
    RecursionError,
)
"""The errors that the toolkit raises for wrong input, shown in one line. Others are bugs and show
their traceback; with --debug these do too."""

TAKE_SETTINGS = ("train", "study", "check", "field", "embed", "probe", "frozen", "data")
"""Commands whose settings are a recipe's, or arguments of a class or of loading data; other ones
take those alone that say where the data of runs lie (`Command.finds_data`)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own); return the exit status.

    0 is success, 1 an error that is shown in one line, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.
    """
    print_anything()
    argv = list(sys.argv[1:] if argv is None else argv)
    args, settings = parse(argv)
    command, options = args.command, args[args.command]
    try:
        with termination_raised():
            # In a context of its own: what one command trusts, another in this process does not.
            copy_context().run(_run, command, options, settings, trust=args.trust or options.trust)
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning turns an interruption into an exit.
        if KeyboardInterrupt in (type(stop), type(stop.__context__)):
            stop = Stopped(signal.SIGINT)
        if not isinstance(stop, Stopped):
            raise
        status = int(stop.code or 0)
        if status:  # not of a process that trains beside the first
            print(f"repr-toolkit: {stop}{continuation(command, argv)}", file=sys.stderr)
        return status
    except Exception as error:
        expected = isinstance(error, EXPECTED) or of_memory(error)
        if args.debug or options.debug or not expected:
            raise
        print(f"repr-toolkit: error: {_in_words(error)}", file=sys.stderr)
        return 1
    return 0


def _in_words(error: Exception) -> str:
    """An error in one line."""
    said = " ".join(str(error).split("\n"))
    if of_memory(error):
        return f"there is not memory enough ({said or 'no more could be had'})"
    if isinstance(error, RecursionError):
        return f"something is nested too deeply ({said})"
    return said


def _run(command: str, options: Namespace, settings: Settings, *, trust: bool) -> None:
    speak_options()
    if trust:
        from repr_toolkit.config.trust import EVERYTHING, trust_paths

        trust_paths(EVERYTHING)
    for check in options.checks:
        check(options, settings)
    if settings and command not in TAKE_SETTINGS:
        given = data_settings(settings)
        from repr_toolkit.runs.places import look_for_data

        look_for_data(**given)
    shown = not (options.get("json", False) or further_process())
    with pulse("starting", write_error, shown=shown):
        commands.function(command)(options, settings)


def parse(argv: Sequence[str]) -> tuple[Namespace, Settings]:
    """What a command line says, options and positional words in any order; its settings apart.

    Wrong usage ends the program with status 2.
    """
    parser = build_parser()
    try:
        words, settings = split_settings(argv)
    except ValueError as error:
        parser.error(str(error))
    command = next((word for word in words if not word.startswith("-")), "")
    if command in parser.commands:
        start = words.index(command) + 1
        words[start:] = in_order(words[start:], parser.commands[command].options)
    args = parser.parse_args(words or ["--help"])
    finds_data = command in parser.commands and parser.commands[command].finds_data
    known = [f"data.{name}" for name in PLACES] if finds_data else []
    for name in () if command in TAKE_SETTINGS else settings:
        if name not in known:
            takes = f"the settings --{', --'.join(known)}" if known else "no settings"
            parser.error(f"{command} takes {takes}, but was given --{name}")
    args[command].typed = shlex.join(["repr-toolkit", *argv])
    args[command].checks = parser.commands[command].checks
    return args, settings


def split_settings(argv: Sequence[str]) -> tuple[list[str], Settings]:
    """Separate the options with a dot in their name from the rest of a command line.

    Both `--a.b value` and `--a.b=value` are understood; the last of two equal names holds.
    Raises ValueError for a setting without a value.

    >>> split_settings(["train", "x.yaml", "--training.steps", "9", "--name=v1.2", "--data.size=8"])
    (['train', 'x.yaml', '--name=v1.2'], {'training.steps': '9', 'data.size': '8'})
    """
    words: list[str] = []
    settings: Settings = {}
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


def continuation(command: str, argv: Sequence[str]) -> str:
    """How to go on after an interruption, to end a line; "" if nothing was saved."""
    if command not in ("train", "study", "frozen", "sample", "faces"):
        return ""
    by_itself = command in ("study", "frozen") or "--resume" in argv
    resume = [] if by_itself else ["--resume"]
    end = argv.index("--") if "--" in argv else len(argv)
    return "; go on with: " + shlex.join(["repr-toolkit", *argv[:end], *resume, *argv[end:]])


def build_parser() -> Command:
    """The parser of everything but the settings."""
    parser = Command(DESCRIPTION, version=__version__)
    subcommands = parser.add_subcommands(dest="command", metavar="COMMAND", title="commands")
    for module in commands.MODULES:
        module.add_commands(subcommands)
    parser.commands = subcommands.choices
    return parser
