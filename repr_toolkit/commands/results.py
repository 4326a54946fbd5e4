"""What the commands of analyses do with what was measured: keep it, print it, draw it, log it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from matplotlib.figure import Figure
from PIL.Image import Image
from torch import Tensor

from repr_toolkit.analyses.base import Analysis
from repr_toolkit.page.blocks import Block
from repr_toolkit.page.terminal import as_text
from repr_toolkit.runs.kept import Findings, Kept, unsaved
from repr_toolkit.runs.kept import keep as keep_with_run
from repr_toolkit.runs.run import Run, distinct_names
from repr_toolkit.support.files import (
    atomic_write,
    json_text,
    refuse_unwritable,
    require_writable,
    write_npz,
)
from repr_toolkit.support.pictures import image_grid, write_png


def keep_and_show(
    analysis: Analysis,
    findings: Mapping[Run, Findings],
    options: Namespace,
    *,
    keep: bool = True,
) -> dict[str, Kept]:
    """Keep what was measured of each run with it, and print its tables, or JSON with --json.

    JSON is the findings' own dict for one run, and a list of them for several. Without `keep` the
    findings are only shown. Returned is what was shown, by the runs' names. It is shown first, so
    that a folder in which nothing may be written costs no result.
    """
    results = {
        name: unsaved(result, options.typed)
        for name, result in zip(distinct_names(list(findings)), findings.values(), strict=True)
    }
    show(analysis.shown, results, options)
    if keep:
        for run, result in findings.items():
            keep_with_run(run, analysis.name, result, options.typed, analysis.protocol)
    return results


def show(
    blocks: Callable[[Mapping[str, Kept]], list[Block]],
    results: Mapping[str, Kept],
    options: Namespace,
) -> None:
    """Print the tables of results, or with --json their dict, of several a list of them."""
    if options.json:
        numbers = [{"command": result.command, **result.numbers} for result in results.values()]
        print(json_text(numbers if numbers[1:] else numbers[0]), end="")
    else:
        print(as_text(blocks(results)), end="")


def require_picture(options: Namespace) -> None:
    """Raise, before the work, where --out is given and no PNG can be written there."""
    if options.out is not None:
        require_writable(Path(options.out), "the picture", ".png", overwrite=options.overwrite)


def require_pictures(options: Namespace) -> None:
    """Raise, before the work, where --out is given and pictures and values cannot be written."""
    if options.out is not None:
        refuse_unwritable(Path(options.out), overwrite=options.overwrite)


def save_picture(
    draw: Callable[[], Image | Figure],
    options: Namespace,
    values: Mapping[str, Any] | None = None,
) -> None:
    """Write `values` to the .npz beside --out, then what `draw` draws to it, and name the files.

    Each is written whole. Where --out ends in .npz it gets the values alone. Raises as before the
    work, since somebody may have written there meanwhile.
    """
    (require_picture if values is None else require_pictures)(options)
    out = Path(options.out)
    if values is not None:
        with atomic_write(out.with_suffix(".npz")) as file:
            write_npz(file, values)
    if out.suffix == ".png":
        write_png(out, draw())
    if not options.get("json", False):
        name_outputs(out, *([] if values is None else [out.with_suffix(".npz")]))


def save_rows(
    rows: Tensor,
    levels: int,
    options: Namespace,
    more: Mapping[str, Any] | None = None,
    **names: Sequence[str],
) -> None:
    """Write rows of images, uint8 (rows, columns, C, H, W), to --out, and name the files.

    `more` are further arrays for the .npz, whose images are not enlarged. `column_names` and
    `row_names` stand in the picture.
    """
    images = rows.flatten(0, 1).cpu()
    grid = image_grid(images, columns=rows.shape[1], levels=levels, **names)
    save_picture(lambda: grid, options, {"image": images.numpy(), "levels": levels, **(more or {})})


def name_outputs(*files: Path) -> None:
    """Print the files that were written, each once."""
    for file in dict.fromkeys(files):
        print(file)
