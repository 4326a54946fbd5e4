"""What each network of the PixelRNN paper sees, pixel by pixel, and its picture."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from repr_toolkit.cli import main
from repr_toolkit.decoders import DiagonalBiLSTM, GatedPixelCNN, PixelCNN, RowLSTM
from repr_toolkit.decoders.autoregressive import AutoregressiveDecoder
from repr_toolkit.testing.field import BLIND, HERE, LATER, SEEN, coloured, earlier, field

HEIGHT, WIDTH = 6, 21
ROW, COLUMN = 5, 10


def seen(make: type[AutoregressiveDecoder], layers: int, **sizes: Any) -> Tensor:
    decoder = make((1, HEIGHT, WIDTH), levels=2, features=8, layers=layers, **sizes)
    sees = field(decoder, ROW, COLUMN)
    assert not (sees & ~earlier(decoder, ROW, COLUMN)).any()
    return sees


def columns(sees: Tensor, above: int) -> list[int]:
    """The columns that are seen so many rows above, less that of the pixel."""
    return (sees[ROW - above].nonzero().flatten() - COLUMN).tolist()


def test_a_diagonal_bilstm_sees_the_whole_past_in_one_layer() -> None:
    sees = seen(DiagonalBiLSTM, 1)
    assert int(sees.sum()) == ROW * WIDTH + COLUMN


def test_a_row_lstm_sees_a_triangle() -> None:
    sees = seen(RowLSTM, 1, first_kernel_size=3)
    for above in range(ROW + 1):
        # The LSTM widens by one a row; the masked 3×3 adds one to the left in its own row, and one
        # to both sides in the row above; input-to-state adds one to the left.
        right = above if above else -1
        assert columns(sees, above) == [*range(-2 - above, right + 1)], above


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_a_pixelcnn_has_a_blind_spot_at_any_depth(layers: int) -> None:
    sees = seen(PixelCNN, layers, first_kernel_size=3)
    reach = layers + 1
    assert columns(sees, 0) == [*range(-reach, 0)]
    for above in range(1, min(reach, ROW) + 1):
        # Each of its kernels goes up a row by one, and to the right at most as far.
        assert columns(sees, above)[-1] == above
        assert columns(sees, above)[0] == -reach


def test_a_gated_pixelcnn_has_none() -> None:
    sees = seen(GatedPixelCNN, 4)
    assert columns(sees, 1) == [*range(-4, 5)]


def test_the_picture_of_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "two.yaml"
    recipe.write_text(
        "data: {source: digits}\n"
        "model:\n  encoder: null\n  decoder:\n"
        "    class_path: repr_toolkit.decoders.DiagonalBiLSTM\n"
        "    init_args: {features: 2, layers: 2}\n"
        "study:\n  diagonal: {}\n",
        "utf-8",
    )
    out = tmp_path / "field.png"
    assert main(["field", str(recipe), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "diagonal, one layer: pixel (5, 4) sees 44 of 44 earlier pixels" in said
    with Image.open(out) as picture:
        assert picture.width > 100
    assert main(["field", str(recipe), "--out", str(out)]) == 1  # it is there
    mean = "{class_path: repr_toolkit.decoders.Deconv, init_args: {features: 2}}"
    other = ["--model.decoder", mean, "--out", str(tmp_path / "no.png")]
    assert main(["field", str(recipe), *other]) == 1
    assert "not autoregressive" in capsys.readouterr().err


def test_colours() -> None:
    sees, before = torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool)
    before[0, :2] = sees[0, 0] = True
    picture = coloured(sees, before, 1, 1).permute(1, 2, 0).tolist()
    assert picture[0] == [list(SEEN), list(BLIND), list(LATER)]
    assert picture[1] == [list(LATER), list(HERE), list(LATER)]
