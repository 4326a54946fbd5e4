"""Images from .npz files: layouts, codes, splits, the cache, and damaged or hostile files."""

import logging
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repr_toolkit.data import load_data
from repr_toolkit.support.caches import cache_folder
from repr_toolkit.support.reading import file_checksum

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 3, 6, 4), dtype=np.uint8)


def save(folder: Path, **arrays: Any) -> str:
    path = folder / "faces.npz"
    np.savez_compressed(path, **arrays)
    return str(path)


def prefixed(*counts: int) -> dict[str, Any]:
    arrays, start = {}, 0
    for split, count in zip(("train", "val", "test"), counts, strict=False):
        if count:
            arrays[f"{split}_image"] = IMAGES[start : start + count]
            arrays[f"{split}_label"] = np.arange(start, start + count, dtype=np.uint16)
        start += count
    return arrays


def test_image_and_split(tmp_path: Path) -> None:
    split = np.array(["train", "val", "test", "train"] * 10)
    source = save(
        tmp_path,
        image=IMAGES,
        split=split,
        label=np.arange(40) % 3,
        name=np.array(["cat", "dog", "fish"]),
        embedding=RNG.normal(size=(40, 5)),
        photo=np.array(["x.jpg"] * 40),
        weight=np.arange(40, dtype=np.float32),
        wnid=np.arange(3),
    )
    data = load_data(source)
    assert data.image_shape == (3, 6, 4)
    assert data.levels == 256
    assert data.names == {"label": ("cat", "dog", "fish")}
    for name, part in data.splits.items():
        assert set(part.keys) == {"image", "label", "embedding", "weight"}
        batch = part[range(len(part))]
        assert np.array_equal(batch["image"], IMAGES[split == name])
        assert np.array_equal(batch["weight"], np.flatnonzero(split == name))
        assert (batch["label"].dtype, batch["embedding"].dtype) == (torch.int64, torch.float32)


@pytest.mark.parametrize(
    ("stored", "encoder"),
    [
        ("FaceNet 0123", "FaceNet 0123"),
        (np.bytes_(b"FaceNet 0123"), "FaceNet 0123"),
        (np.array(["FaceNet 0123"] * 40), None),  # no name of the one that made them all
        (np.arange(40), None),
        (None, None),
    ],
)
def test_what_made_the_embeddings(tmp_path: Path, stored: Any, encoder: str | None) -> None:
    named = {} if stored is None else {"encoder": stored}
    source = save(tmp_path, image=IMAGES, **named)
    for _ in range(2):  # read, and from the cache
        assert load_data(source).encoder == encoder


