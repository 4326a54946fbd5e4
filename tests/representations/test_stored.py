"""h stored with its images: a data file that knows whose it is, and is taken for no other."""

from pathlib import Path

import numpy as np
import pytest
import torch

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.representations import represent, write_embedding
from toys.runs import run_of

SPLITS = ("train", "val", "test")


def test_a_written_representation_is_a_data_file(data: ImageData, tmp_path: Path) -> None:
    h, _ = represent("pixels", data)
    out = tmp_path / "pixels.npz"
    write_embedding(out, h, data)
    found = load_data(str(out))
    assert (found.levels, found.encoder, found.names) == (17, "pixels", data.names)
    assert set(found.arrays) == {*data.arrays, "embedding"}
    for split in SPLITS:
        assert np.array_equal(found.splits[split].column("embedding"), h.h[split])
        for key in data.arrays:
            assert torch.equal(found.splits[split].column(key), data.splits[split].column(key))
    other = tmp_path / "again.npz"
    write_embedding(other, h, data)
    assert other.read_bytes() == out.read_bytes()
    with pytest.raises(FileExistsError, match=r"pixels\.npz exists"):
        write_embedding(out, h, data)


def test_fewer_levels_are_kept(data: ImageData, tmp_path: Path) -> None:
    coarse = data.quantised(4)
    out = tmp_path / "coarse.npz"
    write_embedding(out, represent("pixels", coarse)[0], coarse)
    found = load_data(str(out))
    assert found.levels == 4
    assert torch.equal(*(data.splits["test"].column("image") for data in (found, coarse)))
    with pytest.raises(
        ValueError, match=r"of 4 levels, but mine is read at 17; set levels=4, or embed"
    ):
        represent(str(out), data)
    with pytest.raises(ValueError, match=r"of 4 levels, but coarse\.npz is read at 2"):
        represent(str(out), data_settings={"levels": 2})
    assert represent(str(out), coarse)[0].levels == 4


def test_names_that_would_become_other_codes_are_left_out(data: ImageData, tmp_path: Path) -> None:
    data.names["identity"] = tuple("ytuvwxs")
    write_embedding(tmp_path / "a.npz", represent("pixels", data)[0], data)
    found = load_data(str(tmp_path / "a.npz"))
    codes = found.splits["test"].column("identity")
    assert torch.equal(codes, data.splits["test"].column("identity"))
    assert "identity" not in found.names


def test_a_stored_embedding_is_of_the_data_it_says(data: ImageData, tmp_path: Path) -> None:
    out = tmp_path / "pixels.npz"
    first, _ = represent("pixels", data)
    write_embedding(out, first, data)
    for h, of in (represent(str(out)), represent(str(out), data)):
        h.require(of)
        assert (h.made_by, h.fingerprint, h.name) == ("pixels", data.fingerprint, "pixels")
        for split in SPLITS:
            assert np.array_equal(h.h[split], first.h[split])
    other = ImageData("other", data.arrays, {**data.rows, "val": data.rows["val"][::-1]}, levels=17)
    with pytest.raises(
        ValueError, match=rf"h of other data than other: .* {data.fingerprint}, not"
    ):
        represent(str(out), other)
    np.savez(tmp_path / "bare.npz", image=data.arrays["image"])
    with pytest.raises(ValueError, match=r"bare\.npz has no 'embedding', only image: .*'pixels'"):
        represent(str(tmp_path / "bare.npz"))


def test_an_embedding_of_unknown_origin_is_known_by_its_file(
    data: ImageData, tmp_path: Path
) -> None:
    embedding = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    np.savez(tmp_path / "own.npz", image=data.arrays["image"], embedding=embedding)
    h, of = represent(str(tmp_path / "own.npz"))
    h.require(of)
    assert h.made_by == f"embedding of own.npz {of.fingerprint[:12]}"
    with pytest.raises(ValueError, match="h of other data than mine"):
        represent(str(tmp_path / "own.npz"), data)


def test_a_run_on_embeddings_of_another_maker_is_refused(data: ImageData, tmp_path: Path) -> None:
    embedding = np.repeat(np.arange(30, dtype=np.float32)[:, None], 2, axis=1)
    stored = ImageData(
        "stored",
        {**data.arrays, "embedding": embedding},
        data.rows,
        levels=17,
        encoder="FaceNet 1",
    )
    run = run_of(tmp_path / "own", stored, "Precomputed", h_dim=2, made_by="FaceNet 1")
    h, _ = represent(str(run.path), stored)
    assert np.array_equal(h.h["val"][:, 0], data.rows["val"])
    assert h.made_by.endswith("of FaceNet 1")
    stored.encoder = "FaceNet 2"
    with pytest.raises(ValueError, match=r"'FaceNet 1' \(made_by\), but those of stored were made"):
        represent(str(run.path), stored)
    with pytest.raises(ValueError, match="reads 'embedding', but mine has"):
        represent(str(run.path), data)
    with pytest.raises(ValueError, match="no weights that training changes"):
        represent(f"untrained:{run.path}", stored)
