"""`repr-toolkit embed`: a data file of h that trains decoders and that no other data can borrow."""

from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.cli import main
from repr_toolkit.data import load_data
from repr_toolkit.representations import represent
from repr_toolkit.training.train import train
from toys.runs import small

NETWORK = ["torchvision.models.resnet18", "--layer", "layer2", "--image-size", "16"]


def test_a_torchvision_network_by_the_command_line_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = ["embed", *NETWORK, "--data.source", "digits", "--data.levels", "8", "--out", "h.npz"]
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert "resnet18.layer2, random: h of 128 numbers for the images of digits (1,437" in told
    assert "random weights of seed 0" in told
    assert told.endswith("h.npz\n")
    found = load_data("h.npz")
    digits = load_data("digits", levels=8)
    wanted, _ = represent("torchvision.models.resnet18", digits, layer="layer2", image_size=16)
    assert (found.encoder, found.levels) == (wanted.made_by, 8)
    for split, h in wanted.h.items():
        assert np.array_equal(found.splits[split].column("embedding"), h)
        labels = digits.splits[split].column("label")
        assert np.array_equal(found.splits[split].column("label"), labels)
    assert main(argv) == 1
    assert "h.npz exists" in capsys.readouterr().err
    assert main(["embed", "h.npz", "--data.source", "digits", "--out", "no.npz"]) == 1
    assert "of 8 levels, but digits is read at 17" in capsys.readouterr().err
    assert not Path("no.npz").exists()


def test_a_decoder_is_trained_on_what_was_embedded(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["embed", "pca", "--components", "3", "--data.source", "digits", "--out=h.npz"]) == 0
    )
    h, data = represent("h.npz")
    encoder = {
        "class_path": "repr_toolkit.encoders.Precomputed",
        "init_args": {"h_dim": 3, "made_by": h.made_by},
    }
    config = small(
        data__source="h.npz", model__encoder=encoder, training__steps=2, training__validate_every=2
    )
    run = train(config, "run")
    again, _ = represent(str(run.path))
    for split in data.splits:
        assert np.array_equal(again.h[split], h.h[split])
    # Other embeddings of the same data are not those that the run is for.
    argv = ["embed", "pca", "--components", "3", "--data.source", "digits", "--data.levels", "4"]
    assert main([*argv, "--out", "other.npz"]) == 0
    capsys.readouterr()
    assert main(["embed", "run", "--data.source", "other.npz", "--out", "no.npz"]) == 1
    assert "is for embeddings made by 'PCA of 3 components" in capsys.readouterr().err
    config["data"]["source"] = "other.npz"
    with pytest.raises(ValueError, match="the encoder is for embeddings made by 'PCA of 3"):
        train(config, "other")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["pixels", "--out", "a.npz"], "name them, such as by --data.source"),
        (["pixels", "--data.source", "digits", "--out", "a.png"], "written as .npz"),
        (["pixels", "--data.source", "digits", "--out", "no/a.npz"], "the folder no of the"),
        (["pixels", "--data.batch_size", "3", "--out", "a.npz"], "is no setting of the data"),
        (["pixels", "--model.encoder", "3", "--out", "a.npz"], "is no setting of the data"),
        (["pixels", "--data.levels", "1", "--out", "a.npz"], "data.levels is 2…256, not 1"),
        (
            ["torch.nn.Flatten", "--image-size", "3x", "--out", "a.npz"],
            "one side or HEIGHTxWIDTH, not '3x'",
        ),
        (["torch.nn.Flatten", "--init-args", "3", "--out", "a.npz"], "--init-args is a mapping"),
        (["nowhere.Net", "--out", "a.npz"], "No module named 'nowhere'"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", *argv]) == 1
    error = capsys.readouterr().err
    assert error.startswith("repr-toolkit: error: ")
    assert error.count("\n") == 1
    assert told in error


def test_a_users_own_network(user_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (user_folder / "my_nets.py").write_text(
        "from torch import nn\n"
        "\n"
        "def tiny(width):\n"
        "    return nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten())\n"
    )
    argv = ["embed", "my_nets.tiny", "--layer", "1", "--init-args", "{width: 6}"]
    argv += ["--image-size", "9x12"]
    assert main([*argv, "--data.source", "digits", "--out", "h.npz"]) == 0
    told = capsys.readouterr().out
    assert "my_nets.tiny(width=6) 1, mean over places" in told
    assert "weights  drawn here with seed 0\n  input    images bilinear to 9×12, in grey" in told
    assert load_data("h.npz").arrays["embedding"].shape[1] == 6
