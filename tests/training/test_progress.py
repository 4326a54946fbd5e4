"""What a training says of its numbers."""

from pathlib import Path

import pytest
import torch

from repr_toolkit.decoders import NICE
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.training.progress import Pace, in_words
from repr_toolkit.training.train import train
from toys.decoders import Independent
from toys.runs import small

BITS = {"train/bits_per_dim": 1.25, "val/bits_per_dim": 1.5}


def test_bits_have_their_label_and_errors_their_name() -> None:
    flow = EncoderDecoder(None, NICE((1, 2, 2), features=4, hidden=1))
    expected = "bits/dim (upper bound, dequantised): train 1.2500, val 1.5000; "
    error = "val/round_trip_error"
    assert in_words({**BITS, error: 2.5e-7}, flow) == f"{expected}{error} 2.5e-07"
    told = in_words({**BITS, error: torch.nan}, flow)
    assert told == f"{expected}{error} nan; some validation images do not come back from their z"
    grey = EncoderDecoder(None, Independent((1, 2, 2), 0, 3))
    assert in_words(BITS, grey) == "bits/dim (exact): train 1.2500, val 1.5000"


def test_the_first_steps_are_no_measure_of_the_others() -> None:
    """800 steps of 0.1 s after one of 60 s: 80 s and six validations, not 13 hours."""
    pace = Pace(800, 400, 16)
    for seconds in (60.0, 5.0, 1.0):
        pace.stepped(seconds)
        assert pace.words(1) == ""  # nothing is known yet
    for _ in range(20):
        pace.stepped(0.1)
    assert pace.words(23) == "160 images/s, more than 1 min 18 s left"
    pace.validated(30.0)
    pace.validated(10.0)  # the last one counts, since the first compiles
    assert pace.words(400) == "160 images/s, 50 s left"
    assert pace.words(800) == "160 images/s"
    slow = Pace(8, 4, 1)
    for seconds in (1.0, 1.0, 1.0, 4.0):
        slow.stepped(seconds)
    assert slow.words(4) == "0.2 images/s, more than 16 s left"


def test_compiling_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda batch: function(batch))
    train(small(training__compile=True), tmp_path / "run")
    lines = capsys.readouterr().out.splitlines()
    assert lines.index("  compiling…") < next(i for i, x in enumerate(lines) if "  step " in x)
    train(small(), tmp_path / "plain")
    assert "compiling…" not in capsys.readouterr().out


def test_each_line_names_the_skipped_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(small(model__decoder__init_args__poison_at=6), tmp_path / "run")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  step ")]
    assert ["(1 step skipped: gradients not finite)" in line for line in lines] == [
        False,
        True,
        True,
    ]
