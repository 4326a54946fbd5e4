"""torchvision's data sets, from tiny files in its own formats; downloads come from this machine."""

import gzip
import hashlib
import pickle
import shutil
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image
from torchvision import datasets

from repr_toolkit.analyses.judge import obstacle
from repr_toolkit.analyses.probing import find_targets
from repr_toolkit.data import load_data
from repr_toolkit.data.attributes import find_attribute
from repr_toolkit.data.cache import Contents, cached, file_stamp
from repr_toolkit.data.folder import write_images
from repr_toolkit.data.from_torchvision import FILES
from repr_toolkit.data.names import TORCHVISION
from repr_toolkit.data.picture_files import read_headers
from repr_toolkit.representations import represent, write_embedding

RNG = np.random.default_rng(0)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the URL at which its files can be fetched."""
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def idx(array: np.ndarray) -> bytes:
    """The IDX format of MNIST: type 8 (uint8), rank, big-endian shape, values."""
    shape = np.array(array.shape, dtype=">i4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def mnist_files(folder: Path) -> dict[str, np.ndarray]:
    arrays = {
        "train-images-idx3-ubyte": RNG.integers(0, 256, (30, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(30) % 10,
        "t10k-images-idx3-ubyte": RNG.integers(0, 256, (10, 28, 28)),
        "t10k-labels-idx1-ubyte": np.arange(10),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        (folder / name).write_bytes(idx(array))
    return arrays


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_mnist(name: str, tmp_path: Path) -> None:
    arrays = mnist_files(tmp_path / name / "raw")
    data = load_data(name.lower(), root=tmp_path, levels=4)
    assert (data.image_shape, data.levels) == ((1, 28, 28), 4)
    assert [len(part) for part in data.splits.values()] == [27, 3, 10]
    test = data.splits["test"]
    stored = arrays["t10k-images-idx3-ubyte"][:, None]
    assert np.array_equal(test.column("image"), stored * 4 // 256)
    assert test.column("label").tolist() == list(range(10))
    assert len(data.names["label"]) == 10
    assert isinstance(data.arrays["image"], np.memmap)


def test_mnist_is_fetched_only_where_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[Path, str]
) -> None:
    folder, url = server
    mnist_files(folder)
    resources = []
    for path in sorted(folder.iterdir()):
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        resources.append((packed.name, md5(packed)))
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{url}/"])
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    home = tmp_path / "root" / "deeper"
    with pytest.raises(FileNotFoundError, match=r"download=True") as raised:
        load_data("MNIST", root=home)
    assert str(home) in str(raised.value)
    assert not home.exists()
    assert len(load_data("MNIST", root=home, download=True).splits["test"]) == 10
    shutil.rmtree(folder)
    assert len(load_data("MNIST", root=home, download=True).splits["test"]) == 10


def cifar_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    folder.mkdir(parents=True)
    images = RNG.integers(0, 256, (24, 3, 32, 32), dtype=np.uint8)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for i, name in enumerate(names):
        part = images[4 * i : 4 * i + 4].reshape(4, -1)
        (folder / name).write_bytes(pickle.dumps({"data": part, "labels": [0, 1, 2, 9]}))
    classes = {"label_names": [f"class {i}" for i in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(classes))
    sums = [[name, md5(folder / name)] for name in names]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", sums[5:])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return images


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[Path, str]) -> None:
    folder, url = server
    images = cifar_files(folder / "cifar-10-batches-py", monkeypatch)
    archive = folder / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{url}/{archive.name}")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive))
    data = load_data("cifar10", root=tmp_path / "root", download=True)
    assert [len(part) for part in data.splits.values()] == [18, 2, 4]
    assert np.array_equal(data.arrays["image"], images)
    assert data.splits["test"].column("label").tolist() == [0, 1, 2, 9]
    assert data.names["label"][9] == "class 9"


def test_damaged_files_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    cifar_files(folder, monkeypatch)
    (folder / "data_batch_3").write_bytes(b"cut short")
    with pytest.raises(ValueError, match=r"CIFAR10 in .*corrupted"):
        load_data("CIFAR10", root=tmp_path)


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, listed = {}, {}
    for split, count in (("train", 20), ("test", 10)):
        images[split] = RNG.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        path = tmp_path / f"{split}_32x32.mat"
        labels = np.arange(count)[:, None] % 10 + 1
        scipy.io.savemat(path, {"X": images[split].transpose(2, 3, 1, 0), "y": labels})
        listed[split] = ["", path.name, md5(path)]
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)
    data = load_data("SVHN", root=tmp_path)
    assert [len(part) for part in data.splits.values()] == [18, 2, 10]
    assert np.array_equal(data.splits["test"].column("image"), images["test"])
    assert data.splits["test"].column("label").tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]


def photographs(folder: Path, names: list[str], shape: tuple[int, int]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)


CELEBA = [f"{i:06}.jpg" for i in range(1, 13)]
PEOPLE = [7, 7, 7, 2, 2, 2, 30, 30, 9, 9, 9, 9]
SMILES = [-1, 1, -1, -1, 1, 1, 1, -1, 1, -1, 1, -1]


def celeba_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Twelve faces of 22×18 pixels, each white at its left eye; the landmarks (12, 5, 2)."""
    home = root / "celeba"
    (home / "img_align_celeba").mkdir(parents=True)
    points = RNG.integers(0, 18, (12, 5, 2))
    points[:, 0] = [4, 11]  # x, y: in the middle square, whose edge is two rows lower
    points[3, 0] = [16, 7]
    for name, (x, y) in zip(CELEBA, points[:, 0], strict=True):
        pixels = np.zeros((22, 18, 3), np.uint8)
        pixels[y - 1 : y + 1, x : x + 2] = 255
        Image.fromarray(pixels).save(home / "img_align_celeba" / name, quality=100, subsampling=0)
    parts = [0] * 6 + [1] * 2 + [2] * 4

    def table(file: str, rows: list[list[int]], header: str = "") -> None:
        lines = [" ".join([name, *map(str, row)]) for name, row in zip(CELEBA, rows, strict=True)]
        (home / file).write_text(header + "\n".join(lines) + "\n")

    table("list_eval_partition.txt", [[part] for part in parts])
    table("identity_CelebA.txt", [[person] for person in PEOPLE])
    flags = [[-1, smile] for smile in SMILES]
    table("list_attr_celeba.txt", flags, "12\n5_o_Clock_Shadow Smiling \n")  # as in the real one
    table("list_bbox_celeba.txt", [[0, 0, 9, 9]] * 12, "12\nimage_id x y w h\n")
    named = "12\n" + " ".join("abcdefghij") + "\n"
    table("list_landmarks_align_celeba.txt", points.reshape(12, 10).tolist(), named)
    listed = [("", md5(path), path.name) for path in sorted(home.glob("*.txt"))]
    monkeypatch.setattr(datasets.CelebA, "file_list", listed)
    return points


