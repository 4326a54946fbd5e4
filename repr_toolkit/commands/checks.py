"""What is wrong about a command line and can be seen before anything heavy is imported.

Each function raises as the command itself would, only sooner: within a second, where the import of
torch alone takes several. What needs images or a model is left to the command.
"""

from collections.abc import Callable
from os import environ
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

Check = Callable[[str], None]
"""Looks at one value of an option."""
WholeCheck = Callable[[Namespace, dict[str, str]], None]
"""Looks at all options and settings."""

SPLITS = ("train", "val", "test")
WRITTEN = {".png": "the picture", ".npz": "the data file", ".json": "the result"}
"""What a file is that ends so, if it is the only one that a command writes."""


def finished_run(path: str) -> None:
    """A run directory whose training has ended."""
    from repr_toolkit.runs.directory import require_finished

    require_finished(Path(path))


def runs(path: str) -> None:
    """A run directory whose training has ended, or a folder of some."""
    from repr_toolkit.runs.directory import require_runs

    require_runs(Path(path))


def run_or_data(options: Namespace, settings: dict[str, str]) -> None:
    """A run directory, or what names data."""
    from repr_toolkit.data.names import require_known
    from repr_toolkit.runs.directory import CONFIG

    target = options.target
    if not (Path(target) / CONFIG).is_file():
        try:
            require_known(target, settings.get("data.root"))
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(f"{target} is no run, and no data either: {error}") from error


def split(name: str) -> None:
    """The name of a split."""
    if name not in SPLITS:
        raise ValueError(f"the data have no split {name!r}; they have {', '.join(SPLITS)}")


def picture(name: str) -> None:
    """A picture's file."""
    if not Path(name).exists():
        raise FileNotFoundError(f"there is no picture {name}")


def picture_or_number(name: str) -> None:
    """A picture's file, or the number of an image."""
    if not name.isdecimal():
        picture(name)


def mask(name: str) -> None:
    """The name of a mask, or a picture's file."""
    masks = ("top", "left", "box")
    if name not in masks and not Path(name).exists():
        raise FileNotFoundError(
            f"--mask is {', '.join(masks)} or a picture, and there is no {name}"
        )


def folder(name: str) -> None:
    """A folder of photographs."""
    if not Path(name).is_dir():
        kind = NotADirectoryError if Path(name).exists() else FileNotFoundError
        raise kind(f"{name} is no folder; give the one that holds the photographs")


def weights(name: str) -> None:
    """A name of weights, or their file."""
    from repr_toolkit.support.reading import WEIGHTS_FILES

    if name.endswith(WEIGHTS_FILES) and not Path(name).expanduser().is_file():
        raise FileNotFoundError(f"there is no file {name} of weights")


def class_path(path: str) -> None:
    """The import path of a class."""
    from repr_toolkit.support.importing import require_here

    require_here(path)


def new_output(*suffixes: str) -> WholeCheck:
    """Of --out or OUT: a file to write, or with two suffixes a picture and the values beside it.

    A job that goes on may find the file, and so may a process that was started beside the first.
    """

    def check(options: Namespace, settings: dict[str, str]) -> None:
        from repr_toolkit.support.files import refuse_unwritable, require_writable

        if options.out is None or options.get("resume", False) or further_process():
            return
        path, overwrite = Path(options.out), options.overwrite
        if len(suffixes) > 1:
            refuse_unwritable(path, overwrite=overwrite)
        else:
            require_writable(path, WRITTEN[suffixes[0]], suffixes[0], overwrite=overwrite)

    return check


def sources(options: Namespace, settings: dict[str, str]) -> None:
    """What makes each h, and the data that settings name."""
    from repr_toolkit.data.names import require_known
    from repr_toolkit.representations.names import Source, require_source

    root = settings.get("data.root")
    if "data.source" in settings:
        require_known(settings["data.source"], root)
    for text in options.get("sources") or [options.source]:
        source = Source.parse(text)
        require_source(source)
        if source.kind == "file":
            require_known(source.path, root)


def recipe(options: Namespace, settings: dict[str, str]) -> None:
    """A recipe with its settings, the data, and the modules of the model's classes.

    A run that is resumed knows of its own where they are, printing needs none of them, and beside a
    run's config.yaml there are copies of the modules.
    """
    from repr_toolkit.config.recipe import given, load_recipe
    from repr_toolkit.data.names import require_known
    from repr_toolkit.support.copies import has_copies
    from repr_toolkit.support.importing import require_here

    config = given(load_recipe(options.recipe), settings)
    if options.get("resume", False) or options.get("print_config", False):
        return
    parts = filter(None, (config["model"].get(name) for name in ("encoder", "decoder")))
    for part in () if has_copies(Path(options.recipe).parent) else parts:
        require_here(part["class_path"])
    require_known(*(config["data"][key] for key in ("source", "root", "place")))


def further_process() -> bool:
    """Whether another process was started before this one, and may have begun their work."""
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK")
    return any(environ.get(name) not in (None, "", "0") for name in names)


def each(check: Check, values: Any) -> None:
    """Look at the value of an option, or at each of several."""
    for value in [values] if isinstance(values, str) else values or ():
        check(value)