def test_prefixes(tmp_path: Path) -> None:
    data = load_data(save(tmp_path, **prefixed(25, 5, 10)))
    assert {split: len(part) for split, part in data.splits.items()} == {
        "train": 25,
        "val": 5,
        "test": 10,
    }
    assert np.array_equal(data.splits["test"][range(10)]["image"], IMAGES[30:])
    assert data.splits["test"].column("label").tolist() == list(range(30, 40))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((30, 0, 10), (27, 3, 10)), ((30, 10, 0), (27, 3, 10)), ((40, 0, 0), (32, 4, 4))],
)
def test_missing_splits_are_cut_the_same_way_every_time(
    tmp_path: Path, counts: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    source = save(tmp_path, **prefixed(*counts))
    data = load_data(source)
    assert tuple(len(part) for part in data.splits.values()) == expected
    seen = [set(part.column("label").tolist()) for part in data.splits.values()]
    assert set().union(*seen) == set(range(40))
    assert sum(map(len, seen)) == 40
    if counts[0] == 30:
        assert seen[2] == set(range(30, 40))
    again = load_data(source)
    assert all(np.array_equal(again.rows[split], data.rows[split]) for split in data.rows)


def test_missing_splits_are_cut_by_person(tmp_path: Path) -> None:
    people = np.array([f"person {i // 4}" for i in range(40)])
    data = load_data(save(tmp_path, image=IMAGES, identity=people))
    codes = [set(part.column("identity").tolist()) for part in data.splits.values()]
    assert [len(c) for c in codes] == [8, 1, 1]
    assert set().union(*codes) == set(range(10))
    split = data.splits["test"]
    index = data.rows["test"][0]
    assert data.names["identity"][int(split[0]["identity"])] == people[index]


def test_images_without_landmarks_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    landmarks = RNG.normal(size=(40, 5, 2)).astype(np.float32)
    landmarks[[3, 7], 2, 1] = np.nan
    split = np.array(["train"] * 30 + ["val"] * 5 + ["test"] * 5)
    with caplog.at_level(logging.INFO):
        data = load_data(save(tmp_path, image=IMAGES, landmarks=landmarks, split=split))
    assert "left out 2 images without landmarks" in caplog.text
    assert len(data.splits["train"]) == 28
    assert not data.splits["train"].column("landmarks").isnan().any()
    assert np.array_equal(data.splits["train"][3]["image"], IMAGES[4])


def test_levels_of_the_file(tmp_path: Path) -> None:
    data = load_data(save(tmp_path, image=IMAGES % 4, levels=np.int64(4)))
    assert data.levels == 4
    assert load_data(str(tmp_path / "faces.npz"), levels=2).splits["train"][0]["image"].max() == 1
    with pytest.raises(ValueError, match="between 2 and 4, got 16"):
        load_data(str(tmp_path / "faces.npz"), levels=16)


def test_unpacked_once_and_memory_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", str(tmp_path / "cache"))
    source = save(tmp_path, image=IMAGES)
    first = load_data(source)
    mapped = first.arrays["image"]
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    [folder] = (cache_folder() / "data").iterdir()
    stamp = (folder / "image.npy").stat().st_mtime_ns
    assert load_data(source).fingerprint == first.fingerprint
    assert (folder / "image.npy").stat().st_mtime_ns == stamp
    # The content is what counts: the same file elsewhere is not unpacked again, another one is.
    (tmp_path / "copy").mkdir()
    save(tmp_path / "copy", image=IMAGES)
    load_data(str(tmp_path / "copy" / "faces.npz"))
    assert len(list((cache_folder() / "data").iterdir())) == 1
    assert load_data(save(tmp_path, image=IMAGES[::-1])).fingerprint != first.fingerprint
    assert len(list((cache_folder() / "data").iterdir())) == 2


def test_fortran_order_and_large_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repr_toolkit.data.npz.CHUNK_BYTES", 100)
    images = RNG.integers(0, 256, (40, 1, 5, 7), dtype=np.uint8)
    embedding = np.asfortranarray(RNG.normal(size=(40, 3)).astype(np.float32))
    data = load_data(save(tmp_path, image=images, embedding=embedding))
    rows = data.rows["train"]
    assert np.array_equal(data.splits["train"].column("embedding"), embedding[rows])
    assert np.array_equal(data.splits["train"].column("image"), images[rows])


def imagenet(folder: Path, name: str, count: int, first: int = 1) -> None:
    data = RNG.integers(0, 256, (count, 3 * 8 * 8), dtype=np.uint8)
    np.savez(folder / name, data=data, labels=np.arange(first, first + count))


def test_official_imagenet_batches(tmp_path: Path) -> None:
    folder = tmp_path / "imagenet32"
    folder.mkdir()
    for i in range(1, 11):
        imagenet(folder, f"train_data_batch_{i}.npz", 4, first=4 * i - 3)
    imagenet(folder, "val_data.npz", 6)
    data = load_data("imagenet32", root=tmp_path)
    assert data.image_shape == (3, 8, 8)
    assert [len(part) for part in data.splits.values()] == [36, 4, 6]
    assert data.splits["test"].column("label").tolist() == list(range(6))
    stored = np.load(folder / "train_data_batch_10.npz")["data"].reshape(-1, 3, 8, 8)
    assert np.array_equal(data.arrays["image"][36:40], stored)
    assert data.arrays["label"][:40].tolist() == list(range(40))
    alone = load_data("imagenet32/train_data_batch_10.npz", root=tmp_path)
    assert sum(len(part) for part in alone.splits.values()) == 4
    np.savez(folder / "val_data.npz", data=np.zeros((6, 48), np.uint8), labels=np.ones(6, int))
    with pytest.raises(ValueError, match=r"val_data\.npz: images of another size"):
        load_data("imagenet32", root=tmp_path)
    np.savez(folder / "val_data.npz", data=np.zeros((6, 192), np.uint8), labels=np.zeros(6, int))
    with pytest.raises(ValueError, match="count from 1, got 0"):
        load_data("imagenet32", root=tmp_path)


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"image": IMAGES.astype(float)}, TypeError, "'image' must be uint8, got float64"),
        ({"image": IMAGES[:, :2]}, ValueError, "1 or 3 channels, got 2"),
        ({"image": IMAGES[0, 0, 0, 0]}, ValueError, r"\(N, C, H, W\)"),
        ({"image": IMAGES, "label": np.arange(39)}, ValueError, "40 images but 39 rows of 'label'"),
        ({"image": IMAGES, "label": np.full(40, 0.5)}, TypeError, "whole numbers or strings, got"),
        ({"image": IMAGES, "label": np.zeros(40, complex)}, TypeError, "or strings, got complex"),
        ({"picture": IMAGES}, ValueError, "it has picture"),
        ({"image": IMAGES, "split": np.array(["dev"] * 40)}, ValueError, "got dev"),
        ({"image": IMAGES, "split": np.array(["train"] * 3)}, ValueError, "'split' must be 40"),
        ({"image": IMAGES[:2]}, ValueError, "too few"),
        ({"image": IMAGES[:0]}, ValueError, "'train' is empty"),
        (
            {"train_image": IMAGES, "test_image": IMAGES, "train_label": np.arange(40)},
            ValueError,
            "no test_label",
        ),
        (
            {"train_image": IMAGES, "train_label": np.arange(39)},
            ValueError,
            "40 images in train_image but the shape of 'train_label'",
        ),
        (
            {"train_image": IMAGES, "test_image": IMAGES[:, :1]},
            ValueError,
            "'test_image'",
        ),
        ({"train_image": IMAGES, "test_image": IMAGES[:0]}, ValueError, "'test' is empty"),
        ({"data": IMAGES, "labels": np.ones(40, int)}, ValueError, r"\(N, 3·side·side\)"),
    ],
)
def test_misfits_name_the_file_and_leave_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arrays: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", str(tmp_path / "cache"))
    source = save(tmp_path, **arrays)
    with pytest.raises(error, match=message) as raised:
        load_data(source)
    assert "faces.npz" in str(raised.value)
    assert not list((tmp_path / "cache").glob("data/*"))


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (pytest.fail, ("unpickled",))


