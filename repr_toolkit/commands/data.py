"""The commands that look at data, and write a recipe for a folder of images."""

import shlex
from collections.abc import Iterable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from repr_toolkit.commands.options import Settings, add_command

if TYPE_CHECKING:
    from repr_toolkit.page.blocks import Block

HOW = """\
How SOURCE is read is set as in a recipe:

  --data.size 32 --data.mode RGB                    of a folder: side in pixels, RGB or grey
  --data.root ~/data --data.levels 16               and binarise, fold, folds, inner, download
"""


def data(options: Namespace, settings: Settings) -> None:
    """Show what data hold, before any training.

    That is splits, classes, sizes, modes, levels, keys and groups, what was skipped, and a sheet of
    some of the images. SOURCE is anything that data.source of a recipe can be. A folder of images
    is shown also where it cannot be trained on as it is, with the reason. With --json there is a
    sheet only where --out names one.
    """
    from repr_toolkit.data.names import image_folder, require_known
    from repr_toolkit.support.files import require_writable

    if "data.source" in settings:
        raise ValueError(f"the source is named twice: {options.source} and --data.source")
    name = Path(options.source).resolve().name
    out = None if options.json else Path(f"{name}.contact.png")
    out = Path(options.out) if options.out else out
    if out is not None:
        require_writable(out, "the contact sheet", ".png", overwrite=options.overwrite)
    require_known(options.source, settings.get("data.root"))

    from repr_toolkit.commands.settings import data_settings
    from repr_toolkit.data.folder import survey_folder
    from repr_toolkit.data.sources import load_data
    from repr_toolkit.page import overview
    from repr_toolkit.page.terminal import as_text
    from repr_toolkit.support.files import json_text
    from repr_toolkit.support.pictures import write_png

    how = data_settings(settings)
    folder = image_folder(options.source, how.get("root"))
    survey = survey_folder(folder) if folder else None
    problem = survey.obstacle(how.get("size"), how.get("mode")) if survey else ""
    numbers: dict[str, Any] = {"command": options.typed}

    def show(blocks: "Iterable[Block]") -> None:
        if not options.json:
            print(as_text(blocks))

    if survey:
        numbers["files"] = overview.survey_numbers(survey, problem)
        show(overview.survey_blocks(survey))
    if survey and problem:
        counts = overview.file_counts(survey)
        show([overview.class_table(counts)])
        pictures, levels = partial(overview.file_pictures, survey), 256
    else:
        loaded = load_data(options.source, **how)
        numbers |= overview.data_numbers(loaded)
        show(overview.data_blocks(loaded))
        counts = overview.class_counts(loaded)
        pictures, levels = partial(overview.data_pictures, loaded), loaded.levels
        out = out if "image" in loaded.arrays else None
    if out is not None:
        sheet = pictures()
        write_png(out, overview.contact_sheet(sheet, levels))
        classes, shown = len({*chain(*counts.values())}), len(sheet["train"])
        some = f", of {shown} of the {classes:,} classes" if shown < classes else ""
        if not options.json:
            print(f"some of the images{some}: {out}")
    if options.json:
        numbers["sheet"] = str(out) if out else None
        print(json_text(numbers), end="")
    elif out is None:
        print("there are no images, and so no sheet of them")
    if problem:
        raise ValueError(f"it cannot be trained on as it is: {problem}")


def init(options: Namespace, settings: Settings) -> None:
    """Write a recipe for a folder of images, which trains as it is.

    It is NAME.yaml in the current folder; `repr-toolkit study NAME.yaml` then trains PixelCNN and
    MSE autoencoders and draws Figure 6 of arXiv:1606.05328 of the images. What is in it follows
    from the folder: mode, size, steps by the number of images, and whether they may be mirrored.
    """
    from repr_toolkit.config.starter import recipe_name, starter_recipe

    folder = Path(options.folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if not str(folder.resolve()).isprintable():
        raise ValueError(f"a recipe cannot name the folder {str(folder)!r}; rename it")
    name = options.name or recipe_name(folder.resolve().name)
    if name != recipe_name(name):
        raise ValueError(f"--name is of letters, digits, _, . and -, such as {recipe_name(name)}")
    out = Path(f"{name}.yaml")
    if out.exists():
        raise FileExistsError(f"{out} exists; choose another --name, or delete it")

    from repr_toolkit.data.folder import survey_folder
    from repr_toolkit.data.walk import skipped_text
    from repr_toolkit.support.files import write_text

    survey = survey_folder(folder)
    shell = shlex.quote(str(folder))
    text = starter_recipe(survey, name, str(folder.resolve()), shell, options.size)
    write_text(out, text)
    layout = survey.layout
    print(f"{len(layout.files):,} images in {folder}")
    if layout.skipped:
        print(skipped_text(layout.skipped))
    print(f"wrote {out}\nNext: repr-toolkit study {out}")


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, data, "show what data hold, before training", HOW)
    command.add_argument(
        "source", metavar="SOURCE", help="a folder of images, an .npz file, or a data set's name"
    )
    what = "PNG with some of the images (default: SOURCE.contact.png, or none with --json)"
    command.add_out(what, suffixes=(".png",))
    command.add_shared("--json")

    command = add_command(subcommands, init, "write a recipe for a folder of images")
    command.add_argument("folder", metavar="FOLDER", help="folder of images")
    command.add_count("--size", 32, "side of the images in pixels")
    command.add_argument("--name", help="of the recipe, NAME.yaml (default: the folder's)")
