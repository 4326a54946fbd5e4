"""Moved h, decoded: frames are what the moved h gives, and what is measured of them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from repr_toolkit.analyses.classification import pixel_classifiers
from repr_toolkit.analyses.traversal import ANALYSIS
from repr_toolkit.analyses.traversal.directions import (
    alpha_text,
    coordinate,
    mean_difference,
    move,
    principal,
)
from repr_toolkit.analyses.traversal.measure import change, measure, traverse
from repr_toolkit.analyses.traversal.picture import picture
from repr_toolkit.data import ImageData
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.encode import encode_split
from repr_toolkit.page.blocks import Notes, Table
from repr_toolkit.runs.kept import Kept, keep
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
        patch.setattr(pixel_classifiers, "EPOCHS", 3)
        patch.setattr(pixel_classifiers, "SHOWN", 0)
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
    frames = traverse(decoder, h, principal(cloud(), [0])[0], [-40, 0, 40], noise, engine="naive")
    assert (frames[:, 1] == own).all()
    assert (frames[:, [0, 2]] != own[:, None]).any()


def test_change_of_known_frames() -> None:
    levels = torch.tensor([0, 4, 4, 16], dtype=torch.uint8)
    frames = levels.view(1, 4, 1, 1, 1).expand(3, 4, 1, 2, 2)
    assert change(frames, 17) == [0.25, 0, 0.75]


def test_alpha_has_a_true_minus_and_no_trailing_zeros() -> None:
    texts = [alpha_text(alpha) for alpha in (-2.25, 0.0, 1.0, -10.0, 1500.0)]
    assert texts == ["−2.25", "0", "1", "−10", "1500"]


# Runs


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("runs") / "perfect"
    return untrained_run(path, encoder=PIXELS, decoder=COPIES)


def test_a_traversal_of_a_run(run: Run) -> None:
    result = measure(run, along=["principal:0", "mean:7"], steps=5, images=2, measured=40, seed=3)
    by_pca, by_mean = result.numbers["directions"]
    assert by_pca["alphas"] == [-3, -1.5, 0, 1.5, 3]
    assert by_mean["alphas"] == [-1, -0.5, 0, 0.5, 1]
    arrays = result.arrays()
    assert arrays["frames"].shape == (2, 2, 5, 1, 8, 8)
    assert (arrays["frames"][:, :, 2] == arrays["image"]).all()  # α = 0
    assert by_pca["judged"] is None
    shares = [share.value for share in by_mean["judged"]]
    assert shares[-1] > shares[2] + 0.1
    assert shares[0] <= shares[2]
    assert [trained["key"] for trained in result.numbers["judges"]] == ["label"]
    assert len(by_mean["change"]) == 4
    assert 0 < by_mean["change"][0] < result.numbers["between_images"]


def test_a_traversal_along_a_column_of_a_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    own = run.load_data()
    columns = np.stack([own.arrays["label"] == 7, own.arrays["label"] < 5], 1).astype(np.int64)
    data = ImageData("d", {**own.arrays, "attributes": columns}, own.rows, levels=own.levels)
    monkeypatch.setattr(Run, "load_data", lambda self: data)
    specs = ["mean:attributes[0]", "mean:7", "mean:attributes[1]=1"]
    result = measure(run, along=specs, steps=3, images=2, measured=40, seed=3)
    frames = result.arrays()["frames"]
    assert (frames[0] == frames[1]).all()
    judged = result.numbers["directions"][2]["judged"]
    assert judged[-1].value > judged[1].value > judged[0].value
    assert [t["key"] for t in result.numbers["judges"]] == [
        "attributes[0]",
        "label",
        "attributes[1]",
    ]


def test_a_traversal_is_kept_with_its_frames(run: Run) -> None:
    result = measure(run, steps=3, images=2, measured=4, seed=3)
    kept = keep(run, "traversal", result, "repr-toolkit traverse RUN")
    assert kept.numbers == json.loads(json.dumps(result.as_dict()))
    assert [d["along"] for d in kept.numbers["directions"]] == [
        *(f"principal:{n}" for n in range(4)),
        *(f"mean:{n}" for n in range(10)),
    ]
    assert kept.arrays["frames"].shape == (14, 2, 3, 1, 8, 8)
    assert kept.arrays["alphas"].tolist() == [[-3, 0, 3]] * 4 + [[-1, 0, 1]] * 10
    assert (kept.arrays["frames"][:, :, 1] == kept.arrays["image"]).all()
    assert kept.arrays["name"].tolist()[:5] == [*(f"principal {n}" for n in range(4)), "mean 0"]
    assert [block.kind for block in ANALYSIS.blocks({"perfect": kept})] == [
        *["strip"] * 4, "folded", "table", "table", "notes"
    ]  # fmt: skip


def test_what_is_asked_tells_traversals_apart(run: Run) -> None:
    def asked(**options: Any) -> dict[str, Any]:
        options = {"along": ["principal:0"], "steps": 3, "measured": 0, **options}
        return dict(measure(run, **options).asked)

    plain = asked()
    assert plain == asked(span=3.0) == asked(alphas=[-3, 0, 3], keep_length=False)
    for other in ({"seed": 1}, {"images": 2}, {"span": 2}, {"along": ["mean:7"]},
                  {"keep_length": True}, {"temperature": 0.5}, {"measured": 9}):  # fmt: skip
        assert asked(**other) != plain


def test_a_span_of_nothing_is_refused(run: Run) -> None:
    with pytest.raises(ValueError, match="a finite span above 0"):
        measure(run, along=["principal:0"], span=0, measured=0)
    with pytest.raises(ValueError, match="no images to move"):
        measure(run, images=0, measured=0)


def test_given_pictures_are_moved(run: Run) -> None:
    model, split = load_with_decoder(run), run.load_data().splits["test"]
    images, h = split[[5, 6]]["image"], encode_split(model, split, indices=[5, 6])
    given = measure(run, along=["mean:7"], alphas=[0, 1, 0.5], pictures=(images, h), measured=0)
    numbered = measure(run, along=["mean:7"], alphas=[0, 1, 0.5], images=[5, 6], measured=0)
    [frames], [same] = given.arrays()["frames"], numbered.arrays()["frames"]
    assert (given.arrays()["image"] == images.numpy()).all()
    assert (frames[:, 0] == images.numpy()).all()
    train = run.load_data().splits["train"]
    fitted = encode_split(model, train)
    direction = mean_difference(fitted.numpy(), train.column("label").numpy() == 7, "7")
    end = move(h, direction, 1).round().clamp(0, 16)
    assert (frames[:, 1].reshape(2, -1) == end.numpy()).all()
    assert (frames == same).all()
    numbers = given.numbers
    [along] = numbers["directions"]
    assert [along["change"], along["judged"], numbers["between_images"]] == [None] * 3
    assert numbers["judges"] == []


def test_a_misspelt_direction_is_an_error_before_anything_is_drawn(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sample(*_: object, **__: object) -> Tensor:
        raise AssertionError("drawn")

    monkeypatch.setattr(Copies, "sample", sample)
    with pytest.raises(ValueError, match="names no direction"):
        measure(run, along=["principal:0", "mean"])


def test_a_run_without_encoder_has_no_h(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run", encoder=None)
    with pytest.raises(ValueError, match="has no encoder: there is no h to move"):
        measure(run)


def test_in_a_run_nothing_moved_is_the_reconstruction(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run")
    result = measure(
        run, along=["coordinate:1"], alphas=[0], images=[8], measured=0, seed=3, engine="naive"
    )
    batch = {"image": torch.from_numpy(result.arrays()["image"])}
    own = reconstruct(load_with_decoder(run), batch, seed=3, engine="naive")
    assert (result.arrays()["frames"][0] == own.numpy()).all()


# What is shown


def moved(*alphas: list[float]) -> Kept:
    """Directions judged to give 0, 10, 20 … % at their steps."""
    judged: list[dict[str, Any]] = []
    for number, values in enumerate(alphas):
        shares = [{"value": step / 10, "low": 0.4, "high": 0.6} for step in range(len(values))]
        judged.append({"name": f"d{number}", "alphas": values, "judged": shares, "change": None})
        judged[-1] |= {"scale": 1.0, "unit": "standard deviations"}
    judges = [
        {"key": key, "accuracy": {"value": 0.9}, "split": "test"}
        | {"train_images": 1000, "test_images": 90}
        for key in ("label", "smile")
    ]
    numbers: dict[str, Any] = {
        "directions": judged,
        "measured_images": 8,
        "train_images": 1000,
        "judges": judges,
    }
    numbers |= {"data": "digits", "split": "test", "keep_length": False, "between_images": None}
    return Kept({}, "", "", "", numbers, None)


@pytest.mark.parametrize(
    ("alphas", "columns", "cells"),
    [
        ([-1, 0, 1], ("α = −1", "α = 0", "α = 1"), ["0.0", "10.0", "20.0"]),
        ([-3, -1, 1, 3], ("α = −3", "α = −1", "α = 3"), ["0.0", "10.0", "30.0"]),
        ([-1, 1], ("α = −1", "α = 1"), ["0.0", "10.0"]),
    ],
)
def test_judged_frames_stand_under_their_own_alpha(
    alphas: list[float], columns: tuple[str, ...], cells: list[str]
) -> None:
    _, table, others, _ = ANALYSIS.blocks({"run": moved(alphas, [-9, 0, 9], alphas)})
    assert isinstance(table, Table)
    assert isinstance(others, Table)
    assert table.columns == columns
    assert [row.label for row in table.rows] == ["d0", "d2"]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [cells, cells]
    assert [row.label for row in others.rows] == ["d1"]
    assert "a classifier of label, trained on 1,000 real images" in table.caption
    assert "and a classifier of smile," in table.caption


def test_only_a_frame_at_0_is_called_the_reconstruction() -> None:
    for alphas, said in (([-1.0, 0.0, 1.0], True), ([-1.0, 1.0], False)):
        notes = ANALYSIS.blocks({"run": moved(alphas)})[-1]
        assert isinstance(notes, Notes)
        assert any("own reconstruction" in note for note in notes.items) == said


@pytest.mark.parametrize("steps", [1, 3])
def test_texts_lie_within_the_picture_and_apart(run: Run, steps: int) -> None:
    alphas = [-2.25, 0, 1][:steps]
    result = measure(run, along=["principal:0", "mean:7"], alphas=alphas, images=2, measured=0)
    figure = picture(result)
    boxes = [text.get_window_extent() for text in figure.texts]
    width, height = figure.get_size_inches() * figure.dpi
    assert all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= width and b.y1 <= height for b in boxes)
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert not (a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1)


def test_the_picture_says_what_is_where(run: Run) -> None:
    along = ["principal:0", "principal:1", "mean:7"]
    result = measure(run, along=along, steps=3, images=2, measured=0)
    texts = [text.get_text() for text in picture(result).texts]
    for name in ("principal 0", "principal 1", "mean 7"):
        assert texts.count(name) == 1
    # Above the principal directions, which share their α, and above the means.
    assert [texts.count(text) for text in ("image", "α, standard deviations", "−3", "0")] == [
        2,
        1,
        1,
        2,
    ]
