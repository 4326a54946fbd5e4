"""Directions are the known ones of constructed vectors, and moves arrive where they should."""

import json
import shlex
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from autoencoders import COPIES, PIXELS, Bernoulli, Copies
from comparison_helpers import untrained_run
from torch import Tensor

from repr_toolkit import judge
from repr_toolkit.attributes import default_directions, find_attribute, find_direction
from repr_toolkit.data import ImageData
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.directions import (
    DIFFERENCE,
    coordinate,
    even_steps,
    mean_difference,
    move,
    moves,
    of_one_length,
    principal,
    probe,
)
from repr_toolkit.moves import Mover, change, traverse
from repr_toolkit.moves_report import alpha_text, picture, table
from repr_toolkit.runs import Run, load_with_decoder
from repr_toolkit.sampling import common_noise, decode, reconstruct


@pytest.fixture(autouse=True, scope="module")
def quick_judges() -> Iterator[None]:
    """A few epochs are enough for what is told here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "EPOCHS", 3)
        patch.setattr(judge, "SHOWN", 0)
        patch.setattr(sys, "path", sys.path.copy())
        yield


def cloud(count: int = 400, seed: int = 0) -> np.ndarray:
    """Vectors of four dimensions with standard deviations 3, 1, 2, 0.5, off the origin."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(count, 4)) * [3, 1, 2, 0.5] + [5, 0, -1, 2]
    return values.astype(np.float32)


# Directions


def test_a_coordinate_counts_standard_deviations() -> None:
    h = cloud()
    found = coordinate(h, 2)
    assert found.vector.tolist() == [0, 0, 1, 0]
    assert found.scale == pytest.approx(h[:, 2].std(), rel=1e-5)
    moved = move(torch.from_numpy(h), found, 1.5).numpy()
    np.testing.assert_allclose(moved[:, 2] - h[:, 2], 1.5 * h[:, 2].std(), rtol=1e-5)
    assert (moved[:, [0, 1, 3]] == h[:, [0, 1, 3]]).all()
    with pytest.raises(ValueError, match=r"coordinates 0…3, not 4"):
        coordinate(h, 4)


def test_principal_directions_are_those_of_a_known_covariance() -> None:
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    h = cloud(20_000) @ turn.T
    for number, (axis, deviation) in enumerate(((0, 3), (2, 2), (1, 1), (3, 0.5))):
        found = principal(h, number)
        assert abs(found.vector @ turn[:, axis]) > 0.999
        assert found.scale == pytest.approx(deviation, rel=0.03)
        assert np.linalg.norm(found.vector) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"principal directions 0…3, not 4"):
        principal(h, 4)
    with pytest.raises(ValueError, match=r"principal directions 0…1, not 2"):
        principal(h[:3], 2)


def test_signs_of_principal_directions_are_fixed() -> None:
    h = cloud()
    for number in range(4):
        found, mirrored = principal(h, number), principal(-h, number)
        np.testing.assert_allclose(found.vector, mirrored.vector, atol=1e-6)
        assert found.vector[np.abs(found.vector).argmax()] > 0


def test_a_probe_points_to_where_the_odds_rise() -> None:
    """Of two normal clouds with one covariance that is Σ⁻¹(μ₁ − μ₀), not μ₁ − μ₀."""
    draw = np.random.default_rng(2)
    mixing = np.array([[2.0, 0, 0], [1.5, 1, 0], [0, 0.3, 0.5]])
    shift = np.array([1.0, -1, 0.5])
    positive = np.arange(8000) % 2 == 0
    h = (draw.normal(size=(8000, 3)) @ mixing.T + positive[:, None] * shift).astype(np.float32)
    expected = np.linalg.solve(mixing @ mixing.T, shift)
    expected /= np.linalg.norm(expected)
    found = probe(h, positive, "7", checked=(h[:2000], positive[:2000]))
    assert found.vector @ expected > 0.99
    assert mean_difference(h, positive, "7").vector @ expected < 0.9
    assert found.scale == pytest.approx((h @ found.vector).std(), rel=1e-5)
    assert probe(h, ~positive, "not 7").vector @ expected < -0.99
    # In h's own scale: with a coordinate ten times as large, its weight is a tenth.
    scale = np.array([1, 10, 1], np.float32)
    stretched = probe(h * scale, positive, "7").vector
    plain = probe(h, positive, "7").vector / scale
    np.testing.assert_allclose(stretched, plain / np.linalg.norm(plain), atol=1e-4)


