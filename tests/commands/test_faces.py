"""`repr-toolkit faces`: what it tells, and that it asks for nothing in vain."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repr_toolkit.cli import continuation, main
from repr_toolkit.encoders import FaceNet
from toys.faces import astronaut, cat, people, two_faces


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "untrained.pt"
    torch.save(FaceNet(None).net.state_dict(), file)
    return file


def test_what_was_turned_and_what_is_uncertain_is_told(
    tmp_path: Path,
    weights: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for person in ("ann", "bob"):
        (tmp_path / "photographs" / person).mkdir(parents=True)
    astronaut().transpose(Image.Transpose.ROTATE_90).save(tmp_path / "photographs/ann/side.png")
    astronaut().save(tmp_path / "photographs/bob/1.png")
    argv = ["faces", str(tmp_path / "photographs"), str(tmp_path / "faces.npz")]
    argv += ["--weights", str(weights)]
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert "1 photographs did not stand upright" in told
    assert "    ann/side.png, by 270 degrees\n" in told
    assert "uncertain" not in told
    with np.load(tmp_path / "faces.npz") as made:
        assert made["face_turned"].tolist() == [270, 0]
        np.testing.assert_allclose(made["face_box"][0], made["face_box"][1], rtol=1e-5)
        assert (made["face_probability"] > 0.99).all()
    monkeypatch.setattr("repr_toolkit.faces.pipeline.CERTAIN", 1.1)
    assert main([*argv, "--overwrite"]) == 0
    told = capsys.readouterr().out
    assert "2 faces are uncertain" in told
    assert "    bob/1.png, 1.000\n" in told


def test_the_command(
    tmp_path: Path,
    weights: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, out = tmp_path / "photographs", tmp_path / "faces.npz"
    for person in ("ann", "bob"):
        (folder / person).mkdir(parents=True)
        astronaut().save(folder / person / "1.png")
    two_faces().save(folder / "bob/two.png")
    (folder / "bob/movie.heic").touch()
    for number in range(7):
        cat().save(folder / "ann" / f"a long name of a [red]cat's photograph {number}.png")
    argv = ["faces", str(folder), str(out), "--weights", str(weights), "--image-size", "24"]
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert "3 faces of 2 people, embedded by FaceNet " in told
    assert "1 of the photographs show several faces; the most central was taken" in told
    assert "fewer than 3 people cannot be split" in told
    assert "skipped 1: .heic takes the plug-in pillow-heif, which is not installed" in told
    table = told[told.index("7 photographs skipped") :]
    assert "no face found" in table
    name = "    ann/a long name of a [red]cat's photograph "
    assert sum(line.startswith(name) for line in table.splitlines()) == 5
    assert "and 2 more" in table
    assert max(map(len, table[: table.index("all of them")].splitlines())) <= 100
    assert str(tmp_path / "faces.skipped.csv") in told
    with np.load(out) as made:
        assert made["image"].shape == (3, 3, 24, 24)
    assert main(argv) == 1
    assert "exists" in capsys.readouterr().err
    assert main([*argv, "--overwrite", "--several", "skip", "--select", "largest"]) == 0
    assert "2 faces of 2 people" in capsys.readouterr().out
    one = ["faces", str(folder / "bob"), str(tmp_path / "bob.npz"), "--weights", str(weights)]
    assert main([*one, "--allow-one-identity"]) == 0
    assert "fewer than 3 photographs cannot be split" in capsys.readouterr().out
    assert main([*argv, "--overwrite", "--allow-one-identity"]) == 0
    assert "fewer than 3 people cannot be split" in capsys.readouterr().out


def test_an_interruption_tells_how_to_go_on() -> None:
    assert continuation("faces", ["faces", "a", "b.npz"]).endswith("faces a b.npz --resume")


def test_the_command_checks_paths_before_it_loads_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for argv, told in (
        ([str(tmp_path / "nowhere"), "a.npz"], "nowhere is no folder"),
        (
            [str(people(tmp_path / "photographs")), str(tmp_path / "a.npz")],
            "no FaceNet weights 'no'",
        ),
        (
            [str(tmp_path / "photographs"), "nowhere/a.npz"],
            "the folder nowhere of the data file nowhere/a.npz does not exist",
        ),
    ):
        assert main(["faces", *argv, "--weights", "no"]) == 1
        assert told in capsys.readouterr().err
