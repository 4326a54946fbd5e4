"""What each command of the command line does: a few lines over the Python API.

A command is a function of its name in one of the modules. It takes the parsed options and the
settings, imports what it needs, and prints its result to stdout. Its parser stands beside it, in
the module's `add_commands`.
"""

from collections.abc import Callable

from jsonargparse import Namespace

from repr_toolkit.commands import (
    classify,
    embed,
    faces,
    frozen,
    information,
    invariance,
    likeness,
    portraits,
    probe,
    report,
    runs,
    traversal,
    verify,
    where,
)
from repr_toolkit.commands.options import Settings

MODULES = (
    runs,
    embed,
    classify,
    faces,
    portraits,
    likeness,
    verify,
    where,
    probe,
    invariance,
    traversal,
    information,
    frozen,
    report,
)
"""In the order in which `repr-toolkit --help` lists their commands."""


def function(command: str) -> Callable[[Namespace, Settings], None]:
    """The function of a command."""
    found: Callable[[Namespace, Settings], None]
    [found] = [vars(module)[command] for module in MODULES if command in vars(module)]
    return found
