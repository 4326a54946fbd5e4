"""The command `information`: its numbers, what it says of them, and its errors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from repr_toolkit.analyses.information import blocks, measure
from repr_toolkit.cli import main
from repr_toolkit.models.encode import encode_split
from repr_toolkit.page.blocks import Notes
from repr_toolkit.runs.bits import bits_given, bits_per_dim
from repr_toolkit.runs.kept import kept_in
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.support.choose import other_h
from toys.decoders import DECONV
from toys.encoders import CONV, ONE_HOT
from toys.runs import change_facts, untrained_run

FEW = ["--part-images", "10", "--bound-images", "20", "--candidates", "4", "--parts", "2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return untrained_run(tmp_path_factory.mktemp("runs") / "classes", encoder=ONE_HOT)


def test_of_a_run(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "maps.png"
    null = untrained_run(tmp_path / "null", encoder=None)
    argv = ["information", str(run.path), "--json", "--out", str(out), *FEW]
    argv += ["--without", str(null.path)]
    assert main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    [kept] = kept_in(run.path, "information")
    assert found == {"command": " ".join(["repr-toolkit", *argv]), **kept.numbers}
    assert kept.asked["without"] == null.weights_digest
    with Image.open(out) as picture:
        assert picture.width > 500
    split = run.load_data().splits["test"]
    model = load_with_decoder(run)
    h = encode_split(model, split)
    own, other = bits_given(model, split, [h, h[other_h(h)[0]]])
    without = bits_per_dim(load_with_decoder(null), split)
    assert found["bits_per_dim"]["value"] == pytest.approx(own.mean(), rel=1e-6)
    saves = found["saves"]
    assert list(saves) == ["shuffled", "mean_h", "without"]
    assert saves["shuffled"]["bits"]["value"] == pytest.approx(64 * (other - own).mean(), abs=1e-4)
    expected = 64 * (without - own).mean()
    assert saves["without"]["bits"]["value"] == pytest.approx(expected, abs=1e-4)
    assert saves["without"]["sign"] is None
    assert found["without_unlike"] == ["model.decoder.init_args.h_dim"]
    notes = blocks({"classes": kept})[-1]
    assert isinstance(notes, Notes)
    assert any("One pair of trainings allows no verdict" in note for note in notes.items)
    assert any("differ in model.decoder.init_args.h_dim besides" in note for note in notes.items)
    share = (other > own).mean()
    assert saves["shuffled"]["share_of_images"] == pytest.approx(share, abs=0.02)
    assert found["sensitivity"]["along"] == "coordinates"
    assert len(found["sensitivity"]["parts"]) == 2
    assert found["label_lower_bound"]["ceiling"] == pytest.approx(np.log2(10), abs=0.01)
    arrays = kept.arrays
    for kind, values in saves.items():
        assert arrays[f"saved_{kind}"].shape == (1, 8, 8)
        bits = pytest.approx(values["bits"]["value"], abs=1e-3)
        assert arrays[f"saved_{kind}"].sum() == bits
        assert values["cumulative"][-1] == bits
        assert arrays[f"shown_{kind}"].shape == (6, 1, 8, 8)
    assert arrays["image"].dtype == np.uint8
    np.testing.assert_allclose(arrays["bits_own"], 64 * own, rtol=1e-6)
    np.testing.assert_allclose(arrays["bits_without"], 64 * without, rtol=1e-6)


def test_of_an_h_that_most_images_share(tmp_path: Path) -> None:
    """Against another image's h stand the images that were given one, in numbers and maps."""
    nought = untrained_run(tmp_path / "nought", encoder={"class_path": "toys.encoders.IsNought"})
    few: dict[str, Any] = {"part_images": 8, "bound_images": 16, "candidates": 4, "parts": 1}
    found = measure(nought, **few)
    _, differ = other_h(encode_split(load_with_decoder(nought), nought.load_data().splits["test"]))
    assert 0.1 < differ.double().mean() < 0.3
    arrays, saved = found.arrays(), found.numbers["saves"]["shuffled"]
    every = arrays["bits_shuffled"] - arrays["bits_own"]
    assert ((every != 0) == differ.numpy()).all()
    assert saved["bits"]["value"] == pytest.approx(every.sum() / int(differ.sum()))
    assert saved["bits"]["count"] == int(differ.sum())
    for total in (arrays["saved_shuffled"].sum(), saved["cumulative"][-1]):
        assert total == pytest.approx(saved["bits"]["value"], rel=1e-3, abs=1e-5)

    silent = {"class_path": "repr_toolkit.encoders.Constant", "init_args": {"h_dim": 2}}
    run = untrained_run(tmp_path / "silent", encoder=silent)
    assert main(["information", str(run.path), *FEW]) == 0
    [kept] = kept_in(run.path, "information")
    assert list(kept.numbers["saves"]) == ["mean_h"]


def test_a_reader_sees_what_the_numbers_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masked = {"class_path": "repr_toolkit.encoders.MaskedCoordinates"}
    masked |= {"init_args": {"h_dim": 64, "source": "image"}}
    made = untrained_run(tmp_path / "masked", encoder=masked)
    assert main(["information", str(made.path), *FEW]) == 0
    out = capsys.readouterr().out
    text = " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100
    for note in ("control, not information", "a true lower bound", "so it is no information"):
        assert note in text
    assert text.startswith("180 test images, 17 levels.")
    assert "Student's t over 180 images" in text.split("95 % intervals: ")[1]
    few = "5 groups of 4 images (fewer than 30: with caution); leaves out training seeds"
    assert f"Student's t over {few}" in text
    for row in ("all of h hidden", "all of h ", "own h, bits/dim", "I(x; h) ≥", "at most"):
        assert f"| {row}" in out
    assert "| direction 1" in out or "| direction 2" in out
    assert "54 of fewer bits are in the JSON" in text
    [kept] = kept_in(made.path, "information")
    assert len(kept.numbers["masked"]["coordinates"]) == 64
    assert kept.numbers["sensitivity"]["along"] == "principal"


def test_a_mean_squared_error_decoder_has_maps_too(tmp_path: Path) -> None:
    made = untrained_run(tmp_path / "mse", encoder=CONV, decoder=DECONV)
    found = measure(made, "val", part_images=8, bound_images=16, candidates=4, parts=1)
    assert found.numbers["split"] == "val"
    assert found.arrays()["saved_mean_h"].shape == (1, 8, 8)


def test_what_has_no_information(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unconditional = untrained_run(tmp_path / "none", encoder=None)
    other = untrained_run(tmp_path / "other", encoder=None)
    change_facts(other, levels=16)
    for argv, reason in (
        ([str(unconditional.path)], "has no encoder"),
        ([str(run.path), "--without", str(other.path)], "init_args.levels"),
        ([str(run.path), "--split", "valid"], "no split 'valid'"),
        ([str(run.path), "--out", "a.gif"], "written as .png"),
        (["bottleneck_mnist5k"], "no run bottleneck_mnist5k"),
    ):
        assert main(["information", *argv]) == 1
        error = capsys.readouterr().err
        assert error.splitlines()[-1].startswith("repr-toolkit: error: ")
        assert reason in error
    with pytest.raises(SystemExit):
        main(["information", str(run.path), "--along", "coordinate"])
    assert "choose from 'coordinates', 'principal'" in capsys.readouterr().err
