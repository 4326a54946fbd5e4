"""The analyses that are kept in a run's folder, where the report finds them."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repr_toolkit.runs import atomic_write


def save_analysis(
    run: Path, name: str, numbers: Mapping[str, Any], arrays: Mapping[str, Any] | None = None
) -> Path:
    """Write RUN/analysis/NAME.npz and, last, NAME.json, each whole and in place of an earlier one.

    ``arrays`` hold numbers or texts, nothing that would be pickled (ValueError); without any there
    is no .npz, and an earlier one goes. The path of the .json is returned.
    """
    import numpy as np

    folder = run / "analysis"
    folder.mkdir(exist_ok=True)
    if arrays:
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **arrays)
        with atomic_write(folder / f"{name}.npz") as file:
            file.write(packed.getvalue())
    else:
        (folder / f"{name}.npz").unlink(missing_ok=True)
    return write_json(folder / f"{name}.json", numbers)


def write_json(path: Path, numbers: Mapping[str, Any]) -> Path:
    """Write numbers to a file, whole and in place of an earlier one, and return its path."""
    with atomic_write(path) as file:
        file.write(json.dumps(dict(numbers), indent=2, ensure_ascii=False).encode() + b"\n")
    return path
