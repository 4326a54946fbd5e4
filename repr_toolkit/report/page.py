"""The page: sections of blocks as one HTML file that needs nothing beside it."""

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from html import escape
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from repr_toolkit import __version__
from repr_toolkit.report.blocks import Block, Chart, Row, Section
from repr_toolkit.report.found import Reported, find_runs
from repr_toolkit.report.frozen import read_study
from repr_toolkit.report.missing import measure_missing
from repr_toolkit.report.origins import report_command
from repr_toolkit.report.sections import all_sections
from repr_toolkit.report.to_wandb import log_report
from repr_toolkit.runs import atomic_write

MARK = '<meta name="generator" content="repr-toolkit report">'
MARKED_WITHIN = 1024  # bytes at the file's beginning


def write_report(
    paths: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    split: str = "test",
    overwrite: bool = False,
    measure: bool = False,
    wandb: bool = False,
    information: str | Path | None = None,
) -> Path:
    """Write the report of runs, or of the runs in folders, as one HTML file; return its path.

    ``out`` is by default report.html in the run's folder, or in the one that the runs have in
    common. A report is replaced by a newer one; any other file only with ``overwrite``. What has to
    be measured first is measured on ``split``; with ``measure`` every analysis that a run lacks is
    made too. ``information`` is the folder of a study of frozen h, of the same images, to show with
    them. ``wandb`` logs the page, its tables and its pictures to Weights & Biases as well.

    Raises FileNotFoundError for what is no finished run and no folder of any, FileExistsError for a
    file that is no report, and ValueError for runs that have no folder in common without ``out``,
    for runs of different data, and for a split that the data lacks; and as `read_study` does.
    """
    found = find_runs(paths, split)
    if out is None and found.folder is None:
        raise ValueError("the runs have no folder in common to write to; name the file with --out")
    out = Path(out) if out is not None else _default(paths, found) / "report.html"
    refuse_others(out, overwrite=overwrite)
    if information is not None:
        found = replace(found, study=read_study(information, found))
    if measure:
        measure_missing(found)
    command = report_command(
        paths, split, out, measure=measure, wandb=wandb, information=information
    )
    sections = all_sections(found, command)
    text = render(found, sections)
    with atomic_write(out) as file:
        file.write(text.encode())
    if wandb:
        log_report(found, sections, text)
    return out


def refuse_others(out: Path, *, overwrite: bool) -> None:
    """Raise FileExistsError for a file that is no report, and OSError where none can be written."""
    if out.suffix != ".html":
        raise ValueError(f"a report is written as .html, not as {out}")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {out.parent} to write {out.name} to")
    if overwrite or not out.exists():
        return
    with out.open("rb") as file:
        if MARK.encode() in file.read(MARKED_WITHIN):
            return
    raise FileExistsError(
        f"{out} exists and is not a report of repr-toolkit; choose another --out, or --overwrite"
    )


def _default(paths: Sequence[str | Path], found: Reported) -> Path:
    """The common folder, as the user wrote it where one path alone says it."""
    assert found.folder
    one = Path(paths[0])
    return one if len(paths) == 1 and one.resolve() == found.folder else found.folder


def render(found: Reported, sections: Sequence[Section]) -> str:
    """The whole page. Every text in it is escaped, but for the styles and scripts of ours."""
    environment = Environment(
        loader=PackageLoader("repr_toolkit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "data_uri": data_uri,
        "rich": rich,
        "groups": grouped,
        "charts_together": charts_together,
        "markup": Markup,
    }
    runs = list(found.runs)
    name = runs[0] if len(runs) == 1 else _folder_name(found)
    line = next(iter(found.compared.lines.values()))
    channels, height, width = next(iter(found.configs.values()))["model"]["decoder"]["init_args"][
        "image_shape"
    ]
    facts = {
        "Data": line.cells["data"],
        "Images": f"{height} × {width}, {'grey' if channels == 1 else 'colour'}, "
        f"{line.cells['levels']} levels",
        "Held out": f"{line.images:,} {found.split} images",
        "Runs": str(len(runs)),
        "Written": f"{date.today().day} {date.today():%B %Y}",
    }
    return environment.get_template("report.html").render(
        mark=Markup(MARK),
        name=name,
        facts=facts,
        sections=sections,
        version=__version__,
        css=_own("report.css"),
        js=_own("report.js"),
    )


def _folder_name(found: Reported) -> str:
    return found.folder.name if found.folder else f"{len(found.runs)} runs"


def _own(name: str) -> Markup:
    """A style or script of the package."""
    return Markup((Path(__file__).parent / "templates" / name).read_text("utf-8"))


def data_uri(png: bytes) -> str:
    """A PNG as the address of itself."""
    return "data:image/png;base64," + b64encode(png).decode()


def grouped(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Consecutive rows of the same group, with its name."""
    return [(name, list(same)) for name, same in groupby(rows, key=lambda row: row.group)]


def charts_together(blocks: Sequence[Block]) -> list[Block | list[Chart]]:
    """The blocks, consecutive charts as a list."""
    found: list[Block | list[Chart]] = []
    for block in blocks:
        if not isinstance(block, Chart):
            found.append(block)
        elif found and isinstance(found[-1], list):
            found[-1].append(block)
        else:
            found.append([block])
    return found


def rich(text: str) -> Markup:
    """An escaped text in which **stars** are strong, *one star* is emphasis and `backticks` code.

    >>> rich("**a < b** and *c*, see `x*y*z`")
    Markup('<strong>a &lt; b</strong> and <em>c</em>, see <code>x*y*z</code>')
    """
    parts = re.split(r"`([^`]+)`", str(escape(text)))  # every second one is code
    parts[1::2] = [f"<code>{code}</code>" for code in parts[1::2]]
    parts[::2] = map(_starred, parts[::2])
    return Markup(re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", "".join(parts)))


def _starred(safe: str) -> str:
    """An escaped text whose stars are marked up; one that stands free, as in 2 * 3, is a star."""
    safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", safe)
    return re.sub(r"(?<![\w*])\*(?=[^\s*])([^*]*[^\s*])\*(?![\w*])", r"<em>\1</em>", safe)
