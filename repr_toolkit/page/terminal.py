"""Blocks as Markdown for a terminal, at most 100 columns wide, without pictures and charts."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from textwrap import indent

from repr_toolkit.page.blocks import (
    Block,
    Heading,
    Missing,
    Notes,
    Paragraph,
    Row,
    Source,
    Table,
)
from repr_toolkit.support.tables import NONE, WIDTH, wrapped


def as_text(blocks: Iterable[Block]) -> str:
    """The blocks with a blank line between two, and a newline at the end."""
    return "\n".join(filter(None, map(_block, blocks)))


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return table_text(block)
    if isinstance(block, Heading):
        return f"## {block.text}\n"
    if isinstance(block, Paragraph):
        return _paragraph(block.text)
    if isinstance(block, Notes):
        return "".join(wrapped(note, "- ") for note in block.items)
    if isinstance(block, Missing):
        return _paragraph(block.what + block.others) + indent(block.command, "    ") + "\n"
    if isinstance(block, Source) and not block.folded:
        return f"{block.title}:\n\n{indent(block.text, '    ')}\n"
    return ""


def table_text(table: Table) -> str:
    """A table under its caption, in as many parts as the width demands.

    The name of a group stands over its rows. Explanations of rows are left out.
    """
    shown = (row for row in table.rows if not row.empty)
    rows: list[tuple[str, list[str]]] = []
    for group, members in groupby(shown, key=lambda row: row.group):
        rows += [(group, [""] * len(table.columns))] if group and table.grouped else []
        rows += [line for row in members for line in _lines(row)]
    labels = [table.corner if table.corner != "Measure" else "", *(label for label, _ in rows)]
    columns = [
        [name, *(cells[number] for _, cells in rows)] for number, name in enumerate(table.columns)
    ]
    parts = "\n".join(_aligned([labels, *part]) for part in _fitting(labels, columns))
    return "\n".join(filter(None, [_paragraph(table.caption), parts]))


def _lines(row: Row) -> list[tuple[str, list[str]]]:
    """A row's label and cells; and if the row has `intervals`, those that are not in them yet."""
    cells = [f"{cell.text} ± {cell.error}" if cell.error else str(cell) for cell in row.cells]
    lines = [(row.label, cells)]
    if row.intervals:
        besides = [
            cell.detail.removeprefix(f"± {cell.error}").removeprefix("; ") if cell.error else ""
            for cell in row.cells
        ]
        if any(besides):
            lines.append(("95 % interval", [each or NONE for each in besides]))
    return lines


def _fitting(labels: Sequence[str], columns: Sequence[list[str]]) -> list[list[list[str]]]:
    """The columns in parts; each part fits the width beside the labels."""
    start = max(map(len, labels)) + 4
    parts: list[list[list[str]]] = [[]]
    used = start
    for column in columns:
        width = max(map(len, column)) + 3
        if used + width > WIDTH and parts[-1]:
            parts.append([])
            used = start
        parts[-1].append(column)
        used += width
    return parts


def _aligned(columns: Sequence[Sequence[str]]) -> str:
    """A Markdown table of columns, whose first cells are the headings."""
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for cells in zip(*columns, strict=True):
        texts = [cells[0].ljust(widths[0])]
        texts += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        lines.append(f"| {' | '.join(texts)} |")
    rules = [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
    lines.insert(1, f"|{'|'.join(rules)}|")
    return "\n".join(lines) + "\n"


def _paragraph(text: str) -> str:
    """A paragraph without stars; "" stays."""
    return wrapped(re.sub(r"\*\*(.+?)\*\*", r"\1", text)) if text else ""
