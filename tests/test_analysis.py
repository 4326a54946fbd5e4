"""What is kept of an analysis: numbers and arrays that belong together."""

import json
from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.analysis import save_analysis


def test_numbers_and_arrays_are_kept_together(tmp_path: Path) -> None:
    file = save_analysis(tmp_path, "moves", {"way": "α"}, {"image": np.ones(3, np.uint8)})
    assert file == tmp_path / "analysis" / "moves.json"
    assert json.loads(file.read_text("utf-8")) == {"way": "α"}
    with np.load(file.with_suffix(".npz")) as kept:
        assert kept["image"].tolist() == [1, 1, 1]


def test_earlier_arrays_do_not_outlive_their_numbers(tmp_path: Path) -> None:
    save_analysis(tmp_path, "information", {"a": 1}, {"map": np.ones(2)})
    file = save_analysis(tmp_path, "information", {"a": 2})
    assert json.loads(file.read_text("utf-8")) == {"a": 2}
    assert not file.with_suffix(".npz").exists()


def test_nothing_is_written_that_would_be_pickled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        save_analysis(tmp_path, "moves", {}, {"image": np.array([object()])})
    assert not [*tmp_path.glob("analysis/*")]
