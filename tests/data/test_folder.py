"""Folders of image files: splits, labels, sizes, and files that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repr_toolkit.data import load_data
from repr_toolkit.data.picture_files import quiet_pillow, read_header, read_image

RNG = np.random.default_rng(0)


def picture(path: Path, height: int = 6, width: int = 5, mode: str = "RGB") -> np.ndarray:
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels.transpose(2, 0, 1) if mode == "RGB" else pixels[None]


def test_a_plain_folder(tmp_path: Path) -> None:
    pixels = np.stack([picture(tmp_path / "mine" / f"{i:02}.png") for i in range(20)])
    (tmp_path / "mine" / "notes.txt").write_text("no image")
    (tmp_path / "mine" / ".hidden.png").write_bytes(b"no image")
    data = load_data("mine", root=tmp_path)
    assert np.array_equal(data.arrays["image"], pixels)
    assert [len(part) for part in data.splits.values()] == [16, 2, 2]
    assert data.splits["train"].keys == ("image",)
    assert isinstance(data.arrays["image"], np.memmap)


def test_splits_and_classes(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        for kind in ("dog", "cat"):
            for i in range(count):
                picture(tmp_path / "animals" / split / kind / "deeper" / f"{i}.png", mode="L")
    data = load_data(str(tmp_path / "animals"))
    assert data.image_shape == (1, 6, 5)
    assert data.names == {"label": ("cat", "dog")}
    assert {split: part.column("label").tolist() for split, part in data.splits.items()} == {
        "train": [0, 0, 0, 1, 1, 1],
        "val": [0, 0, 1, 1],
        "test": [0, 1],
    }


def test_decoded_once_until_a_file_changes(tmp_path: Path) -> None:
    for i in range(10):
        picture(tmp_path / "mine" / f"{i}.png")
    first, again = (load_data("mine", root=tmp_path) for _ in range(2))
    assert again.arrays["image"].filename == first.arrays["image"].filename
    picture(tmp_path / "mine" / "3.png")
    assert load_data("mine", root=tmp_path).fingerprint != first.fingerprint


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 13), (11, 8)])
def test_size_takes_the_middle_square_and_averages(tmp_path: Path, height: int, width: int) -> None:
    pixels = picture(tmp_path / "x.png", height, width).astype(float)
    top, left = (height - 8) // 2, (width - 8) // 2
    square = pixels[:, top : top + 8, left : left + 8]
    expected = square.reshape(3, 4, 2, 4, 2).mean(axis=(2, 4))
    got = read_image(tmp_path / "x.png", 4).astype(float)
    assert got.shape == (3, 4, 4)
    assert np.abs(got - expected).max() <= 1  # rounded once along each side


def test_a_camera_on_its_side(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "x.png", 6, 5)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / "turned.png", exif=exif)
    turned = read_image(tmp_path / "turned.png", None)
    assert np.array_equal(turned, np.rot90(pixels, -1, axes=(1, 2)))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_a_header_says_how_large_the_upright_image_is(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / f"turned{suffix}", exif=exif)
    with quiet_pillow():
        header = read_header(tmp_path / f"turned{suffix}")
    assert (header.width, header.height) == (4, 6)
    assert read_image(tmp_path / f"turned{suffix}", None).shape == (3, 6, 4)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".ppm", ".bmp", ".webp", ".tif"])
@pytest.mark.parametrize("kept", [0, 3, 60, 0.5, 0.9])
def test_a_file_cut_short_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    for i in range(10):
        picture(tmp_path / "mine" / f"{i}{suffix}", 40, 40)
    bad = tmp_path / "mine" / f"7{suffix}"
    content = bad.read_bytes()
    bad.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(ValueError, match=rf"7\{suffix} \(damaged or cut short"):
        load_data("mine", root=tmp_path)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("CMYK", ".jpg"), ("RGBA", ".png"), ("P", ".png"), ("1", ".png"), ("I;16", ".png")],
)
def test_other_modes_are_named(tmp_path: Path, mode: str, suffix: str) -> None:
    for i in range(10):
        picture(tmp_path / "mine" / f"{i}.png")
    Image.new(mode, (5, 6)).save(tmp_path / "mine" / f"odd{suffix}")
    with pytest.raises(ValueError, match=rf"data\.mode, RGB or grey.*odd\{suffix} \({mode}\)"):
        load_data("mine", root=tmp_path)


def test_sixteen_bits_of_rgb_are_not_halved_silently(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(12) for _ in range(2)))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)
    (tmp_path / "deep.png").write_bytes(png + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match=r"deep\.png: only 8-bit .* RGB of 16 bits"):
        read_image(tmp_path / "deep.png", None)


def test_odd_shapes_are_named_and_size_helps(tmp_path: Path) -> None:
    for i in range(10):
        picture(tmp_path / "mine" / f"{i}.png")
    picture(tmp_path / "mine" / "odd.png", 9, 7)
    with pytest.raises(
        ValueError, match=r"1 of 11 images are not 5×6.*data\.size.*odd\.png \(7×9\)"
    ):
        load_data("mine", root=tmp_path)
    assert load_data("mine", root=tmp_path, size=4).image_shape == (3, 4, 4)
    picture(tmp_path / "mine" / "odd.png", mode="L")
    with pytest.raises(ValueError, match=r"are not RGB.*odd\.png \(L\)"):
        load_data("mine", root=tmp_path, size=4)
    with pytest.raises(ValueError, match=r"data\.size must be at least 1, got 0"):
        load_data("mine", root=tmp_path, size=0)


def test_folders_that_make_no_sense_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no images"):
        load_data("empty", root=tmp_path)
    picture(tmp_path / "mixed" / "cat" / "a.png")
    picture(tmp_path / "mixed" / "b.png")
    with pytest.raises(ValueError, match=r"mixed: b\.png lies beside the folders of classes"):
        load_data("mixed", root=tmp_path)
    picture(tmp_path / "half" / "train" / "cat" / "a.png")
    picture(tmp_path / "half" / "test" / "b.png")
    with pytest.raises(ValueError, match="test: no class folders"):
        load_data("half", root=tmp_path)
    picture(tmp_path / "few" / "a.png")
    with pytest.raises(ValueError, match=r"few: .*too few"):
        load_data("few", root=tmp_path)


@pytest.mark.parametrize("stray", ["extra", "validation"])
def test_a_folder_beside_the_splits_is_named(tmp_path: Path, stray: str) -> None:
    for folder in ("train", "val", stray):
        (tmp_path / folder).mkdir()
        picture(tmp_path / folder / "a.png")
    with pytest.raises(ValueError, match=rf"{stray}/ (is no|are both the val) split"):
        load_data(str(tmp_path))


def test_what_was_read_before_is_read_alike(tmp_path: Path) -> None:
    """The fingerprints of the first reader of folders, by which runs know their data."""
    colours = np.random.default_rng(0).integers(0, 256, (24, 6, 5, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, image in enumerate(map(Image.fromarray, colours)):
        split, kind = ("valid", "train", "test")[number % 3], "ab"[number % 2]
        for place in ("flat", "one/a", f"classes/{kind}/deeper", f"splits/{split}/{kind}"):
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / place / f"{number}.png")
        (tmp_path / "turned").mkdir(exist_ok=True)
        image.convert("L").save(tmp_path / "turned" / f"{number}.png", exif=exif)
    assert {
        path.name: [load_data(str(path), size=size).fingerprint[:8] for size in (None, 4)]
        for path in tmp_path.iterdir()
    } == {
        "flat": ["1a66ef57", "a7970c18"],
        "one": ["2980187b", "720ef0ef"],
        "classes": ["7fba4d92", "d57a3ca0"],
        "splits": ["9abaf0c4", "73d66ee5"],
        "turned": ["41499486", "0a54d534"],
    }
