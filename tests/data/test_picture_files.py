"""Pixels of image files, converted or as they are, and files that no conversion helps."""

import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from repr_toolkit.commands.common import read_pictures
from repr_toolkit.data import load_data, walk
from repr_toolkit.data.picture_files import Mode, read_header, read_headers, read_image
from toys.folders import deep_png, make, three, write


def pixels(path: Path, mode: Mode) -> Any:
    """The first row of an image: [[R, G, B], …], or [v, …] of grey."""
    image = read_image(path, None, mode)
    return (image[:, 0].T if mode == "RGB" else image[0, 0]).tolist()


def row(mode: str, *values: Any) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    image.putdata(values)
    return image


def greys(*values: int) -> list[list[int]]:
    return [[value] * 3 for value in values]


@pytest.mark.parametrize(
    ("image", "suffix", "rgb", "grey"),
    [
        (row("L", 0, 7, 255), ".png", greys(0, 7, 255), [0, 7, 255]),
        (row("1", 0, 1), ".png", greys(0, 255), [0, 255]),
        (row("RGB", (255, 0, 0), (1, 2, 3)), ".png", [[255, 0, 0], [1, 2, 3]], [76, 2]),
        (row("LA", (9, 255), (0, 0), (0, 128)), ".png", greys(9, 255, 127), [9, 255, 127]),
        (row("RGBA", (9, 8, 7, 255), (9, 8, 7, 0)), ".png", [[9, 8, 7], [255] * 3], [8, 255]),
        (row("RGB", (9, 8, 7), (5, 6, 7)).quantize(2), ".gif", [[9, 8, 7], [5, 6, 7]], [8, 6]),
        (row("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)), ".tif", greys(255, 0), [255, 0]),
        (row("I;16", 0, 257, 65535), ".png", greys(0, 1, 255), [0, 1, 255]),
        (row("I;16", 0, 256, 65535), ".tif", greys(0, 1, 255), [0, 1, 255]),
        (row("I", 255, 65535), ".pgm", greys(0, 255), [0, 255]),
    ],
)
def test_values(tmp_path: Path, image: Image.Image, suffix: str, rgb: Any, grey: Any) -> None:
    path = tmp_path / f"a{suffix}"
    image.save(path)
    assert (pixels(path, "RGB"), pixels(path, "grey")) == (rgb, grey)


def test_a_colour_that_is_transparent_becomes_white(tmp_path: Path) -> None:
    row("RGB", (1, 2, 3), (4, 5, 6)).save(tmp_path / "a.png", transparency=(1, 2, 3))
    row("I;16", 0, 512).save(tmp_path / "b.png", transparency=512)
    assert pixels(tmp_path / "a.png", "RGB") == [[255] * 3, [4, 5, 6]]
    assert pixels(tmp_path / "b.png", "grey") == [0, 255]
    as_stored = read_image(tmp_path / "a.png", None)
    assert as_stored[:, 0].T.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(deep_png())
    assert read_header(tmp_path / "a.png").mode == "RGB of 16 bits"
    assert pixels(tmp_path / "a.png", "RGB")[0] == [200] * 3
    (tmp_path / "b.ppm").write_bytes(b"P6 1 1 65535 " + bytes([200, 200] * 3))
    assert read_header(tmp_path / "b.ppm").mode == "RGB of 16 bits"
    assert pixels(tmp_path / "b.ppm", "RGB") == [[200] * 3]


def test_twelve_bits_in_sixteen_would_be_black(tmp_path: Path) -> None:
    root = make(tmp_path / "scans", three("", ".png", "L"))
    for number in range(2):
        Image.new("I;16", (4, 4), 4095).save(root / f"scan{number}.png")
    with pytest.raises(ValueError, match=r"2 of 5 images of 16 bits .* scan0\.png \(up to 15 of"):
        load_data(str(root), mode="grey")
    Image.new("I;16", (4, 4), 4096).save(root / "scan2.png")
    assert len(load_data(str(root), mode="grey").arrays["image"]) == 6


def test_colours_are_converted_before_they_are_scaled(tmp_path: Path) -> None:
    """The numbers of a palette have no mean, and a colour that is not seen has no weight."""
    image = row("RGBA", (0, 0, 0, 255), (200, 0, 0, 0)).resize((2, 2), Image.Resampling.NEAREST)
    image.save(tmp_path / "a.png")
    image.convert("RGB").quantize(2).save(tmp_path / "b.png")
    assert read_image(tmp_path / "a.png", 1, "RGB")[:, 0, 0].tolist() == [128, 128, 128]
    assert read_image(tmp_path / "b.png", 1, "RGB")[:, 0, 0].tolist() == [100, 0, 0]


@pytest.mark.parametrize("limit", [40, 20])  # of which Pillow warns, or which it refuses
def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    root = make(tmp_path / "photos", [*three(""), "huge.png = large"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match=r"huge\.png \(more pixels than a photograph has\)"):
        load_data(str(root), size=4)


def test_heic_is_taken_where_its_plug_in_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pillow_heif.py").write_text(
        "from PIL import Image\n"
        "def register_heif_opener():\n"
        "    Image.register_extension('PNG', '.heic')\n"
    )
    monkeypatch.delitem(sys.modules, "pillow_heif", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Image, "EXTENSION", dict(Image.registered_extensions()))
    root = make(tmp_path / "photos", three(""))
    (root / "0.png").rename(root / "phone.HEIC")
    walk.readable_suffixes.cache_clear()
    try:
        assert len(load_data(str(root)).arrays["image"]) == 3
    finally:
        del sys.modules["pillow_heif"]
        walk.readable_suffixes.cache_clear()


def test_headers_are_read_without_decoding(tmp_path: Path) -> None:
    write(tmp_path / "cut.bmp", "cut")
    write(tmp_path / "turned.jpg", "turned")
    cut, turned = read_headers([tmp_path / "cut.bmp", tmp_path / "turned.jpg"])
    assert (cut.size, cut.mode, cut.problem) == ("4×4", "RGB", "")
    assert turned.size == "3×4"


def test_mode_is_of_folders() -> None:
    assert load_data("digits", mode="grey").image_shape == (1, 8, 8)
    with pytest.raises(ValueError, match=r"digits has images of 1 channels.*data\.mode"):
        load_data("digits", mode="RGB")


def test_pictures_for_a_run_are_converted_as_its_data_are(tmp_path: Path) -> None:
    write(tmp_path / "a.png", "RGBA")
    write(tmp_path / "a.gif", "several")
    with pytest.raises(ValueError, match=r"a\.png: only 8-bit grey .* this is RGBA"):
        read_pictures([str(tmp_path / "a.png")], (3, 4, 4), 256)
    assert read_pictures([str(tmp_path / "a.png")], (3, 4, 4), 256, "RGB").shape == (1, 3, 4, 4)
    with pytest.raises(ValueError, match=r"a\.gif: animated, or several pages"):
        read_pictures([str(tmp_path / "a.gif")], (3, 4, 4), 256, "RGB")