def test_the_difference_of_means_is_the_constructed_one() -> None:
    step = np.array([3.0, 0, -4, 0])
    positive = np.array([True, False] * 50)
    base = np.repeat(cloud(50), 2, axis=0)
    h = base + positive[:, None] * step
    found = mean_difference(h, positive, "smile")
    np.testing.assert_allclose(found.vector, step / 5, atol=1e-6)
    assert found.scale == pytest.approx(5)
    assert (found.unit, found.span) == (DIFFERENCE, 1)
    without, having = (torch.from_numpy(h[flags].mean(0)) for flags in (~positive, positive))
    torch.testing.assert_close(move(without, found, 1), having)
    torch.testing.assert_close(move(having, found, -1), without)
    with pytest.raises(ValueError, match="same as without"):
        mean_difference(base, positive, "smile")


def test_an_attribute_that_all_or_none_have() -> None:
    for make in (probe, mean_difference):
        with pytest.raises(ValueError, match="every training image has x"):
            make(cloud(4), np.ones(4, bool), "x")
        with pytest.raises(ValueError, match="no training image has x"):
            make(cloud(4), np.zeros(4, bool), "x")


# Moves


def test_no_move_is_exact() -> None:
    h = torch.randn(5, 4)
    for keep_length in (False, True):
        assert (move(h, principal(cloud(), 0), 0.0, keep_length=keep_length) == h).all()


def test_moves_may_keep_the_length() -> None:
    h = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))
    direction = coordinate(cloud(), 0)
    kept = moves(h, direction, [-2, 1, 3], keep_length=True)
    torch.testing.assert_close(kept.norm(dim=-1), torch.ones(6, 3))
    free = moves(h, direction, [-2, 1, 3])
    assert (free.norm(dim=-1) > 1.5).any()
    assert (torch.cosine_similarity(free, kept, dim=-1) > 0.9999).all()
    assert of_one_length(h.numpy())
    assert not of_one_length(cloud())
    assert not of_one_length(np.eye(10, dtype=np.float32))  # a move from one class to another


def test_moves_do_not_fit_another_space() -> None:
    with pytest.raises(
        ValueError, match="coordinate 0 is a direction in 4 dimensions, but h has 3"
    ):
        move(torch.zeros(2, 3), coordinate(cloud(), 0), 1)


