"""Classifiers of pixels: they learn digits, are chosen without the test images, and repeat."""

import numpy as np
import pytest
import torch

from repr_toolkit.analyses.classification.pixel_classifiers import (
    PENALTIES,
    WIDTHS,
    Baseline,
    neighbours,
    pixel_baselines,
    small_network,
    support_vectors,
)
from repr_toolkit.data import load_data
from repr_toolkit.support.stats import wilson

Pair = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """The 8×8 digits: 400 train, 180 val, 180 test."""
    splits = load_data("digits").splits
    counts = {"train": 400, "val": 180, "test": 180}
    batches = [splits[name][:count] for name, count in counts.items()]
    return [(batch["image"].numpy(), batch["label"].numpy()) for batch in batches]


@pytest.fixture(scope="module")
def found(pairs: list[Pair]) -> list[Baseline]:
    return list(pixel_baselines(*pairs, levels=17))


def test_digits_are_read(found: list[Baseline]) -> None:
    assert [baseline.name for baseline in found] == ["3-NN", "RBF-SVM", "small CNN"]
    for baseline in found:
        assert baseline.accuracy.value > 0.9
        assert (baseline.train_images, baseline.accuracy.count) == (400, 180)
        assert baseline.accuracy == wilson(round(180 * baseline.accuracy.value), 180)


def test_neighbours_are_scikit_learns(pairs: list[Pair]) -> None:
    """Brute force: the vote of the three nearest, the smaller label among equals."""
    flat = [images.reshape(len(images), -1).astype(np.float32) for images, _ in pairs]
    predicted = neighbours(flat, pairs[0][1])
    squares = ((flat[2][:, None] - flat[0]) ** 2).sum(-1)
    nearest = pairs[0][1][np.argsort(squares, axis=1, kind="stable")[:, :3]]
    votes = np.stack([np.bincount(row, minlength=10) for row in nearest])
    assert (predicted == votes.argmax(1)).mean() > 0.99  # ties in distance aside


def test_the_machine_is_that_of_its_kernel(pairs: list[Pair]) -> None:
    from sklearn.svm import SVC

    flat = [images.reshape(len(images), -1).astype(np.float32) / 16 for images, _ in pairs]
    predicted, penalty, width = support_vectors(flat, pairs[0][1], pairs[1][1])
    assert penalty in PENALTIES
    assert width in WIDTHS
    unit = 1 / (64 * flat[0].astype(np.float64).var())
    machine = SVC(C=penalty, gamma=width * unit).fit(flat[0], pairs[0][1])
    assert (machine.predict(flat[2]) == predicted).mean() > 0.99
    scores = [
        (SVC(C=c, gamma=w * unit).fit(flat[0], pairs[0][1]).predict(flat[1]) == pairs[1][1]).mean()
        for w in WIDTHS
        for c in PENALTIES
    ]
    own = (machine.predict(flat[1]) == pairs[1][1]).mean()
    assert own >= max(scores) - 0.006  # one image of 180, where rounding decides


def test_the_test_labels_choose_nothing(pairs: list[Pair], found: list[Baseline]) -> None:
    train, validation, (images, labels) = pairs
    wrong = list(pixel_baselines(train, validation, (images, (labels + 1) % 10), levels=17))
    assert [baseline.how for baseline in wrong] == [baseline.how for baseline in found]
    assert all(baseline.accuracy.value < 0.1 for baseline in wrong)


def test_the_network_follows_its_seed_and_nothing_else(pairs: list[Pair]) -> None:
    (train, labels), _, (test, _) = ((x.astype(np.float32) / 16, y) for x, y in pairs)
    state = torch.random.get_rng_state()
    first = small_network(train, labels, test, epochs=5, seed=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(5)
    assert (small_network(train, labels, test, epochs=5, seed=0) == first).all()
    assert (small_network(train, labels, test, epochs=5, seed=1) != first).any()


def test_colour_any_size_and_any_labels() -> None:
    """Red and green images of 5×7 pixels, labelled 4 and 9, and a class that is never seen."""
    draw = np.random.default_rng(0)

    def images(labels: np.ndarray) -> np.ndarray:
        image = draw.integers(0, 100, (len(labels), 3, 5, 7), dtype=np.uint8)
        image[np.arange(len(labels)), (labels == 9).astype(int)] += 120
        return image

    labels = [np.array([4, 9] * count) for count in (30, 10, 10)]
    labels[2][:5] = 7
    pairs = [(images(part), part) for part in labels]
    for baseline in pixel_baselines(*pairs):
        assert baseline.accuracy.value == 0.75


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (x, y * 0), "only one class"),
        (lambda x, y: (x[1:], y), "training set has 399 images and 400 labels"),
        (lambda x, y: (x[:0], y[:0]), "at least one"),
    ],
)
def test_what_cannot_be_classified(spoil: object, message: str, pairs: list[Pair]) -> None:
    assert callable(spoil)
    with pytest.raises(ValueError, match=message):
        next(pixel_baselines(spoil(*pairs[0]), pairs[1], pairs[2], levels=17))
