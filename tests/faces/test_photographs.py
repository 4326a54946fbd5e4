"""Which files are photographs, and what is made of every kind of them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from repr_toolkit.faces.photographs import Unusable, find_photographs, read_photograph
from toys.faces import astronaut


def written(path: Path, image: Image.Image, **how: Any) -> Image.Image:
    """A photograph that is written to a file and read again."""
    image.save(path, **how)
    return read_photograph(path)


def distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


# What can be converted


@pytest.mark.parametrize(
    ("convert", "name", "tolerance"),
    [
        (lambda rgb: rgb, "a.png", 0),
        (lambda rgb: rgb, "a.JPG", 4),
        (lambda rgb: rgb.quantize(256), "a.png", 4),
        (lambda rgb: rgb.quantize(256), "a.gif", 4),
        (lambda rgb: rgb.convert("CMYK"), "a.jpg", 3),
        (lambda rgb: rgb.convert("CMYK"), "a.tif", 1),
        (lambda rgb: rgb.convert("YCbCr"), "a.jpg", 4),
    ],
)
def test_colours_are_kept(
    tmp_path: Path,
    convert: Callable[[Image.Image], Image.Image],
    name: str,
    tolerance: float,
) -> None:
    photograph = written(tmp_path / name, convert(astronaut()))
    assert photograph.mode == "RGB"
    assert distance(photograph, astronaut()) <= tolerance


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_becomes_three_equal_channels(tmp_path: Path, mode: str) -> None:
    grey = astronaut().convert(mode)
    pixels = np.asarray(written(tmp_path / "a.png", grey))
    assert np.array_equal(pixels, np.asarray(grey.convert("L"))[..., None].repeat(3, 2))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_is_laid_over_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (4, 2), (0, 0, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    if mode != "PA":
        image.putpixel((1, 0), (0, 0, 0, 128))
    stored = image.quantize(4) if mode == "PA" else image.convert(mode)
    photograph = written(tmp_path / "a.png", stored)
    assert photograph.getpixel((0, 0)) == (255, 255, 255)
    assert photograph.getpixel((3, 1)) == (0, 0, 0)
    if mode != "PA":
        assert photograph.getpixel((1, 0)) == (127, 127, 127)


def test_a_camera_says_what_is_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    lying = astronaut().transpose(Image.Transpose.ROTATE_90).crop((0, 0, 230, 200))
    photograph = written(tmp_path / "a.png", lying, exif=exif)
    assert distance(photograph, lying.transpose(Image.Transpose.ROTATE_270)) == 0


def test_of_a_phones_several_pictures_the_first_is_taken(tmp_path: Path) -> None:
    depth = Image.new("RGB", (20, 20))
    photograph = written(
        tmp_path / "a.jpg", astronaut(), format="MPO", save_all=True, append_images=[depth]
    )
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "MPO"
        assert image.is_animated
    assert distance(photograph, astronaut()) < 4


# What cannot


def test_animated_files_and_several_pages(tmp_path: Path) -> None:
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        path = tmp_path / name
        frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
        frames[0].save(path, save_all=True, append_images=frames[1:])
        with pytest.raises(Unusable, match=r"^animated, or several pages$"):
            read_photograph(path)


def test_more_than_8_bits(tmp_path: Path) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(deep).save(tmp_path / "grey.png")
    Image.fromarray(deep).save(tmp_path / "grey.tif")
    Image.fromarray(deep.astype(np.int32)).save(tmp_path / "32.tif")
    Image.fromarray(deep.astype(np.float32)).save(tmp_path / "float.tif")
    (tmp_path / "colour.png").write_bytes(png_of_16_bits())
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(Unusable, match=r"^more than 8 bits a channel$"):
            read_photograph(path)


def png_of_16_bits() -> bytes:
    """An RGB PNG of 2×1 pixels and 16 bits, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    row = b"\0" + struct.pack(">6H", 1, 2, 3, 40000, 50000, 60000)
    end = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + end


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.tif", "a.webp", "a.bmp"])
def test_damaged_or_cut_short(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    astronaut().save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"no picture", whole[:20], whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(Unusable, match=r"^unreadable: damaged or cut short$"):
            read_photograph(path)


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    astronaut().save(tmp_path / "a.png")
    for limit in (230 * 230 - 1, 100):  # of which Pillow warns, or which it refuses
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(Unusable, match=r"^more pixels than a photograph has$"):
            read_photograph(tmp_path / "a.png")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_photograph(tmp_path / "a.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    astronaut().save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(Unusable, match="permission denied"):
        read_photograph(tmp_path / "a.png")


# Which files there are


def test_photographs_at_any_depth_in_order(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/10.png", "a/x/1.webp", "a/.hidden.png", ".git/1.png", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("a/1.HEIC", "b/2.heic", "README"):
        (tmp_path / name).touch()
    (tmp_path / "c").symlink_to(tmp_path / "b")
    layout = find_photographs(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in layout.files]
    assert names == ["a/x/1.webp", "b/10.png", "b/2.JPG"]
    heic = ".heic takes the plug-in pillow-heif, which is not installed"
    assert layout.skipped == [
        (".git", "hidden"),
        ("README", "no suffix, and so no image"),
        ("a/.hidden.png", "hidden"),
        ("a/1.HEIC", heic),
        ("a/notes.txt", ".txt is no image"),
        ("b/2.heic", heic),
        ("c", "a link to a folder that is read already"),
    ]


def test_folders_without_photographs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        find_photographs(tmp_path / "nowhere")
    (tmp_path / "a.txt").touch()
    with pytest.raises(NotADirectoryError, match=r"a\.txt is no folder"):
        find_photographs(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"no images \(\.apng, .*\) in it; skipped 1: \.txt is"):
        find_photographs(tmp_path)
