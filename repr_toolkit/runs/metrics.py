"""The measurements of a training, from metrics.csv."""

import csv
import io
from math import isfinite
from pathlib import Path

from repr_toolkit.support.reading import read_text, reading

Curve = dict[int, float]


def read_metrics(file: Path) -> dict[str, Curve]:
    """Each metric's finite values by step; nothing where there is no file."""
    curves: dict[str, Curve] = {}
    if not file.is_file():
        return curves
    with reading(file):
        for row in csv.DictReader(io.StringIO(read_text(file), newline="")):
            step = row.pop("step", "") or ""
            for key, text in row.items():
                value = _float(text)
                if step.isdigit() and value is not None:
                    curves.setdefault(key, {})[int(step)] = value
    return curves


def _float(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except (TypeError, ValueError):
        return None
    return value if isfinite(value) else None
