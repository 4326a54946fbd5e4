"""The settings data.… of commands that take no recipe. Nothing here imports torch."""

from typing import Any

from repr_toolkit.commands.options import Settings
from repr_toolkit.config.recipe import complete
from repr_toolkit.config.sections import DATA_ARGUMENTS
from repr_toolkit.config.yaml_text import parse_yaml

DATA = [name for name in DATA_ARGUMENTS if name != "place"]
PLACES = ("root", "source", "download")
"""Those that say where the data of a run lie; how they are read the run states itself."""


def data_settings(settings: Settings) -> dict[str, Any]:
    """Settings data.… as arguments of `repr_toolkit.data.load_data`, those that were given.

    Raises ValueError for any other setting, and for a value that cannot be.
    """
    given = {}
    for setting, text in settings.items():
        section, _, name = setting.partition(".")
        if section != "data" or name not in DATA:
            known = ", ".join(f"--data.{known}" for known in DATA)
            raise ValueError(f"--{setting} is no setting of the data; there are {known}")
        given[name] = parse_yaml(text)
    # The checks are a recipe's own; what it needs beside the data is not looked at.
    recipe = {"data": {"source": "", **given}, "model": {"decoder": {"class_path": "unused"}}}
    checked = complete(recipe)["data"]
    return {name: checked[name] for name in given}
