"""Files: what cannot be written is told before the work, and arrays are streamed."""

import os
from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.support.files import Rows, require_writable, write_json, write_npz
from repr_toolkit.support.reading import read_json


def test_a_picture_alone_minds_no_values_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("somebody's")
    require_writable(tmp_path / "a.png", "the picture", ".png", overwrite=False)
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(FileExistsError, match=r"a\.png exists; .* replace it by overwrite=True"):
        require_writable(tmp_path / "a.png", "the picture", ".png", overwrite=False)
    require_writable(tmp_path / "a.png", "the picture", ".png", overwrite=True)


def test_each_kind_of_file_is_called_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the ROC is written as \.png, not as .*a\.gif"):
        require_writable(tmp_path / "a.gif", "the ROC", ".png", overwrite=True)
    with pytest.raises(ValueError, match=r"the data file is written as \.npz, not as .*a\.png"):
        require_writable(tmp_path / "a.png", "the data file", ".npz", overwrite=True)
    with pytest.raises(FileNotFoundError, match=r"the folder .*no of the data file .*no/a\.npz"):
        require_writable(tmp_path / "no" / "a.npz", "the data file", ".npz", overwrite=True)


def test_a_folder_that_takes_no_files_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="nothing may be written to the folder"):
        require_writable(tmp_path / "a.png", "the picture", ".png", overwrite=True)


def test_arrays_in_chunks_are_written_as_whole_ones(tmp_path: Path) -> None:
    whole = np.arange(60, dtype=np.int64).reshape(20, 3)
    parts = [whole[:7].astype(np.int32), whole[7:8], whole[8:]]
    names = np.array(["a", "bcd"])
    for name, array in {"a.npz": whole, "b.npz": Rows(whole.dtype, whole.shape, parts)}.items():
        with (tmp_path / name).open("wb") as file:
            write_npz(file, {"x": array, "names": names})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "b.npz", allow_pickle=False) as stored:
        assert stored["x"].dtype == np.int64
        np.testing.assert_array_equal(stored["x"], whole)
        np.testing.assert_array_equal(stored["names"], names)


def test_rows_that_do_not_add_up_and_objects_are_refused(tmp_path: Path) -> None:
    objects = np.array([object()])
    for array, why in (
        (Rows(np.dtype(int), (3,), [np.zeros(2, int)]), "x has 2 rows, not 3"),
        (Rows(np.dtype(int), (2, 3), [np.zeros((2, 4), int)]), r"rows of int64 \(4,\), not"),
        (Rows(np.dtype(np.uint8), (2,), [np.zeros(2, int)]), "rows of int64 .* not of uint8"),
        (Rows(objects.dtype, (1,), [objects]), "Object arrays"),
        (objects, "Object arrays"),
    ):
        with pytest.raises(ValueError, match=why), (tmp_path / "a.npz").open("wb") as file:
            write_npz(file, {"x": array})


def test_a_command_of_any_bytes_is_read_back(tmp_path: Path) -> None:
    numbers = {"command": os.fsdecode(b"repr-toolkit evaluate caf\xe9"), "name": "café"}
    assert read_json(write_json(tmp_path / "a.json", numbers)) == numbers
    assert "café" in (tmp_path / "a.json").read_text("utf-8")
