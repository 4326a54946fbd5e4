"""What the commands of analyses do with what was measured: keep it, print it, draw it, log it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

if TYPE_CHECKING:
    from torch import Tensor

    from repr_toolkit.analyses.base import Analysis
    from repr_toolkit.runs.kept import Findings, Kept
    from repr_toolkit.runs.run import Run


def keep_and_show(
    analysis: "Analysis",
    findings: "Mapping[Run, Findings]",
    options: Namespace,
    *,
    keep: bool = True,
) -> "dict[str, Kept]":
    """Keep what was measured of each run with it, and print its tables, or JSON with --json.

    JSON is the findings' own dict for one run, and a list of them for several. Without `keep` the
    findings are only shown. Returned is what was shown, by the runs' names. It is shown first, so
    that a folder in which nothing may be written costs no result.
    """
    from repr_toolkit.runs.kept import Kept
    from repr_toolkit.runs.kept import keep as keep_with_run
    from repr_toolkit.runs.run import distinct_names

    results = {
        name: Kept(result.asked, options.typed, "", "", result.as_dict(), None, result.arrays())
        for name, result in zip(distinct_names(list(findings)), findings.values(), strict=True)
    }
    show(analysis, results, options)
    if keep:
        for run, result in findings.items():
            keep_with_run(run, analysis.name, result, options.typed)
    return results


def show(analysis: "Analysis", results: "Mapping[str, Kept]", options: Namespace) -> None:
    """Print the tables of results, or with --json their dict, of several a list of them."""
    from repr_toolkit.page.terminal import as_text

    if options.json:
        numbers = [{"command": result.command, **result.numbers} for result in results.values()]
        print(json.dumps(numbers if numbers[1:] else numbers[0], indent=2, ensure_ascii=False))
    else:
        print(as_text(analysis.blocks(results)), end="")


def required_picture(options: Namespace) -> Path | None:
    """The PNG of --out, once it is known that it can be written; None where none is asked for."""
    from repr_toolkit.support.files import require_writable

    if options.out is None:
        return None
    out = Path(options.out)
    require_writable(out, "the picture", ".png", overwrite=options.overwrite)
    return out


def require_pictures(options: Namespace) -> None:
    """Raise, before the work, where --out is given and pictures and values cannot be written."""
    from repr_toolkit.sampling.draw import refuse_unwritable

    if options.out is not None:
        refuse_unwritable(Path(options.out), overwrite=options.overwrite)


def save_rows(rows: "Tensor", levels: int, options: Namespace) -> None:
    """Write rows of images, uint8 (rows, columns, C, H, W), to --out, and name the files."""
    from repr_toolkit.sampling.draw import save_images

    out, flat = Path(options.out), rows.flatten(0, 1)
    save_images(out, flat, columns=rows.shape[1], levels=levels, overwrite=options.overwrite)
    if not options.get("json", False):
        name_outputs(out)


def name_outputs(out: Path) -> None:
    """Print which files a picture and its values were written to."""
    for path in dict.fromkeys((out, out.with_suffix(".npz"))):
        print(path)


def save_figure(figure: Any, out: Path, options: Namespace) -> None:
    """Write a matplotlib figure as PNG, and name the file."""
    from repr_toolkit.support.files import atomic_write
    from repr_toolkit.support.pictures import DPI

    with atomic_write(out) as file:
        figure.savefig(file, dpi=DPI, format="png")
    if not options.json:
        print(out)
