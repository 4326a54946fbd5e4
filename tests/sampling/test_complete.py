"""Completions: what is known stays, what comes first decides, and each has its likelihood."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from repr_toolkit.analyses.judge import read_in
from repr_toolkit.cli import main
from repr_toolkit.decoders import Deconv, DiagonalBiLSTM
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.sampling.complete import complete, known_first, mask_of
from toys.autoregressive import ByColumns, Dequantised
from toys.encoders import ONE_HOT
from toys.runs import untrained_run

SHAPE = (1, 6, 4)


def model(**settings: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    return EncoderDecoder(None, DiagonalBiLSTM(SHAPE, levels=4, features=2, layers=1, **settings))


def images(count: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {"image": torch.randint(0, 4, (count, *SHAPE)).to(torch.uint8)}


@pytest.mark.parametrize("name", ["top", "left", "box"])
def test_what_is_known_stays_and_each_has_its_likelihood(name: str) -> None:
    net, batch, mask = model(), images(3), mask_of(name, SHAPE[1:])
    drawn = complete(net, batch, mask, n=5, batch_size=4)
    originals = batch["image"][:, None].expand_as(drawn.images)
    assert torch.equal(drawn.images[..., mask], originals[..., mask])
    assert (drawn.images != originals).any()
    assert drawn.exact == (name == "top")
    for j in range(5):
        expected = net.decoder.log_prob(drawn.images[:, j]).detach().double()
        torch.testing.assert_close(drawn.nats[:, 1 + j], expected, rtol=1e-6, atol=0)
    expected = net.decoder.log_prob(batch["image"]).detach().double()
    torch.testing.assert_close(drawn.nats[:, 0], expected, rtol=1e-6, atol=0)
    assert torch.equal(complete(net, batch, mask, n=5).images, drawn.images)


def test_noise_of_their_own_makes_images_independent() -> None:
    net, batch, mask = model(), images(2), mask_of("top", SHAPE[1:])
    batch["image"][1] = batch["image"][0]
    alike = complete(net, batch, mask, n=3).images
    assert torch.equal(alike[0], alike[1])
    apart = complete(net, batch, mask, n=3, own_noise=True).images
    assert not torch.equal(apart[0], apart[1])


def test_a_judge_reads_completions_and_those_of_other_images() -> None:
    """The code of an image is the one that its completions show, but for one of six."""

    class Judge:
        def classify(self, drawn: torch.Tensor) -> np.ndarray:
            return drawn[:, 0, 0, 0].long().numpy()

    shown = torch.tensor([[1, 1], [2, 1], [3, 3]] * 2).to(torch.uint8)
    judge: Any = Judge()
    numbers = read_in(judge, shown[..., None, None, None], np.array([1, 2, 3] * 2))
    assert numbers["own"].value == pytest.approx(5 / 6)
    assert numbers["chance"].value == pytest.approx((2 / 5 + 0.5 / 5 + 1 / 5) / 3)
    own, chance = numbers["own"], numbers["chance"]
    assert own.low is not None
    assert own.high is not None
    assert own.low < own.value < own.high
    assert (chance.low, chance.high, chance.error) == (None, None, None)
    assert chance.how.startswith("no interval: the shares are not independent")
    with pytest.raises(ValueError, match="two images"):
        read_in(judge, shown[:1, :, None, None, None], np.array([1]))


def test_masks() -> None:
    assert mask_of("top", (5, 2)).tolist() == [[True] * 2] * 2 + [[False] * 2] * 3
    assert mask_of("left", (2, 5)).tolist() == [[True] * 2 + [False] * 3] * 2
    box = mask_of("box", (8, 4))
    assert int((~box).sum()) == 8
    assert not box[2:6, 1:3].any()


def test_known_first_is_of_the_models_order() -> None:
    top, left = (mask_of(name, (4, 4)) for name in ("top", "left"))
    raster, columns = model().decoder, ByColumns((3, 4, 4), levels=3)
    assert known_first(raster, mask_of("top", SHAPE[1:]))
    assert (known_first(columns, top), known_first(columns, left)) == (False, True)
    assert known_first(Deconv((1, 4, 4)), left)  # its pixels do not depend on each other


def test_a_mask_of_another_size_and_a_decoder_of_whole_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mask is of 5×4 pixels, and the images of 6×4"):
        complete(model(), images(1), torch.ones(5, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="cannot complete"):
        complete(
            EncoderDecoder(None, Dequantised(SHAPE, levels=4)), images(1), mask_of("top", (6, 4))
        )
    file = tmp_path / "mask.png"
    Image.fromarray(np.array([[0, 255, 127, 128]] * 6, np.uint8)).save(file)
    assert mask_of(str(file), (6, 4)).tolist() == [[False, True, False, True]] * 6
    with pytest.raises(ValueError, match="a mask of 6×4 pixels, and the model's images are of 4×4"):
        mask_of(str(file), (4, 4))
    with pytest.raises(FileNotFoundError, match="top, left, box or a picture"):
        mask_of(str(tmp_path / "none.png"), (4, 4))
    file.write_text("no picture")
    with pytest.raises(ValueError, match=r"mask\.png: no picture, or damaged"):
        mask_of(str(file), (4, 4))


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = untrained_run(tmp_path / "run")
    argv = ["complete", str(run.path), "--images", "3", "-n", "2", "--mask", "left"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "earlier pixels do not know of later ones" in said
    assert "h is that of the whole original" in said
    with np.load("complete.npz") as kept:
        rows = kept["image"].reshape(3, 4, *run.load_data().image_shape)
        assert kept["nats"].shape == (3, 3)
        mask = kept["mask"]
    for column in range(1, 4):
        assert (rows[:, column][..., mask] == rows[:, 0][..., mask]).all()
    assert set(rows[:, 1][..., ~mask].flatten().tolist()) == {5, 11}  # of 0…16, a chequerboard
    assert Path("complete.png").exists()
    argv = ["complete", str(run.path), "--images", "12", "-n", "2", "--judge", "label"]
    assert main([*argv, "--out", "judged.npz"]) == 0
    said = capsys.readouterr().out
    for row in ("in completions", "in originals", "by chance"):
        assert f"| {row}" in said
    assert "label of 12 test images, given top" in said
    assert "No interval: “by chance”: the shares are not independent" in said
    assert "h is that of the whole original" in said
    assert main([*argv, "--judge", "embedding", "--out", "other.npz"]) == 1
    assert "cannot be judged by" in capsys.readouterr().err
    Image.new("L", (8, 8)).save("picture.png")
    assert (
        main(["complete", str(run.path), "picture.png", "--judge", "label", "--out", "o.npz"]) == 1
    )
    assert "--judge is for images of a split" in capsys.readouterr().err


@pytest.mark.parametrize("model", [{"encoder": ONE_HOT}, {"encoder": None}])
def test_a_judge_of_what_h_is_made_of_is_cautioned(
    model: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    run = untrained_run(tmp_path / "run", **model)
    argv = ["complete", str(run.path), "--images", "2", "-n", "1", "--judge", "label"]
    assert main([*argv, "--out", "judged.npz"]) == 0
    said = capsys.readouterr().out
    assert ("h is made of the label itself" in said) == (model["encoder"] is not None)
    assert "may tell of what is hidden" not in said
