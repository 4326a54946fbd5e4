"""Any stream, and any name of a file: what cannot be printed is replaced, and nothing fails."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from repr_toolkit.cli import main
from repr_toolkit.support.console import say, tell
from toys.runs import small

NO_TEXT = os.fsdecode(b"no text \xff")
"""A name with a byte that is not UTF-8."""


ENCODINGS = pytest.mark.parametrize("encoding", ["ascii", "cp1252"])


def streams(encoding: str, monkeypatch: pytest.MonkeyPatch) -> tuple[io.BytesIO, io.BytesIO]:
    """What is written from now on to stdout and stderr, whose encoding PYTHONIOENCODING states."""
    written = io.BytesIO(), io.BytesIO()
    for name, file in zip(("stdout", "stderr"), written, strict=True):
        stream = io.TextIOWrapper(file, encoding=encoding, write_through=True)
        monkeypatch.setattr(sys, name, stream)
    return written


@ENCODINGS
def test_lines_and_help(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said, told = streams(encoding, monkeypatch)
    say(f"0.5 ± 0.1 → {NO_TEXT}")  # from Python, where no command line changed the streams
    tell("1…2")
    assert b"0.1 -> no text \\xff" in said.getvalue()
    assert said.getvalue().startswith((b"0.5 +- 0.1", b"0.5 \xb1 0.1"))
    assert told.getvalue() in (b"1...2\n", b"1\x852\n")
    for argv in (["faces", "--help"], ["traverse", "--help"], ["information", "--help"]):
        with pytest.raises(SystemExit) as stop:
            main(argv)
        assert stop.value.code == 0
    assert b"photographs to faces" not in said.getvalue()  # that stands in the list of commands
    assert (b"alpha counts" in said.getvalue()) or (b"\\u03b1" in said.getvalue())
    assert main(["recipes"]) == 0
    assert main(["evaluate", f"→ {NO_TEXT}"]) == 1
    assert b"error: no run -> no text \\xff" in told.getvalue()


@ENCODINGS
def test_from_photographs_to_the_report(
    encoding: str, user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data folder, classes, pictures and run have names that are no text."""
    out, error = streams(encoding, monkeypatch)
    monkeypatch.setenv("FORCE_COLOR", "1")  # bars, as on a terminal
    monkeypatch.setenv("TERM", "xterm")
    rng = np.random.default_rng(0)
    for name in (NO_TEXT, "→"):
        (user_folder / NO_TEXT / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            file = Path(NO_TEXT, name, os.fsdecode(b"%d \xe9.png" % number))
            Image.fromarray(pixels).save(file)
    config = small(data__source=NO_TEXT, data__batch_size=4, training__steps=4)
    (user_folder / "mine.yaml").write_text(yaml.safe_dump(config))
    run = f"runs/{NO_TEXT}"
    picture = str(file)
    for argv in (
        ["train", "mine.yaml", "--name", NO_TEXT],
        ["evaluate", run],
        ["reconstruct", run, picture, "--out", f"{NO_TEXT}.png"],
        ["sample", run, "--out", f"{NO_TEXT} 2.png"],
        ["probe", run, "--probes", "logistic", "--orders", "0", "--no-baselines"],
        ["information", run],
        ["embed", run, "--out", f"{NO_TEXT} h.npz"],
        ["report", run],
    ):
        assert main(argv) == 0, error.getvalue().decode(encoding)
    Path(run, "model.safetensors").unlink()  # as if it had been cut at the end
    assert main(["train", "mine.yaml", "--name", NO_TEXT, "--resume"]) == 0
    assert main(["evaluate", run]) == 0, error.getvalue().decode(encoding)
    said = out.getvalue()
    assert b"training ChannelMean -> h (3)" in said
    assert b"runs/no text \\xff/report.html" in said
    assert b"Next: repr-toolkit evaluate 'runs/no text \\xff'" in said
    page = (user_folder / run / "report.html").read_text("utf-8")
    assert "no text \\xff" in page
