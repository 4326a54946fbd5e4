"""What a training says of its numbers."""

from pathlib import Path

import pytest
import torch

from repr_toolkit.decoders import NICE
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.training.progress import in_words
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
