"""What is kept of an analysis: numbers and arrays that belong together."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repr_toolkit.runs.kept import save_analysis


def test_numbers_and_arrays_are_kept_together(tmp_path: Path) -> None:
    file = save_analysis(tmp_path, "parts", {"way": "α"}, {"image": np.ones(3, np.uint8)})
    assert file is not None
    assert file == tmp_path / "analysis" / "parts.json"
    assert json.loads(file.read_text("utf-8")) == {"way": "α"}
    with np.load(file.with_suffix(".npz")) as kept:
        assert kept["image"].tolist() == [1, 1, 1]


def test_earlier_arrays_do_not_outlive_their_numbers(tmp_path: Path) -> None:
    save_analysis(tmp_path, "information", {"a": 1}, {"map": np.ones(2)})
    file = save_analysis(tmp_path, "information", {"a": 2})
    assert file is not None
    assert json.loads(file.read_text("utf-8")) == {"a": 2}
    assert not file.with_suffix(".npz").exists()


def test_the_answer_to_another_question_is_replaced_only_if_asked(tmp_path: Path) -> None:
    def answer(command: str, found: int, **more: Any) -> Path | None:
        return save_analysis(tmp_path, "probe", {"command": command, "found": found, **more})

    def kept() -> Any:
        return json.loads((tmp_path / "analysis/probe.json").read_text("utf-8"))["found"]

    assert answer("repr-toolkit probe runs/a --orders 3", 1)
    # The same question, of the run by another path and beside another; then others.
    assert answer("repr-toolkit probe b /home/me/runs/a --orders 3", 2)
    assert kept() == 2
    assert answer("repr-toolkit probe runs/a --orders 0", 3) is None
    assert answer("repr-toolkit probe runs/a --orders 3", 3, fingerprint="of others") is None
    assert kept() == 2
    numbers = {"command": "repr-toolkit probe runs/a", "asked": {"orders": (4,)}, "found": 4}
    assert save_analysis(tmp_path, "probe", numbers, keep=True)
    assert answer("however it was called", 5, asked={"orders": [4]})
    assert kept() == 5
    # What was held beside it is not lost, but for the untrained encoders of runs probed with it.
    beside = [{"name": name, "made_by": name} for name in ("a", "pca4", "b, untrained")]
    assert answer("probe", 6, asked={"orders": [4]}, representations=beside)
    assert answer("probe", 7, asked={"orders": [4]}, representations=beside[:1]) is None
    assert answer("probe", 7, asked={"orders": [4]}, representations=beside[:2])
    assert kept() == 7
    (tmp_path / "analysis/probe.json").write_text("damaged")
    assert answer("repr-toolkit probe runs/a", 8)
    assert kept() == 8


def test_nothing_is_written_that_would_be_pickled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        save_analysis(tmp_path, "parts", {}, {"image": np.array([object()])})
    assert not [*tmp_path.glob("analysis/*")]
