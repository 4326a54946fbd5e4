"""A comparison as the files of a study."""

from collections.abc import Mapping
from typing import Any

from repr_toolkit.analyses.comparison.blocks import blocks
from repr_toolkit.analyses.comparison.rows import csv_rows
from repr_toolkit.page.blocks import Notes
from repr_toolkit.page.terminal import as_text
from repr_toolkit.support.files import csv_text, json_text


def text_files(numbers: Mapping[str, Any], study: str) -> dict[str, bytes]:
    """The numbers as JSON, as CSV, and as Markdown under the name of the study."""
    title = f"# {study}: {numbers['data']}, {numbers['split']} images\n\n"
    text = title + as_text([*blocks(numbers), Notes(numbers["notes"])])
    return {
        "comparison.json": json_text(numbers).encode(),
        "comparison.csv": csv_text(csv_rows(numbers)).encode(),
        "comparison.md": text.encode(),
    }
