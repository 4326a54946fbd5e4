"""What each command of the command line does: a few lines over the Python API.

Every command takes the parsed options and the settings (dotted names to texts), imports what it
needs, and prints its result to stdout.
"""

from repr_toolkit.commands.runs import check, evaluate, recipes, reconstruct, sample, study, train

__all__ = [
    "Settings",
    "check",
    "evaluate",
    "recipes",
    "reconstruct",
    "sample",
    "study",
    "train",
]

Settings = dict[str, str]
"""Dotted names to the texts that they are set to."""