def test_pickles_are_refused_unopened(tmp_path: Path) -> None:
    source = save(tmp_path, image=IMAGES, label=np.array([Bomb()] * 40, dtype=object))
    with pytest.raises(ValueError, match="'label' holds pickled Python objects"):
        load_data(source)
    Path(source).write_bytes(pickle.dumps({"image": IMAGES}))
    with pytest.raises(ValueError, match=r"is no \.npz file"):
        load_data(source)


def test_cut_short(tmp_path: Path) -> None:
    source = Path(save(tmp_path, image=IMAGES))
    source.write_bytes(source.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"faces\.npz is no \.npz file, or is damaged"):
        load_data(str(source))


@pytest.mark.parametrize("saver", [np.savez, np.savez_compressed])
def test_one_changed_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saver: Any) -> None:
    monkeypatch.setenv("REPR_TOOLKIT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "faces.npz"
    saver(path, image=IMAGES)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"faces\.npz is no \.npz file, or is damaged"):
        load_data(str(path))
    assert not list((tmp_path / "cache").glob("data/*"))


def header(dtype: str, shape: tuple[int, ...], order: bool = False) -> bytes:
    """What stands before the values of an array."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': {order}, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (("label", "<U1300000", (40,), False), "'label'.* larger than 0 MiB; save it as integers"),
        (("name", "<U1300000", (3,), False), "'name'.* larger than 0 MiB"),
        (("name", "<U0", (10**9,), False), "'name'.* larger than 0 MiB"),
        (("embedding", "<f4", (40, 9000), True), "'embedding'.* larger .* in C order"),
        (("label", "<i8", (10**15,), False), "'label' has 1,000,000 bytes, not the 8,000,000"),
        (("label", "<i8", (-1,), False), "'label' has 1,000,000 bytes, not the -8"),
    ],
)
def test_bombs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: tuple[Any, ...], told: str
) -> None:
    """Megabytes that are kilobytes in the file; here the limit is a MiB."""
    monkeypatch.setattr("repr_toolkit.data.npz.WHOLE_BYTES", 1_000_000)
    name, dtype, shape, order = key
    source = save(tmp_path, image=IMAGES)
    size = np.dtype(dtype).itemsize * np.prod(shape, dtype=object)
    size = size if 0 <= size < 10**9 else 1_000_000
    with zipfile.ZipFile(source, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", header(dtype, shape, order) + bytes(size))
    with pytest.raises(ValueError, match=rf"faces\.npz.*{told}"):
        load_data(source)


def test_what_no_header_can_be(tmp_path: Path) -> None:
    for i, (content, told) in enumerate(
        [
            (b"\x93NUMPY\2\0\xff\xff\xff\xff" + b" " * 10**6, "'image' is damaged: EOF"),
            (header("|u1", (10**18, 1, 0, 4)), "'image' has no pixels"),
            (b"\x93NUMPY\1\0\xff\x20" + b"(" * 10**4, "damaged"),
        ]
    ):
        path = tmp_path / f"{i}.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("image.npy", content)
        with pytest.raises(ValueError, match=rf"{i}\.npz.*{told}"):
            load_data(str(path))


def test_a_full_disk_is_seen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 100))
    with pytest.raises(OSError, match=r"faces\.npz takes .*; set .REPR_TOOLKIT_CACHE"):
        load_data(save(tmp_path, image=RNG.integers(0, 9, (40, 1, 2, 3), dtype=np.uint8)))


@pytest.mark.parametrize("place", [8, 0])
def test_an_archive_of_an_unknown_kind(tmp_path: Path, place: int) -> None:
    """Of a compression that there is not, and encrypted; the names stand at bytes 8 and 6."""
    path = Path(save(tmp_path, image=IMAGES))
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\1\2")
    for start in (6, central + 8):
        content[start + (2 if place else 0)] = 77 if place else 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"faces\.npz is no \.npz file, or is damaged.*copy it"):
        load_data(str(path))


def test_another_files_checksums_do_not_give_its_images(tmp_path: Path) -> None:
    """The first file is in the cache; the second states the same checksums of other images."""
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    for path, images in ((first, IMAGES), (second, 255 - IMAGES)):
        with zipfile.ZipFile(path, "w") as archive:
            np.save(tmp_path / "image.npy", images)
            archive.write(tmp_path / "image.npy", "image.npy")
    load_data(str(first))
    sums = [
        zipfile.ZipFile(p).getinfo("image.npy").CRC.to_bytes(4, "little") for p in (first, second)
    ]
    second.write_bytes(second.read_bytes().replace(sums[1], sums[0]))
    second = second.rename(first)  # in its very place
    with pytest.raises(ValueError, match=r"first\.npz is no .*damaged.*CRC"):
        load_data(str(second))


def test_a_file_is_hashed_again_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []

    def counted(path: Path) -> str:
        hashed.extend([path] if path.suffix == ".npz" else [])
        return file_checksum(path)

    monkeypatch.setattr("repr_toolkit.data.cache.file_checksum", counted)
    path = save(tmp_path, image=IMAGES)
    first = load_data(path).fingerprint
    assert load_data(path).fingerprint == first
    assert len(hashed) == 1
    save(tmp_path, image=255 - IMAGES)
    os.utime(path, ns=(1, 1))
    assert load_data(path).fingerprint != first
    assert len(hashed) == 2


def test_fewer_bytes_than_the_header_says(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", IMAGES)
    short = (tmp_path / "image.npy").read_bytes()[:-1]
    with zipfile.ZipFile(tmp_path / "faces.npz", "w") as archive:
        archive.writestr("image.npy", short)
    with pytest.raises(ValueError, match="'image' has 2,879 bytes, not the 2,880 of uint8"):
        load_data(str(tmp_path / "faces.npz"))
    with zipfile.ZipFile(tmp_path / "faces.npz", "w") as archive:
        archive.writestr("image.npy", b"nonsense" * 9)
    with pytest.raises(ValueError, match="'image' is damaged"):
        load_data(str(tmp_path / "faces.npz"))


@pytest.mark.parametrize("also", [(), ("identity",), ("identity", "photograph")])
@pytest.mark.parametrize("tested", [False, True])
def test_missing_splits_part_no_group(tmp_path: Path, also: tuple[str, ...], tested: bool) -> None:
    """By the widest key, of which the others are parts."""
    count = np.random.default_rng(0).permutation(40)
    arrays: dict[str, Any] = {"group": count // 8}
    arrays |= {key: count // size for key, size in zip(also, (4, 2), strict=False)}
    arrays["image"] = IMAGES
    if tested:  # only validation is to be cut
        arrays = {f"train_{key}": values for key, values in arrays.items()}
        arrays |= {f"test_{key[6:]}": values for key, values in arrays.items()}
    data = load_data(save(tmp_path, **arrays))
    kept = [set(data.split(split).column("group").tolist()) for split in ("train", "val")]
    assert not kept[0] & kept[1]
    if not tested:
        assert not (kept[0] | kept[1]) & set(data.split("test").column("group").tolist())


def test_images_of_one_photograph_stay_together(tmp_path: Path) -> None:
    data = load_data(save(tmp_path, image=IMAGES, photograph=np.arange(40) // 4))
    of = [set(split.column("photograph").tolist()) for split in data.splits.values()]
    assert sum(map(len, of)) == len(set.union(*of)) == 10
    with pytest.raises(ValueError, match="1 photographs are too few"):
        load_data(save(tmp_path, image=IMAGES, photograph=np.zeros(40, int)))
