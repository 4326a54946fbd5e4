"""What cannot be written is told before the work, in words that name the file and the way out."""

import os
from pathlib import Path

import pytest

from repr_toolkit.support.files import require_data_file, require_picture


def test_a_picture_alone_minds_no_values_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("somebody's")
    require_picture(tmp_path / "a.png", overwrite=False)
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(FileExistsError, match=r"a\.png exists; .* replace it by --overwrite"):
        require_picture(tmp_path / "a.png", overwrite=False)
    require_picture(tmp_path / "a.png", overwrite=True)


def test_each_kind_of_file_is_called_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the ROC is written as \.png, not as .*a\.gif"):
        require_picture(tmp_path / "a.gif", "the ROC", overwrite=True)
    with pytest.raises(ValueError, match=r"the data file is written as \.npz, not as .*a\.png"):
        require_data_file(tmp_path / "a.png", overwrite=True)
    with pytest.raises(FileNotFoundError, match=r"the folder .*no of the data file .*no/a\.npz"):
        require_data_file(tmp_path / "no" / "a.npz", overwrite=True)


def test_a_folder_that_takes_no_files_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="nothing may be written to the folder"):
        require_picture(tmp_path / "a.png", overwrite=True)
