"""The commands on a flow without encoder, whose code is z."""

import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repr_toolkit.analyses.classification import pixel_classifiers
from repr_toolkit.cli import main
from repr_toolkit.data import load_data
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.kept import kept_in
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.sampling.paths import path
from toys.decoders import PIXELCNN
from toys.encoders import CONV
from toys.flows import LOGISTIC, Logistic
from toys.runs import untrained_run


@pytest.fixture(autouse=True, scope="module")
def quick_judges() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_classifiers, "EPOCHS", 1)
        patch.setattr(pixel_classifiers, "SHOWN", 0)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return untrained_run(tmp_path_factory.mktemp("runs") / "flow", encoder=None, decoder=LOGISTIC)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def arrays(file: str) -> dict[str, np.ndarray]:
    with np.load(file) as stored:
        return {key: stored[key] for key in stored.files}


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def flow_of(run: Run) -> Logistic:
    flow = load_with_decoder(run).decoder
    assert isinstance(flow, Logistic)
    return flow


def test_reconstructions_are_the_images(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["reconstruct", str(run.path), "--images", "3", "--temperature", "0.5"]
    assert main([*argv, "--out", "again.png"]) == 0
    rows = arrays("again.npz")["image"].reshape(3, 2, 1, 8, 8)
    assert (rows[:, 0] == rows[:, 1]).all()
    assert "one h has one picture here" in printed(capsys)


@pytest.mark.parametrize("way", ["linear", "spherical"])
def test_interpolations_lead_from_z_to_z(run: Run, way: str) -> None:
    argv = ["interpolate", str(run.path), "3", "8", "--steps", "5", "--way", way]
    assert main([*argv, "--out", "way.png"]) == 0
    row = arrays("way.npz")["image"]
    assert row.shape == (7, 1, 8, 8)
    images = run.load_data().split("test")[[3, 8]]["image"]
    flow = flow_of(run)
    between = flow.decode(path(*flow.encode(images).detach(), 5, way))
    np.testing.assert_array_equal(row[1:6], between)
    np.testing.assert_array_equal(row[[0, 1]], images[[0, 0]])
    np.testing.assert_array_equal(row[[5, 6]], images[[1, 1]])


def test_interpolate_takes_files_or_numbers(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    images = run.load_data().split("test")[[3, 8]]["image"][:, 0]
    for name, image in zip(("a.png", "b.png"), images, strict=True):
        Image.fromarray((image.numpy().astype(float) * 15).astype(np.uint8)).save(name)
    argv = ["interpolate", str(run.path), "a.png"]
    assert main([*argv, "b.png", "--steps", "2", "--out", "way.png"]) == 0
    row = arrays("way.npz")["image"]
    np.testing.assert_array_equal(row[[0, 3]], row[[1, 2]])
    assert main([*argv, "8", "--out", "other.png"]) == 1
    assert "not both" in capsys.readouterr().err
    assert main(["interpolate", str(run.path), "0", "9999", "--out", "far.png"]) == 1
    assert "error: the test split has the images 0…" in capsys.readouterr().err


def test_an_edit_adds_the_difference_of_the_means_of_z(run: Run) -> None:
    """z + α (mean of z with the attribute − mean of z without it), decoded."""
    argv = ["edit", str(run.path), "0", "5", "--along", "mean:1", "--alpha", "-1", "0.5", "1"]
    assert main([*argv, "--out", "edit.png"]) == 0
    flow, data = flow_of(run), run.load_data()
    z = {
        name: encode_split(load_with_decoder(run), data.splits[name]) for name in ("train", "test")
    }
    ones = data.splits["train"].column("label") == 1
    v = z["train"][ones].double().mean(0) - z["train"][~ones].double().mean(0)
    frames = arrays("edit.npz")["frames"][0]  # (2, 3, 1, 8, 8)
    for number, place in enumerate((0, 5)):
        for step, alpha in enumerate((-1, 0.5, 1)):
            wanted = flow.decode((z["test"][[place]] + alpha * v).float())[0].int()
            # A level may round otherwise.
            assert (torch.from_numpy(frames[number, step]).int() - wanted).abs().max() <= 1
            assert np.mean(frames[number, step] == wanted.numpy()) > 0.9


def test_a_traversal_of_z_is_kept(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["traverse", str(run.path), "--along", "coordinate:9", "mean:1", "--steps", "3"]
    assert main([*argv, "--images", "2", "--measure", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["temperature"] == 0
    [kept] = kept_in(run.path, "traversal")
    np.testing.assert_array_equal(kept.arrays["frames"][:, :, 1], [kept.arrays["image"]] * 2)


def test_invariance_of_z_leaves_nothing_open(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["invariance", str(run.path), "--images", "6", "-n", "3", "--neighbours", "2", "--json"]
    assert main(argv) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["samples"], result["variance"], result["temperature"]) == (1, 0, 0)
    assert result["reencoding"]["relative_distance"]["value"] < 1e-6
    assert result["reencoding"]["nearest_is_own"]["value"] == 1
    assert result["neighbours"]["k"] == 2
    assert main(["invariance", str(run.path), "--images", "6", "-n", "3"]) == 0


def test_z_is_embedded_whole_or_by_scale(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", str(run.path), "--out", "z.npz"]) == 0
    assert "h of 64 numbers" in capsys.readouterr().out
    assert main(["embed", f"scale1:{run.path}", "--out", "scale1.npz"]) == 0
    whole, scale = load_data("z.npz"), load_data("scale1.npz")
    one, other = (data.splits["test"].column("embedding") for data in (whole, scale))
    assert one.shape[1:] == (64,)
    torch.testing.assert_close(other, one[:, :16], rtol=0, atol=0)
    assert scale.encoder == f"{whole.encoder}, scale1"


def test_probes_read_z_beside_its_parts_and_another_h(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = untrained_run(tmp_path / "h", encoder=CONV, decoder=PIXELCNN)
    z = str(run.path)
    sources = [z, f"scale1:{z}", f"pca3:{z}", f"small=pca2:{other.path}"]
    how = ["--probes", "knn", "--images", "60", "--orders", "0", "--no-baselines", "--json"]
    assert main(["probe", *sources, *how]) == 0
    result = json.loads(capsys.readouterr().out)
    dims = {each["name"]: each["dim"] for each in result["representations"]}
    assert dims == {"flow": 64, "flow.scale1": 16, "flow.pca3": 3, "small": 2}
    # Only all of z is the run's own.
    [kept] = kept_in(run.path, "probing")
    assert [each["name"] for each in kept.numbers["representations"]] == ["flow"]
    assert not kept_in(other.path, "probing")


def test_control_tasks_shift_images_for_parts_too(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ["--probes", "knn", "--images", "60", "--orders", "0", "--no-baselines", "--json"]
    for source in (f"scale1:{run.path}", f"pca3:{run.path}"):
        assert main(["probe", source, *how]) == 0
        [target] = json.loads(capsys.readouterr().out)["targets"]
        assert target["readings"][0]["control"]["types"] == "view"


def test_verification_of_z(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    people = np.repeat(np.arange(24), 3)
    image = draw.integers(0, 17, (len(people), 1, 8, 8), dtype=np.uint8)
    np.savez("people.npz", image=image, identity=[f"person {p:02}" for p in people], levels=17)
    run = untrained_run(tmp_path / "flow", encoder=None, decoder=LOGISTIC, source="people.npz")
    assert main(["verify", str(run.path), "--split", "train", "--json"]) == 0
    assert "Logistic, h (64)" in json.loads(capsys.readouterr().out)["methods"]


def test_more_draws_of_the_noise_tighten_the_bound(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["evaluate", str(run.path)]
    assert main([*argv, "--dequantisations", "16", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["likelihood"] == "upper bound, dequantised"
    rows = result["over_draws"]
    assert [row["draws"] for row in rows] == [1, 4, 16]
    assert rows[0]["bits_per_dim"] == result["bits_per_dim"]
    assert all(row["less"]["value"] > -2 * row["less"]["error"] for row in rows[1:])
    assert main([*argv, "--dequantisations", "2"]) == 0
    text = printed(capsys)
    assert "bits/dim (upper bound, dequantised)" in text
    assert "over 2 draws of the noise" in text


def test_only_a_likelihood_with_noise_is_drawn_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = untrained_run(tmp_path / "h", encoder=CONV, decoder=PIXELCNN)
    assert main(["evaluate", str(exact.path), "--dequantisations", "4"]) == 1
    assert "is not dequantised" in capsys.readouterr().err


def test_the_picture_of_samples_ends_with_a_row_of_temperatures(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["sample", str(run.path), "-n", "5", "--temperature", "0.7"]
    assert main([*argv, "--out", "sample.png"]) == 0
    assert "sample.png is the first image at temperatures from 0 to 1" in printed(capsys)
    stored = arrays("sample.npz")
    assert stored["image"].shape == (5, 1, 8, 8)
    with Image.open("sample.png") as picture:
        # Three columns of 200 pixels and 2 between; two rows of samples, and the temperatures.
        assert picture.height == 3 * 202 + 2
        assert picture.width > picture.height  # by the rows' names


def test_the_report_of_a_flow_and_an_autoencoder(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = untrained_run(tmp_path / "autoencoder", encoder=CONV, decoder=PIXELCNN)
    assert main(["report", str(run.path), str(other.path), "--out", "r.html"]) == 0
    page = " ".join(unescape(Path("r.html").read_text()).split())
    for part in (
        "upper bound, dequantised",
        "A flow's h is its z = f(x)",
        "An autoencoder's bits are conditional",
        "samples.png: ",
        "figure6.png: ",
        f"repr-toolkit traverse {run.path}",  # which has not been measured, and could be
    ):
        assert part in page, part


@pytest.mark.parametrize("command", ["information", "classify"])
def test_what_a_flow_alone_cannot_be_asked_is_said(
    run: Run, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(run.path)]) == 1
    assert "has no encoder" in capsys.readouterr().err
