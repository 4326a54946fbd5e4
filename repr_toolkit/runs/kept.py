"""The analyses that are kept in a run's folder, where the report finds them."""

import io
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repr_toolkit.support.files import atomic_write, write_json


def save_analysis(
    run: Path,
    name: str,
    numbers: Mapping[str, Any],
    arrays: Mapping[str, Any] | None = None,
    *,
    keep: bool = False,
) -> Path | None:
    """Write RUN/analysis/NAME.npz and, last, NAME.json, each whole, and return the latter's path.

    They take the place of earlier ones that answer the same question (`question`), and of any
    others with ``keep``; without it those stay as they are, and None is returned. ``arrays`` hold
    numbers or texts, nothing that would be pickled (ValueError); without any there is no .npz.
    """
    import numpy as np

    folder = run / "analysis"
    file = folder / f"{name}.json"
    if not keep and _answers_another(file, numbers):
        return None
    folder.mkdir(exist_ok=True)
    if arrays:
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **arrays)
        with atomic_write(folder / f"{name}.npz") as stream:
            stream.write(packed.getvalue())
    else:
        (folder / f"{name}.npz").unlink(missing_ok=True)
    return write_json(file, numbers)


def question(numbers: Mapping[str, Any]) -> Any:
    """What an analysis was asked: its ``asked`` or else its command's options.

    Whatever the run was called.

    >>> question({"command": "repr-toolkit traverse runs/a --steps 9"})
    ['--steps', '9']
    """
    if "asked" in numbers:
        return numbers["asked"]
    words = shlex.split(numbers.get("command", ""))
    return words[next((at for at, word in enumerate(words) if word.startswith("--")), len(words)) :]


def _answers_another(file: Path, numbers: Mapping[str, Any]) -> bool:
    """Whether a file holds the answer to another question, or of other data, or of more than this.

    A damaged one answers none.
    """
    try:
        there = json.loads(file.read_text("utf-8"))
        here = json.loads(json.dumps(dict(numbers)))
        if "asked" in here and "asked" not in there:
            return False  # of before analyses said what they were asked
        alike = there.get("fingerprint") == here.get("fingerprint")
        alike = alike and question(there) == question(here)
        return not (alike and _beside(there) <= _beside(here))
    except (OSError, ValueError, AttributeError):
        return False


def _beside(numbers: Mapping[str, Any]) -> set[str]:
    """The makers of the representations that probes have been held against, as in one table.

    But for untrained encoders: of several runs that are probed together each has its own.
    """
    made: Any = numbers.get("representations", [])
    return {of["made_by"] for of in made if not of["name"].endswith(", untrained")}