def test_even_steps_go_through_zero() -> None:
    assert even_steps(3, 5) == [-3, -1.5, 0, 1.5, 3]
    for steps in range(3, 40, 2):
        found = even_steps(0.7, steps)
        assert found[steps // 2] == 0
        assert found == [-alpha for alpha in reversed(found)]
    for wrong in ((3, 1), (0, 5), (-1, 5), (float("inf"), 5), (float("nan"), 5)):
        with pytest.raises(ValueError, match="at least 2 steps and a finite span above 0"):
            even_steps(*wrong)
    assert [alpha_text(a) for a in (-2.25, 0.0, 1.0, -10.0)] == ["−2.25", "0", "1", "−10"]


# Traversals


def test_frames_are_what_the_moved_h_gives() -> None:
    decoder = Copies((1, 2, 2), 4, 17)
    h = torch.tensor([[8.0, 8, 8, 8], [1, 2, 3, 4]])
    direction = coordinate(cloud(), 1)
    frames = traverse(decoder, h, direction, [-2, 0, 4], torch.zeros(1, 2, 2))  # type: ignore[arg-type]
    assert frames.shape == (2, 3, 1, 2, 2)
    assert (frames[:, 1].flatten(1) == h).all()
    expected = (h[:, 1, None] + direction.scale * torch.tensor([-2, 0, 4])).round().clamp(0, 16)
    assert (frames.flatten(2)[:, :, 1] == expected).all()
    assert (frames.flatten(2)[:, :, 0] == h[:, :1]).all()


def test_noise_is_one_along_a_row() -> None:
    decoder = Bernoulli((1, 6, 6), 4, 17)
    direction = coordinate(cloud(), 1)
    noise = common_noise(3, (1, 6, 6))
    of_each = traverse(decoder, torch.zeros(3, 4), direction, [0, 1, 2], noise)  # type: ignore[arg-type]
    assert (of_each == of_each[:, :1]).all()
    assert (of_each[:, 0] == (noise < 0.5) * 16).all()
    shared = traverse(decoder, torch.zeros(3, 4), direction, [0, 1], noise[0])  # type: ignore[arg-type]
    assert (shared == (noise[0] < 0.5) * 16).all()


def test_without_a_move_stands_the_reconstruction() -> None:
    torch.manual_seed(0)
    decoder = GatedPixelCNN((1, 4, 4), 4, 5, features=4, layers=2).double().eval()
    h = torch.randn(3, 4).double()
    noise = common_noise(3, (1, 4, 4), 7)
    own = decode(decoder, h, noise[:, None], engine="naive")[:, 0]
    frames = traverse(decoder, h, principal(cloud(), 0), [-40, 0, 40], noise, engine="naive")
    assert (frames[:, 1] == own).all()
    assert (frames[:, [0, 2]] != own[:, None]).any()


def test_change_of_known_frames() -> None:
    levels = torch.tensor([0, 4, 4, 16], dtype=torch.uint8)
    frames = levels.view(1, 4, 1, 1, 1).expand(3, 4, 1, 2, 2)
    assert change(frames, 17) == [0.25, 0, 0.75]


# What a user calls them


def data(**more: np.ndarray) -> ImageData:
    images = np.zeros((12, 1, 2, 2), np.uint8)
    labels = np.array([2, 5, 2, 5, 2, 5, 2, 5, 2, 5, 2, 5])
    rows = {"train": np.arange(6), "val": np.arange(6, 9), "test": np.arange(9, 12)}
    names = {"label": ("a", "b", "cat", "d", "e", "7")}
    return ImageData("tiny", {"image": images, "label": labels, **more}, rows, names=names)


def test_attributes_by_name_code_and_key() -> None:
    smile = np.array([0, 1, 1, 0] * 3)
    signed = np.array([-1, 1, 1, -1] * 3)
    many = np.arange(12)
    half = np.array([0, 0.5] * 6)
    found = data(smile=smile, signed=signed, many=many, identity=many % 3, half=half)

    def known(text: str) -> tuple[str, int]:
        attribute = find_attribute(found, text)
        assert attribute.name == text
        return attribute.key, attribute.code

    assert known("cat") == ("label", 2)
    assert known("2") == ("label", 2)
    assert known("7") == ("label", 5)  # a name before a code
    assert known("smile") == ("smile", 1)
    assert known("signed") == ("signed", 1)
    assert known("signed=-1") == ("signed", -1)
    assert known("many=3") == ("many", 3)
    assert known("label=cat") == ("label", 2)
    assert known("1") == ("identity", 1)
    flags = find_attribute(found, "smile").flags(found, "train", [0, 1, 2])
    assert flags.tolist() == [False, True, True]
    for text, told in (
        ("laugh", "neither a class nor an attribute 'laugh'; its keys .* image|label, smile"),
        ("many", "'many' has 6 values in tiny, not two; say which is meant, as many=VALUE"),
        ("many=99", "no many=99"),
        ("9", "its labels a, b, cat"),
        ("²", "neither a class nor an attribute '²'"),
        ("half", "'half' has the values 0.0 and 0.5 in tiny, which are not whole numbers"),
    ):
        with pytest.raises(ValueError, match=told):
            find_attribute(found, text)


def test_attributes_that_are_columns_of_a_key() -> None:
    numbers = np.arange(12)
    flags = np.stack([numbers % 3 == 0, numbers % 2, numbers % 3], 1)
    found = data(attributes=flags, truth=flags[:, :1] == 1)
    for text, key, code in (
        ("attributes[0]", "attributes[0]", 1),
        ("attributes[0]=0", "attributes[0]", 0),
        ("attributes[2]=2", "attributes[2]", 2),
        ("truth[0]", "truth[0]", 1),
    ):
        attribute = find_attribute(found, text)
        assert (attribute.key, attribute.code) == (key, code)
    wanted = found.splits["train"].column("attributes").numpy()[:, 1] == 1
    indices = list(range(len(wanted)))
    assert (find_attribute(found, "attributes[1]").flags(found, "train", indices) == wanted).all()
    for text, told in (
        ("attributes[3]", r"'attributes' has attributes\[0\] to attributes\[2\]"),
        ("attributes[3]=1", r"there is no attributes\[3\]"),
        ("attributes[0]=7", r"has no attributes\[0\]=7"),
        ("attributes[2]", "values in tiny, not two; say which"),
        ("attributes", r"one value an image are label, attributes\[0\] to attributes\[2\]"),
        ("label[0]", "'label' is one number an image"),
    ):
        with pytest.raises(ValueError, match=told):
            find_attribute(found, text)
    h = {split: cloud(len(part)) for split, part in found.splits.items()}
    rows = {split: list(range(len(part))) for split, part in found.splits.items()}
    direction, _ = find_direction("mean:attributes[1]", found, h, rows)
    means = [h["train"][wanted == flag].mean(0) for flag in (False, True)]
    np.testing.assert_allclose(direction.vector * direction.scale, means[1] - means[0], atol=1e-5)


def test_directions_by_their_texts() -> None:
    found = data()
    h = {"train": cloud(6), "val": cloud(3, 1)}
    indices = {"train": list(range(6)), "val": list(range(3))}
    direction, attribute = find_direction("coordinate:3", found, h, indices)
    assert (direction.name, attribute) == ("coordinate 3", None)
    for kind in ("mean", "probe"):
        direction, attribute = find_direction(f"{kind}:cat", found, h, indices)
        assert attribute is not None
        assert (direction.name, attribute.code) == (f"{kind} cat", 2)
    cats = np.array([True, False] * 3)
    np.testing.assert_array_equal(
        find_direction("mean:cat", found, h, indices)[0].vector,
        mean_difference(h["train"], cats, "cat").vector,
    )
    for spec in ("smile", "principal:x", "principal:²", "mean:", "sideways:3", ""):
        with pytest.raises(ValueError, match="names no direction"):
            find_direction(spec, found, h, indices)
    assert default_directions(found, 2) == ["principal:0", "principal:1", "mean:cat", "mean:7"]
    # A class by its name alone, unless that means something else.
    for cat in (np.array([0, 1] * 6), np.arange(12)):
        assert default_directions(data(cat=cat), 1)[1:] == ["mean:label=cat", "mean:7"]


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
    shares = [share.share for share in by_mean.judged]
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
    assert judged[-1].share > judged[1].share > judged[0].share
    assert [t.key for t in found.judges] == ["attributes[0]", "label", "attributes[1]"]


def test_the_table_says_which_steps_were_judged(mover: Mover) -> None:
    """An even number of steps has no α = 0, and two have none between the first and the last."""
    four = mover.move(["mean:7"], steps=4, shown=2, measured=8)
    judged = four.along[0].judged
    assert judged is not None
    at_minus_a_third = f"{100 * judged[1].share:.0f} ("
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
