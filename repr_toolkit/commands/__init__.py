"""What each command of the command line does: a few lines over the Python API.

A command is a function of its name in one of the modules. It takes the parsed options and the
settings, imports what it needs, and prints its result to stdout. Its docstring is its help. Its
parser stands beside it, in the module's `add_commands`.
"""

from repr_toolkit.commands import (
    classify,
    complete,
    data,
    embed,
    faces,
    field,
    frozen,
    information,
    invariance,
    kept,
    likeness,
    portraits,
    probe,
    report,
    runs,
    traversal,
    verify,
    where,
)
from repr_toolkit.commands.options import Action

MODULES = (
    data,
    runs,
    complete,
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
    field,
    report,
    kept,
)
"""In the order in which `repr-toolkit --help` lists their commands."""


def function(name: str) -> Action:
    """The function of a command."""
    command: Action = next(vars(module)[name] for module in MODULES if name in vars(module))
    return command
