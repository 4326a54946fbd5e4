"""Errors name options to whoever gave a command, and arguments to whoever called a function."""

import ast
import re
from collections.abc import Iterator
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


def raised_texts(file: Path) -> Iterator[tuple[int, str]]:
    """The line and the text of each error that a file raises, but for what `either` says."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Raise) and node.exc is not None:
            spoken = [
                part
                for call in ast.walk(node.exc)
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "either"
                for part in ast.walk(call)
            ]
            texts = [
                part.value
                for part in ast.walk(node.exc)
                if isinstance(part, ast.Constant)
                and isinstance(part.value, str)
                and part not in spoken
            ]
            yield node.lineno, " ".join(texts)


def test_no_error_outside_commands_names_an_option_alone() -> None:
    """Whoever calls a function has no options; a whole command, to be given, may have them."""
    package = Path(repr_toolkit.__file__).parent
    wrong = [
        f"{file.relative_to(package)}:{line} {text}"
        for file in sorted(package.rglob("*.py"))
        if file.relative_to(package).parts[0] not in ("commands", "cli.py")
        for line, text in raised_texts(file)
        if re.search(r"--[a-z]", text) and "repr-toolkit train" not in text
    ]
    assert wrong == []
