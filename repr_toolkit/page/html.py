"""Sections of blocks as one HTML page, in a file that needs no other."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from repr_toolkit import __version__
from repr_toolkit.page.blocks import Block, Chart, Row, Section
from repr_toolkit.support.files import require_writable
from repr_toolkit.support.speech import either

MARKED_WITHIN = 1024  # bytes at the file's beginning
MARK = '<meta name="generator" content="repr-toolkit report">'


def render(name: str, facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The page of a report called `name`, headed by `facts`; every text is escaped."""
    environment = Environment(
        loader=PackageLoader("repr_toolkit.page"),
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
    return environment.get_template("report.html").render(
        mark=Markup(MARK),
        name=name,
        facts=facts,
        sections=sections,
        version=__version__,
        css=_template("report.css"),
        js=_template("report.js"),
    )


def refuse_others(out: Path, *, overwrite: bool) -> None:
    """Raise FileExistsError for a file that is no report, and OSError where none can be written."""
    require_writable(out, "a report", ".html", overwrite=True)
    if overwrite or not out.exists():
        return
    with out.open("rb") as file:
        if MARK.encode() in file.read(MARKED_WITHIN):
            return
    raise FileExistsError(
        f"{out} exists and is not a report of repr-toolkit; choose another "
        + either("--out, or --overwrite", "out, or replace it by overwrite=True")
    )


def _template(name: str) -> Markup:
    """A style or a script of the page, which is not escaped."""
    return Markup((Path(__file__).parent / "templates" / name).read_text("utf-8"))


def data_uri(png: bytes) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + b64encode(png).decode()


def grouped(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """The names of groups, each with its consecutive rows."""
    return [(name, list(same)) for name, same in groupby(rows, key=lambda row: row.group)]


def charts_together(blocks: Sequence[Block]) -> list[Block | list[Block]]:
    """The blocks, with consecutive charts in one list."""
    together: list[Block | list[Block]] = []
    for is_chart, members in groupby(blocks, key=lambda block: isinstance(block, Chart)):
        run = list(members)
        together += [run] if is_chart else run
    return together


def rich(text: str) -> Markup:
    """A text, escaped, with **stars** as strong, *one star* as emphasis and `backticks` as code.

    >>> rich("**a < b** and *c*, see `x*y*z`")
    Markup('<strong>a &lt; b</strong> and <em>c</em>, see <code>x*y*z</code>')
    """
    parts = re.split(r"`([^`]+)`", str(escape(text)))  # every second one is code
    parts[1::2] = [f"<code>{code}</code>" for code in parts[1::2]]
    parts[::2] = map(_starred, parts[::2])
    return Markup(re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", "".join(parts)))


def _starred(safe: str) -> str:
    """An escaped text with its stars as tags; a star between spaces, as in 2 * 3, stays."""
    safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", safe)
    return re.sub(r"(?<![\w*])\*(?=[^\s*])([^*]*[^\s*])\*(?![\w*])", r"<em>\1</em>", safe)
