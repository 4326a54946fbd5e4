"""Errors name options to whoever gave a command, and arguments to whoever called a function."""

from pathlib import Path

import numpy as np
import pytest

import repr_toolkit
from repr_toolkit.cli import main
from repr_toolkit.representations import Representation
from repr_toolkit.runs.run import Run


def test_the_command_line_and_python_are_told_in_their_own_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match=r"such as by load_data\('digits'\)"):
        repr_toolkit.probe("pixels")
    assert main(["probe", "pixels"]) == 1
    assert "such as by --data.source digits" in capsys.readouterr().err
    with pytest.raises(ValueError, match="load_data"):  # what a command speaks stays in it
        repr_toolkit.probe("pixels")


def test_names_and_packages_are_listed_and_found() -> None:
    listed = dir(repr_toolkit)
    for name in ("load_data", "probe", "train", "encoders", "decoders", "data", "__version__"):
        assert name in listed
    assert repr_toolkit.encoders.ConvBottleneck.__name__ == "ConvBottleneck"
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = repr_toolkit.nothing


def test_what_is_returned_says_what_it_is(tmp_path: Path) -> None:
    assert repr(Run(tmp_path / "a")) == f"Run('{tmp_path}/a', not finished)"
    labels = np.arange(120) % 3
    h = np.eye(3, dtype=np.float32)[labels]
    result = repr_toolkit.probe(h, labels, probes=["knn"], orders=0, control=False)
    first, score = repr(result).splitlines()
    assert first == "Probing of arrays: h"
    assert score.startswith("  label, h, knn: 1.000 (0.")
    parts = dict.fromkeys(("train", "val", "test"), h[:4])
    shown = repr(Representation("mine", "me", "0", 2, parts))
    assert shown == "Representation('mine', d=3: 4 train, 4 val, 4 test)"