def test_celeba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    celeba_files(tmp_path, monkeypatch)
    data = load_data("CelebA", root=tmp_path, size=9)
    assert data.image_shape == (3, 9, 9)
    assert load_data("celeba", root=tmp_path).image_shape == (3, 22, 18)
    assert [len(part) for part in data.splits.values()] == [6, 2, 4]
    keys = {"5_o_Clock_Shadow", "Smiling", "identity", "image", "landmarks"}
    assert set(data.splits["train"].keys) == keys
    for split, expected in (("train", PEOPLE[:6]), ("val", PEOPLE[6:8]), ("test", PEOPLE[8:])):
        codes = data.splits[split].column("identity").tolist()
        assert [int(data.names["identity"][code]) for code in codes] == expected


def test_celebas_attributes_are_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    celeba_files(tmp_path, monkeypatch)
    data = load_data("CelebA", root=tmp_path, size=9)
    found = np.concatenate([part.column("Smiling") for part in data.splits.values()])
    assert found.dtype == np.int64
    assert found.tolist() == [(smile + 1) // 2 for smile in SMILES]
    [smiling], [] = find_targets(data, ["Smiling"])
    assert (smiling.kind, smiling.classes) == ("classification", 2)
    assert find_attribute(data, "Smiling").flags(data, "val", [0, 1]).tolist() == [True, False]
    assert obstacle(data, "Smiling") is None
    # They outlive a data file, whatever letter a name begins with.
    out = tmp_path / "h.npz"
    write_embedding(out, represent("pixels", data)[0], data)
    again = load_data(str(out))
    assert set(again.arrays) == {*data.arrays, "embedding"}
    for key in ("Smiling", "5_o_Clock_Shadow", "landmarks"):
        assert torch.equal(again.splits["test"].column(key), data.splits["test"].column(key))


def test_celebas_landmarks_go_with_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = celeba_files(tmp_path, monkeypatch)
    whole = load_data("CelebA", root=tmp_path).arrays["landmarks"]
    assert whole.dtype == np.float32
    assert np.array_equal(whole, points)
    data = load_data("CelebA", root=tmp_path, size=9)
    landmarks = data.arrays["landmarks"]
    assert np.array_equal(landmarks, (points - [0, 2]) / 2)
    # The white spot that lies from x to x + 2 and from y − 1 to y + 1 before, one pixel now.
    for image, (x, y) in zip(data.arrays["image"], landmarks[:, 0], strict=True):
        row, column = np.unravel_index(image[0].argmax(), (9, 9))
        assert (column, row) == (x, y - 0.5)


def test_celeba_decoded_by_an_older_version_is_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the attributes; runs that were trained on it know the new one all the same."""
    celeba_files(tmp_path, monkeypatch)
    paths = [tmp_path / "celeba/img_align_celeba" / name for name in CELEBA]
    stamp = file_stamp(tmp_path / file for file in FILES["CelebA"])

    def build(folder: Path) -> Contents:
        write_images(folder, read_headers(paths), 9)
        np.save(folder / "identity.npy", np.unique(PEOPLE, return_inverse=True)[1].astype(np.int64))
        return Contents({"train": np.arange(6), "val": np.arange(6, 8), "test": np.arange(8, 12)})

    older = cached("CelebA", f"{stamp} 9", build)
    assert set(older.arrays) == {"image", "identity"}
    data = load_data("CelebA", root=tmp_path, size=9)
    assert {"Smiling", "landmarks"} <= set(data.arrays)
    assert data.fingerprint == older.fingerprint


def test_lfw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "lfw-py"
    people = {f"Person_{letter}": 1 + i % 3 for i, letter in enumerate("ABCDEFGHIJKL")}
    train, test = dict(list(people.items())[:9]), dict(list(people.items())[9:])
    names = [f"{p}/{p}_{i:04}.jpg" for p, count in people.items() for i in range(1, count + 1)]
    photographs(home / "lfw_funneled", names, (25, 25))
    for file, part in (("peopleDevTrain.txt", train), ("peopleDevTest.txt", test)):
        lines = [str(len(part)), *(f"{person}\t{count}" for person, count in part.items())]
        (home / file).write_text("\n".join(lines) + "\n")
    lines = [f"{person}\t{count}" for person, count in people.items()]
    (home / "lfw-names.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(
        FileNotFoundError, match=r"can no longer be fetched: put .*lfw-funneled\.tgz"
    ):
        load_data("LFWPeople", root=tmp_path, download=True)
    (home / "lfw-funneled.tgz").write_bytes(b"kept only for its checksum")
    sums = {path.name: md5(path) for path in home.iterdir() if path.is_file()}
    monkeypatch.setattr(datasets.LFWPeople, "checksums", sums)
    funneled: tuple[Any, ...] = ("lfw_funneled", "lfw-funneled.tgz", sums["lfw-funneled.tgz"])
    monkeypatch.setattr(datasets.LFWPeople, "file_dict", {"funneled": funneled})
    data = load_data("lfwpeople", root=tmp_path, size=5)
    assert data.image_shape == (3, 5, 5)
    found = {}
    for split, part in data.splits.items():
        codes = part.column("identity").tolist()
        found[split] = {data.names["identity"][code] for code in codes}
        assert len(part) == sum(people[person] for person in found[split])
    assert found["test"] == set(test)
    assert found["train"] | found["val"] == set(train)
    assert not found["train"] & found["val"]
    assert found["val"]


@pytest.mark.parametrize("name", TORCHVISION)
def test_missing_ones_say_how_to_get_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{name} is not at .*download=True") as raised:
        load_data(name, root=tmp_path)
    assert str(tmp_path) in str(raised.value)
