"""A page: sections of blocks as one HTML file that needs nothing beside it."""

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

MARK = '<meta name="generator" content="repr-toolkit report">'


def render(name: str, facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The whole page. Every text in it is escaped, but for the styles and scripts of ours."""
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
        css=_own("report.css"),
        js=_own("report.js"),
    )


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
