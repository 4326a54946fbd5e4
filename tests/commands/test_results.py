"""The pictures that commands write, and the values beside them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import Namespace
from PIL import Image
from torch import Tensor

from repr_toolkit.commands.results import require_pictures, save_picture, save_rows


def rows(count: int = 2) -> Tensor:
    """Rows of three images of 8 levels, (count, 3, 1, 5, 4)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 8, (count, 3, 1, 5, 4), generator=generator).to(torch.uint8)


def asked(out: Path, *, overwrite: bool = False) -> Namespace:
    return Namespace(out=str(out), overwrite=overwrite)


def test_pictures_and_their_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = rows()
    save_rows(drawn, 8, asked(tmp_path / "a.png"))
    with np.load(tmp_path / "a.npz") as file:
        assert (file["image"] == drawn.flatten(0, 1).numpy()).all()
        assert file["image"].dtype == np.uint8
        assert file["levels"] == 8
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert picture.mode == "L"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "a.png"]
    assert capsys.readouterr().out.split() == [str(tmp_path / "a.png"), str(tmp_path / "a.npz")]


def test_values_without_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_rows(rows(), 8, asked(tmp_path / "a.npz"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert capsys.readouterr().out.split() == [str(tmp_path / "a.npz")]


def test_values_outlive_a_picture_that_cannot_be_drawn(tmp_path: Path) -> None:
    def fail() -> Image.Image:
        raise MemoryError

    save_picture(fail, asked(tmp_path / "alone.npz"), {"x": np.ones(2)})  # draws nothing
    with pytest.raises(MemoryError):
        save_picture(fail, asked(tmp_path / "a.png"), {"x": np.ones(2)})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "alone.npz"]


@pytest.mark.parametrize("existing", ["a.png", "a.npz"])
def test_nothing_is_overwritten_unasked(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("mine")
    with pytest.raises(FileExistsError, match=existing):
        require_pictures(asked(tmp_path / "a.png"))
    require_pictures(asked(tmp_path / "a.png", overwrite=True))
    with pytest.raises(FileExistsError, match=existing):  # it appeared during the work
        save_rows(rows(), 8, asked(tmp_path / "a.png"))
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(existing, "mine")]


def test_no_file_of_images_that_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="value 9"):
        save_rows(torch.full((1, 1, 1, 5, 4), 9).byte(), 8, asked(tmp_path / "a.png"))
    assert not list(tmp_path.iterdir())
