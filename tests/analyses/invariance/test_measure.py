"""What samples of one h have in common: of decoders whose samples are known, it is known."""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from repr_toolkit.analyses.classification import pixel_classifiers
from repr_toolkit.analyses.invariance import ANALYSIS
from repr_toolkit.analyses.invariance.measure import measure
from repr_toolkit.analyses.invariance.picture import picture
from repr_toolkit.analyses.invariance.statistics import (
    agreement,
    nearest,
    neighbours,
    reencoding,
    variance_maps,
)
from repr_toolkit.analyses.judge import judged_by, obstacle, read_in, train_judge
from repr_toolkit.cli import main
from repr_toolkit.data import ImageData
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.page.terminal import as_text
from repr_toolkit.runs.kept import Result, keep, kept_in
from repr_toolkit.runs.run import Run
from repr_toolkit.sampling.draw import decode
from toys.decoders import BERNOULLI, COPIES, DECONV, Bernoulli
from toys.encoders import ONE_HOT, PIXELS
from toys.runs import untrained_run


@pytest.fixture(autouse=True, scope="module")
def quick_judges() -> Iterator[None]:
    """A few epochs are enough for what is told here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_classifiers, "EPOCHS", 1)
        patch.setattr(pixel_classifiers, "SHOWN", 4000)
        yield


@pytest.fixture(autouse=True)
def search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())


# Measures


def test_variance_of_known_samples() -> None:
    shares = [0.0, 0.1, 0.5, 0.7, 1.0, 0.3]
    decoder = Bernoulli((1, 2, 3), 1, 17, shares)
    noise = common_noise(decoder, 3 * 4000).unflatten(0, (3, 4000))
    drawn = decode(decoder, torch.zeros(3, 1), noise)
    found = variance_maps(drawn, 17)
    assert found.shape == (3, 1, 2, 3)
    expected = np.array([p * (1 - p) for p in shares]).reshape(1, 2, 3)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=0.01)
    assert found[:, 0, 0, 0].max() == 0
    assert variance_maps(drawn[:, :1].expand(-1, 9, -1, -1, -1), 17).max() == 0
    assert variance_maps(drawn[:, :1], 17).max() == 0


def test_variance_is_unbiased_and_of_intensities() -> None:
    drawn = torch.tensor([0, 16], dtype=torch.uint8).view(1, 2, 1, 1, 1)
    assert variance_maps(drawn, 17).item() == 0.5


def test_agreement_of_known_judgements() -> None:
    judged = np.array([[0, 0, 1, 0], [1, 1, 1, 1], [2, 0, 2, 0]])
    truth, originals = np.array([0, 1, 1]), np.array([0, 1, 2])
    found = agreement(judged, originals, truth)
    assert found.with_source.value == pytest.approx((3 + 4 + 0) / 12)
    # Each sample against the truth of the two other images.
    chance = [judged[i] == truth[j] for i in range(3) for j in range(3) if i != j]
    assert found.with_source_chance == pytest.approx(np.mean(chance))
    assert found.among.value == pytest.approx((3 / 6 + 6 / 6 + 2 / 6) / 3)
    pairs = [np.equal.outer(judged[i], judged[j]) for i in range(3) for j in range(3) if i != j]
    assert found.among_chance == pytest.approx(np.mean(pairs))
    assert found.originals.value == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="at least two"):
        agreement(judged[:1], originals[:1], truth[:1])


def test_a_perfect_autoencoder_finds_every_h_again() -> None:
    h = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    own = torch.arange(0, 20, 2)
    found = reencoding(h[own][:, None].expand(-1, 3, -1), own, h)
    assert found.nearest_is_own.value == 1
    assert found.relative_distance.value == 0
    assert (found.chance, found.candidates) == (0.05, 20)


def test_reencoding_of_known_codes() -> None:
    candidates = torch.tensor([[0.0], [10.0], [20.0]])
    again = torch.tensor([[[1.0], [9.0]], [[10.0], [18.0]]])
    found = reencoding(again, torch.tensor([0, 1]), candidates)
    assert found.nearest_is_own.value == 0.5
    # Own: 1, 9; others: 9, 19 and 1, 11. Own: 0, 8; others: 10, 10 and 18, 2.
    assert found.relative_distance.value == pytest.approx((5 / 10 + 4 / 10) / 2)


def test_an_h_that_is_always_the_same_is_found_at_chance() -> None:
    found = reencoding(torch.ones(4, 3, 2), torch.arange(4), torch.ones(8, 2))
    assert found.nearest_is_own.value == pytest.approx(found.chance)
    assert found.relative_distance.value == 1


def test_neighbours_of_known_points() -> None:
    gallery = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]], np.float32)
    by_h = nearest(np.array([[0.1], [10.4]], np.float32), gallery, 2)
    assert by_h.tolist() == [[0, 1], [3, 4]]
    by_pixels = np.array([[1, 2], [3, 4]])
    codes, of_gallery = np.array([5, 6]), np.array([5, 6, 5, 6, 6])
    found = neighbours(by_h, by_pixels, 5, key="label", codes=codes, gallery_codes=of_gallery)
    assert found.overlap.value == 0.75
    assert found.overlap_chance == 0.4
    assert found.by_h is not None
    assert found.by_pixels is not None
    assert (found.by_h.value, found.by_pixels.value) == (0.75, 0.75)
    assert found.agreement_chance == pytest.approx((2 / 5 + 3 / 5) / 2)


# Judges


def labelled(labels: list[int], test: list[int], **more: np.ndarray) -> ImageData:
    """Tiny images whose brightness tells the label."""
    every = np.array([*labels, *test, *test], np.int64)
    images = np.repeat(every, 16).astype(np.uint8).reshape(-1, 1, 4, 4) * 5
    ends = np.cumsum([len(labels), len(test), len(test)])
    rows = dict(zip(("train", "val", "test"), np.split(np.arange(ends[-1]), ends[:2]), strict=True))
    return ImageData("tiny", {"image": images, "label": every, **more}, rows, levels=17)


def test_a_judge_knows_codes_and_how_good_it_is() -> None:
    data = labelled([0, 3] * 40, [0, 3, 3, 0])
    trained, facts = train_judge(data, "label")
    assert trained.classes.tolist() == [0, 3]
    assert facts["accuracy"].value == 1
    assert (facts["chance"], facts["test_images"], facts["train_images"]) == (0.5, 4, 80)
    images = data.splits["test"][:]["image"]
    assert trained.classify(images).tolist() == [0, 3, 3, 0]


@pytest.mark.parametrize("kind", [np.bool_, np.uint16, np.uint64, np.float32, np.int8])
def test_a_judge_knows_codes_of_any_whole_type(kind: type) -> None:
    codes = (np.array([0, 3] * 40 + [0, 3, 3, 0] * 2) == 3).astype(kind)
    if kind is np.int8:  # coded by −1 and 1, as CelebA is
        codes = 2 * codes - 1
    data = labelled([0, 3] * 40, [0, 3, 3, 0], mood=codes)
    trained, facts = train_judge(data, "mood")
    assert facts["accuracy"].value == 1
    images, codes = data.splits["test"][:]["image"], codes[-4:].astype(np.int64)
    read = read_in(trained, images[:, None].expand(-1, 2, -1, -1, -1), codes)
    assert read["own"].value == 1
    assert read["chance"].value == pytest.approx(1 / 3)


def test_codes_that_cannot_be_judged_by() -> None:
    strangers = labelled([0, 1] * 4, [2, 3])
    assert "no training image has" in str(obstacle(strangers, "label"))
    assert judged_by(strangers) is None
    assert "no such key; it has image, label" in str(obstacle(strangers, "smile"))
    assert "all training images have the same" in str(obstacle(labelled([1] * 3, [1, 1]), "label"))
    score = labelled([0, 1], [0, 1], score=np.linspace(0, 1, 6).astype(np.float32))
    assert "not one whole number" in str(obstacle(score, "score"))
    assert judged_by(score) == "label"
    with pytest.raises(ValueError, match="'score' cannot be judged by"):
        train_judge(score, "score")


def test_a_column_of_a_key_is_judged_by() -> None:
    codes = np.array([0, 3] * 40 + [0, 3, 3, 0] * 2)
    data = labelled([0, 3] * 40, [0, 3, 3, 0], flags=np.stack([codes * 0, codes == 3], 1))
    trained, facts = train_judge(data, "flags[1]")
    assert (facts["key"], trained.classes.tolist()) == ("flags[1]", [0, 1])
    assert facts["accuracy"].value == 1
    assert trained.classify(data.splits["test"][:]["image"]).tolist() == [0, 1, 1, 0]
    assert "all training images have the same" in str(obstacle(data, "flags[0]"))
    assert "'flags' has flags[0] to flags[1]" in str(obstacle(data, "flags[2]"))
    assert "name one of its columns, such as flags[0]" in str(obstacle(data, "flags"))


# Runs


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("runs") / "perfect"
    return untrained_run(path, encoder=PIXELS, decoder=COPIES)


@pytest.fixture(scope="module")
def found(perfect: Run) -> Result:
    return measure(perfect, images=12, samples=3, rows=5)


def test_of_a_perfect_autoencoder(found: Result) -> None:
    assert found.numbers["missing"] == {}
    assert found.numbers["variance"] == 0
    assert found.numbers["data_variance"] > 0.05
    assert found.numbers["judge"]["accuracy"].value > 0.8
    assert found.numbers["agreement"].among.value == 1
    judged = found.numbers["agreement"]
    assert judged.with_source.value == judged.originals.value
    assert found.numbers["reencoding"].nearest_is_own.value == 1
    assert found.numbers["reencoding"].candidates == 180
    assert found.numbers["neighbours"].overlap.value == 1
    assert found.numbers["neighbours"].by_h == found.numbers["neighbours"].by_pixels


def text_of(result: Result, run: Run) -> str:
    """What the terminal shows of a result."""
    return as_text(ANALYSIS.blocks({"run": keep(run, "invariance", result, "typed")}))


def test_the_findings(found: Result, perfect: Run) -> None:
    numbers = json.loads(json.dumps(found.as_dict()))
    assert (numbers["split"], numbers["images"], numbers["samples"]) == ("test", 12, 3)
    assert numbers["agreement"]["among"]["value"] == 1
    kept = found.arrays()
    assert kept["image"].shape == (5, 1, 8, 8)
    assert (kept["sample"] == kept["image"][:, None]).all()
    assert kept["sample"].shape == (5, 3, 1, 8, 8)
    assert kept["variance"].shape == (5, 1, 8, 8)
    assert kept["mean_variance"].shape == (1, 8, 8)
    assert (kept["nearest_h"] == kept["nearest_pixels"]).all()
    assert kept["nearest_h"].shape == (5, 5, 1, 8, 8)
    assert kept["levels"] == 17
    assert found.asked == {
        **{"split": "test", "images": 12, "samples": 3, "seed": 0, "temperature": 1},
        **{"by": "label", "neighbours": 5},
    }


def test_the_table_fits_a_terminal(found: Result, perfect: Run) -> None:
    lines = text_of(found, perfect).splitlines()
    assert max(map(len, lines)) <= 100
    assert any("nearest h is their own" in line and "100.0" in line for line in lines)


def test_the_picture_has_its_columns(found: Result) -> None:
    texts = [text.get_text() for text in picture(found).texts]
    for title in ("image", "samples of its h", "s.d.", "by h", "by pixels"):
        assert title in texts
    assert set(found.arrays()["name"]) <= set(texts)


def test_samples_that_cannot_differ_are_drawn_once(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "mean", decoder=DECONV)
    found = measure(run, images=4, samples=3, rows=2)
    assert [found.numbers[key] for key in ("samples", "temperature", "variance")] == [1, 0, 0]
    text = text_of(found, run)
    assert "they cannot differ" in text
    assert "pairs judged alike" not in text
    assert "s.d." not in [text.get_text() for text in picture(found).texts]


def test_an_encoder_of_labels(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "labels", encoder=ONE_HOT, decoder=BERNOULLI)
    found = measure(run, images=4, samples=50, rows=2)
    assert found.numbers["reencoding"] is None
    assert found.numbers["neighbours"] is None
    assert "reads 'label'" in found.numbers["missing"]["reencoding"]
    assert "only 10 different h" in found.numbers["missing"]["neighbours"]
    assert found.numbers["variance"] == pytest.approx(0.25, abs=0.01)
    assert "no reencoding: the encoder reads 'label'" in text_of(found, run)


def test_training_images_are_no_neighbours_of_themselves(perfect: Run) -> None:
    found = measure(perfect, "train", images=4, samples=2, rows=2)
    assert found.numbers["neighbours"] is None
    assert "among training images" in found.numbers["missing"]["neighbours"]
    assert "nearest_h" not in found.arrays()


def test_a_run_judged_by_a_column(perfect: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    own = perfect.load_data()
    low = own.arrays["label"] < 5
    columns = np.stack([low, ~low], 1).astype(np.int64)
    data = ImageData("d", {**own.arrays, "attributes": columns}, own.rows, levels=own.levels)
    monkeypatch.setattr(Run, "load_data", lambda self, root=None: data)
    found = measure(perfect, images=6, samples=2, rows=2, key="attributes[1]")
    assert found.numbers["judge"]["key"] == "attributes[1]"
    assert found.numbers["judge"]["classes"] == 2
    assert found.numbers["neighbours"].key == "attributes[1]"
    assert found.numbers["neighbours"].by_h.value > 0.9
    with pytest.raises(ValueError, match=r"there is no attributes\[2\]"):
        measure(perfect, images=6, samples=2, key="attributes[2]")


def test_the_command(perfect: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "invariance.png"
    argv = ["invariance", str(perfect.path), "--images", "4", "-n", "2", "--rows", "2", "--json"]
    assert main([*argv, "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["reencoding"]["nearest_is_own"]["value"] == 1
    assert out.stat().st_size > 1000
    [newest, *before] = kept_in(perfect.path, "invariance")
    assert newest.command == shlex.join(["repr-toolkit", *argv, "--out", str(out)])
    assert {"command": newest.command, **newest.numbers} == result
    # Of more samples, it stands beside this; the same question again takes its place.
    argv[argv.index("2")] = "3"
    for _ in range(2):
        assert main(argv) == 0
        assert len(kept_in(perfect.path, "invariance")) == len(before) + 2
        assert kept_in(perfect.path, "invariance")[0].asked["samples"] == 3
    capsys.readouterr()
    assert main(argv[:-1]) == 0
    assert "distance to own h" in capsys.readouterr().out


def test_what_cannot_be_measured(
    perfect: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unconditional = untrained_run(tmp_path / "none", encoder=None)
    for argv, told in (
        ([str(unconditional.path)], "no encoder: there is no h to draw samples of"),
        ([str(perfect.path), "--split", "valid"], "no split 'valid'"),
        ([str(perfect.path), "--by", "smile"], "'smile' cannot be judged by"),
        ([str(perfect.path), "-n", "1"], "2 samples at the least"),
        ([str(perfect.path), "--out", str(tmp_path / "x.npz")], "written as .png"),
        ([str(tmp_path / "nowhere")], "nowhere"),
    ):
        assert main(["invariance", *argv]) == 1
        error = capsys.readouterr().err
        assert error.startswith("repr-toolkit: error: ")
        assert error.count("\n") == 1
        assert told in error
