"""Moves in h, decoded: frames are what the moved h gives, and what is measured of them."""

import json
import shlex
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from repr_toolkit.analyses import judge
from repr_toolkit.analyses.traversal.directions import coordinate, move, principal
from repr_toolkit.analyses.traversal.measure import Mover, change, traverse
from repr_toolkit.analyses.traversal.table import alpha_text, picture, table
from repr_toolkit.data import ImageData
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.sampling.draw import decode, reconstruct
from toys.data import cloud
from toys.decoders import COPIES, Bernoulli, Copies
from toys.encoders import PIXELS
from toys.runs import untrained_run


@pytest.fixture(autouse=True, scope="module")
def quick_judges() -> Iterator[None]:
    """A few epochs are enough for what is told here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "EPOCHS", 3)
        patch.setattr(judge, "SHOWN", 0)
        patch.setattr(sys, "path", sys.path.copy())
        yield


def test_frames_are_what_the_moved_h_gives() -> None:
    decoder = Copies((1, 2, 2), 4, 17)
    h = torch.tensor([[8.0, 8, 8, 8], [1, 2, 3, 4]])
    direction = coordinate(cloud(), 1)
    frames = traverse(decoder, h, direction, [-2, 0, 4], torch.zeros(1, 2, 2))
    assert frames.shape == (2, 3, 1, 2, 2)
    assert (frames[:, 1].flatten(1) == h).all()
    expected = (h[:, 1, None] + direction.scale * torch.tensor([-2, 0, 4])).round().clamp(0, 16)
    assert (frames.flatten(2)[:, :, 1] == expected).all()
    assert (frames.flatten(2)[:, :, 0] == h[:, :1]).all()


def test_noise_is_one_along_a_row() -> None:
    decoder = Bernoulli((1, 6, 6), 4, 17)
    direction = coordinate(cloud(), 1)
    noise = common_noise(decoder, 3)
    of_each = traverse(decoder, torch.zeros(3, 4), direction, [0, 1, 2], noise)
    assert (of_each == of_each[:, :1]).all()
    assert (of_each[:, 0] == (noise < 0.5) * 16).all()
    shared = traverse(decoder, torch.zeros(3, 4), direction, [0, 1], noise[0])
    assert (shared == (noise[0] < 0.5) * 16).all()


def test_without_a_move_stands_the_reconstruction() -> None:
    torch.manual_seed(0)
    decoder = GatedPixelCNN((1, 4, 4), 4, 5, features=4, layers=2).double().eval()
    h = torch.randn(3, 4).double()
    noise = common_noise(decoder, 3, 7)
    own = decode(decoder, h, noise[:, None], engine="naive")[:, 0]
    frames = traverse(decoder, h, principal(cloud(), 0), [-40, 0, 40], noise, engine="naive")
    assert (frames[:, 1] == own).all()
    assert (frames[:, [0, 2]] != own[:, None]).any()


def test_change_of_known_frames() -> None:
    levels = torch.tensor([0, 4, 4, 16], dtype=torch.uint8)
    frames = levels.view(1, 4, 1, 1, 1).expand(3, 4, 1, 2, 2)
    assert change(frames, 17) == [0.25, 0, 0.75]


def test_alpha_has_a_true_minus_and_no_trailing_zeros() -> None:
    told = [alpha_text(alpha) for alpha in (-2.25, 0.0, 1.0, -10.0, 1500.0)]
    assert told == ["−2.25", "0", "1", "−10", "1500"]


# Runs


@pytest.fixture(scope="module")
def mover(tmp_path_factory: pytest.TempPathFactory) -> Mover:
    path = tmp_path_factory.mktemp("runs") / "perfect"
    run = untrained_run(path, encoder=PIXELS, decoder=COPIES)
    return Mover(run, load_with_decoder(run), seed=3)


def test_moves_of_a_run(mover: Mover) -> None:
    found = mover.move(["principal:0", "mean:7"], steps=5, shown=2, measured=40)
    by_pca, by_mean = found.along
    assert by_pca.alphas == [-3, -1.5, 0, 1.5, 3]
    assert by_mean.alphas == [-1, -0.5, 0, 0.5, 1]
    assert by_pca.frames.shape == (2, 5, 1, 8, 8)
    assert (by_pca.frames[:, 2] == found.images).all()  # α = 0
    assert by_pca.judged is None
    assert by_mean.judged is not None
    shares = [share.value for share in by_mean.judged]
    assert shares[-1] > shares[2] + 0.1
    assert shares[0] <= shares[2]
    assert [trained.key for trained in found.judges] == ["label"]
    assert by_mean.change is not None
    assert len(by_mean.change) == 4
    assert found.between_images is not None
    assert 0 < by_mean.change[0] < found.between_images
    lines = table(found).splitlines()
    assert max(map(len, lines[1:])) <= 100
    assert any(line.startswith("| mean 7 ") for line in lines)


def test_moves_along_a_column_of_a_key(mover: Mover, monkeypatch: pytest.MonkeyPatch) -> None:
    own = mover.data
    columns = np.stack([own.arrays["label"] == 7, own.arrays["label"] < 5], 1).astype(np.int64)
    data = ImageData("d", {**own.arrays, "attributes": columns}, own.rows, levels=own.levels)
    monkeypatch.setattr(mover, "data", data)
    monkeypatch.setattr(mover, "split", data.splits["test"])
    specs = ["mean:attributes[0]", "mean:7", "mean:attributes[1]=1"]
    found = mover.move(specs, steps=3, shown=2, measured=20)
    assert torch.equal(found.along[0].frames, found.along[1].frames)
    judged = found.along[2].judged
    assert judged is not None
    assert judged[-1].value > judged[1].value > judged[0].value
    assert [t.key for t in found.judges] == ["attributes[0]", "label", "attributes[1]"]


def test_the_table_says_which_steps_were_judged(mover: Mover) -> None:
    """An even number of steps has no α = 0, and two have none between the first and the last."""
    four = mover.move(["mean:7"], steps=4, shown=2, measured=8)
    judged = four.along[0].judged
    assert judged is not None
    at_minus_a_third = f"{100 * judged[1].value:.0f} ("
    [heading] = [line for line in table(four).splitlines() if "nearest 0" in line]
    column = [cell.strip() for cell in heading.split("|")].index("nearest 0")
    [line] = [line for line in table(four).splitlines() if line.startswith("| mean 7 ")]
    assert line.split("|")[column].strip().startswith(at_minus_a_third)
    assert "nearest 0" not in table(mover.move(["mean:7"], steps=2, shown=2, measured=8))


def test_moves_are_kept_for_the_report(mover: Mover) -> None:
    found = mover.move(steps=3, shown=2, measured=4)
    found.save(mover.run.path)
    numbers = json.loads((mover.run.path / "analysis" / "moves.json").read_text())
    assert numbers == json.loads(json.dumps(found.as_dict()))
    assert numbers["fingerprint"] == mover.data.fingerprint
    assert numbers["command"] == (
        f"repr-toolkit traverse {mover.run.path} --split test --images 2 --measure 4 --steps 3 "
        "--seed 3 --temperature 1"
    )
    assert [d["along"] for d in numbers["directions"]] == [
        *(f"principal:{n}" for n in range(4)),
        *(f"mean:{n}" for n in range(10)),
    ]
    with np.load(mover.run.path / "analysis" / "moves.npz") as kept:
        assert kept["frames"].shape == (14, 2, 3, 1, 8, 8)
        assert kept["alphas"].tolist() == [[-3, 0, 3]] * 4 + [[-1, 0, 1]] * 10
        assert (kept["frames"][:, :, 1] == kept["image"]).all()
        assert kept["name"].tolist()[:5] == [*(f"principal {n}" for n in range(4)), "mean 0"]


def test_the_kept_command_gives_the_same_moves(mover: Mover) -> None:
    """In a shell: with the length as it was asked for, and with names that have spaces."""
    assert not mover.keep_length
    keeping = Mover(mover.run, mover.model, keep_length=True, temperature=0.12345678)
    found = keeping.move(["mean:7", "principal:0"], span=1.23456789, steps=3, measured=0)
    words = shlex.split(found.protocol["command"])
    for name, values in (
        ("--length", ["keep"]),
        ("--temperature", ["0.12345678"]),
        ("--span", ["1.23456789"]),
        ("--along", ["mean:7", "principal:0"]),
    ):
        at = words.index(name) + 1
        assert words[at : at + len(values)] == values
    spaced = Run(mover.run.path.rename(mover.run.path.with_name("two words")))
    try:
        command = Mover(spaced, mover.model).move(steps=3, measured=0).protocol["command"]
        assert shlex.split(command)[2] == str(spaced.path)
    finally:
        spaced.path.rename(mover.run.path)


def test_a_span_of_nothing_is_refused(mover: Mover) -> None:
    with pytest.raises(ValueError, match="a finite span above 0"):
        mover.move(["principal:0"], span=0, measured=0)


def test_given_pictures_are_moved(mover: Mover) -> None:
    images = mover.split[[5, 6]]["image"]
    h = mover.codes("test", [5, 6])
    found = mover.move(["mean:7"], alphas=[0, 1, 0.5], given=(images, h), measured=0)
    [along] = found.along
    assert (found.images == images).all()
    assert (along.frames[:, 0] == images).all()
    end = move(h, along.direction, 1).round().clamp(0, 16)
    assert (along.frames[:, 1].flatten(1) == end).all()
    assert (along.change, along.judged, found.judges, found.between_images) == (
        None,
        None,
        [],
        None,
    )


def test_a_misspelt_direction_is_told_before_anything_is_drawn(
    mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sample(*_: object, **__: object) -> Tensor:
        raise AssertionError("drawn")

    monkeypatch.setattr(mover.model.decoder, "sample", sample)
    with pytest.raises(ValueError, match="names no direction"):
        mover.move(["principal:0", "mean"])


def test_a_run_without_encoder_has_no_h(tmp_path_factory: pytest.TempPathFactory) -> None:
    run = untrained_run(tmp_path_factory.mktemp("none") / "run", encoder=None)
    with pytest.raises(ValueError, match="no encoder: there is no h to move"):
        Mover(run, load_with_decoder(run))


def test_in_a_run_nothing_moved_is_the_reconstruction(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    run: Run = untrained_run(tmp_path_factory.mktemp("conv") / "run")
    model = load_with_decoder(run)
    mover = Mover(run, model, seed=3, engine="naive")
    given = mover.split[[8]]["image"], mover.codes("test", [8])
    [along] = mover.move(["coordinate:1"], alphas=[0], given=given, measured=0).along
    own = reconstruct(model, {"image": given[0]}, seed=3, engine="naive")
    assert (along.frames == own).all()


@pytest.mark.parametrize("steps", [1, 3])
def test_texts_lie_within_the_picture_and_apart(mover: Mover, steps: int) -> None:
    alphas = [-2.25, 0, 1][:steps]
    figure = picture(mover.move(["principal:0", "mean:7"], alphas=alphas, shown=2, measured=0))
    boxes = [text.get_window_extent() for text in figure.texts]
    width, height = figure.get_size_inches() * figure.dpi
    assert all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= width and b.y1 <= height for b in boxes)
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert not (a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1)


def test_the_picture_says_what_is_where(mover: Mover) -> None:
    found = mover.move(["principal:0", "principal:1", "mean:7"], steps=3, shown=2, measured=0)
    texts = [text.get_text() for text in picture(found).texts]
    for name in ("principal 0", "principal 1", "mean 7"):
        assert texts.count(name) == 1
    # Above the principal directions, which share their α, and above the means.
    assert [texts.count(text) for text in ("image", "α, standard deviations", "−3", "0")] == [
        2,
        1,
        1,
        2,
    ]
