"""Bayes' rule: the posterior is the brute-force one, p(x|y) sums to one, the prior rules alone."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repr_toolkit.analyses.classification.bayes import (
    Classification,
    class_log_likelihoods,
    classify,
    label_prior,
    require_label_encoder,
)
from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.encoders import OneHot
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.bits import bits_per_dim
from repr_toolkit.runs.run import Run, load
from repr_toolkit.support.stats import share
from toys.encoders import ONE_HOT
from toys.runs import untrained_run

SHAPE = (1, 2, 3)


def labelled(labels: list[int], test: list[int], levels: int = 3) -> ImageData:
    """Random tiny images; `labels` of the training images, `test` of those of val and test."""
    every = np.array([*labels, *test, *test], np.int64)
    images = np.random.default_rng(0).integers(0, levels, (len(every), *SHAPE), dtype=np.uint8)
    ends = np.cumsum([len(labels), len(test), len(test)])
    rows = dict(zip(("train", "val", "test"), np.split(np.arange(ends[-1]), ends[:2]), strict=True))
    return ImageData("tiny", {"image": images, "label": every}, rows, levels=levels)


def tiny_model(classes: int = 3, conditioning: str = "vector", seed: int = 2) -> EncoderDecoder:
    torch.manual_seed(seed)
    encoder = OneHot(classes)
    decoder = GatedPixelCNN(
        SHAPE, classes, 3, features=12, layers=2, conditioning=conditioning, map_features=12
    )
    with torch.no_grad():
        for layer in decoder.layers:
            layer.condition.weight.mul_(50)  # so that classes differ
    return EncoderDecoder(encoder, decoder).eval()


UNEVEN = [0] * 5 + [1] * 2 + [2] * 3


@pytest.mark.parametrize("conditioning", ["vector", "spatial"])
def test_the_posterior_is_that_of_brute_force(conditioning: str) -> None:
    model, data = tiny_model(conditioning=conditioning), labelled(UNEVEN, [0, 1, 2, 2, 1])
    found = classify(model, data, batch_size=2)
    assert np.ptp(found.log_likelihood, axis=1).min() > 0.01  # the classes do differ
    images = data.splits["test"][:]["image"]
    for row, image in enumerate(images):
        with torch.no_grad():
            likelihood = model.decoder.log_prob(image.expand(3, *SHAPE), torch.eye(3)).exp()
        joint = [0.5, 0.2, 0.3] * likelihood.double().numpy()
        posterior = np.array(joint) / sum(joint)
        np.testing.assert_allclose(np.exp(found.log_posterior[row]), posterior, rtol=1e-5)
        assert np.exp(found.log_marginal[row]) == pytest.approx(sum(joint), rel=1e-5)
        assert found.predictions[row] == posterior.argmax()
        label = int(found.labels[row])
        assert found.true_posterior_bits[row] == pytest.approx(np.log2(posterior[label]), abs=1e-5)
        expected = np.log2(posterior[label] / (0.5, 0.2, 0.3)[label])
        assert found.information_bits[row] == pytest.approx(expected, abs=1e-5)


def test_likelihoods_sum_to_one_over_all_images() -> None:
    """Of each class, and so does their mixture: it is a distribution over images."""
    every = np.array(list(itertools.product(range(3), repeat=6)), np.uint8).reshape(-1, *SHAPE)
    split = ImageSplit({"image": every}, np.arange(len(every)), 3)
    model = tiny_model(conditioning="spatial")
    likelihood = class_log_likelihoods(model, split, torch.arange(3), batch_size=100)
    assert likelihood.shape == (3**6, 3)
    np.testing.assert_allclose(np.exp(likelihood).sum(0), 1, rtol=1e-5)
    assert np.ptp(likelihood, axis=1).max() > 0.01  # the classes do differ
    prior = np.log([0.5, 0.2, 0.3])
    labels = np.zeros(len(every), np.int64)
    found = Classification(np.arange(3), likelihood, prior, labels, SHAPE)
    assert np.exp(found.log_marginal).sum() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(np.exp(found.log_posterior).sum(1), 1, rtol=1e-12)


def test_a_model_that_ignores_the_label_gives_the_prior() -> None:
    model, data = tiny_model(), labelled(UNEVEN, [0, 1, 2, 2])
    for layer in model.decoder.layers:
        nn.init.zeros_(layer.condition.weight)  # V = 0
    found = classify(model, data)
    np.testing.assert_allclose(np.exp(found.log_posterior), [[0.5, 0.2, 0.3]] * 4, rtol=1e-12)
    assert (found.predictions == 0).all()  # the most frequent class
    assert found.accuracy.value == 0.25
    np.testing.assert_allclose(found.information_bits, 0, atol=1e-12)
    np.testing.assert_allclose(found.bits_marginal, found.bits_given_label, rtol=1e-12)


def test_told_the_label_bits_are_those_of_evaluation() -> None:
    model, data = tiny_model(), labelled(UNEVEN, [0, 1, 2, 2, 0, 0])
    found = classify(model, data, "val", batch_size=4)
    expected = bits_per_dim(model, data.splits["val"], batch_size=5)
    np.testing.assert_allclose(found.bits_given_label, expected, rtol=1e-6)


def test_information_is_the_label_less_what_remains_unknown() -> None:
    found = classify(tiny_model(), labelled(UNEVEN, [0, 1, 2, 2, 0, 0]))
    entropy = -np.mean(found.log_prior[found.labels]) / np.log(2)  # of the labels by the prior
    remaining = -found.true_posterior_bits.mean()
    assert found.information_bits.mean() == pytest.approx(entropy - remaining, abs=1e-12)
    expected = -sum(p * np.log2(p) for p in (0.5, 0.2, 0.3))
    assert found.prior_entropy == pytest.approx(expected, abs=1e-12)


def test_information_is_a_lower_bound() -> None:
    """Of a mutual information that is known: a wrong posterior's is less, the true one's is it."""
    truth = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.6]])  # p(x|y) of four images
    prior = np.array([0.25, 0.75])
    joint = prior[:, None] * truth
    mutual = (joint * np.log2(truth / joint.sum(0))).sum()

    def expectation(model: np.ndarray) -> float:
        total = 0.0
        for y in range(2):
            found = Classification(
                np.arange(2), np.log(model.T), np.log(prior), np.full(4, y), (1, 1, 1)
            )
            total += float((joint[y] * found.information_bits).sum())
        return total

    assert expectation(truth) == pytest.approx(mutual, abs=1e-12)
    for wrong in (truth**2 / (truth**2).sum(1, keepdims=True), truth[:, ::-1], np.full((2, 4), 1)):
        assert expectation(wrong) < mutual - 0.01


def test_accuracy_and_confusion_of_known_scores() -> None:
    classes = np.array([2, 5, 7])
    labels = np.array([2, 2, 5, 7, 7])
    likelihood = np.log([[8, 1, 1], [1, 8, 1], [1, 8, 1], [1, 1, 8], [1, 7, 6]])
    found = Classification(classes, likelihood, np.log([0.5, 0.25, 0.25]), labels, SHAPE)
    assert found.predictions.tolist() == [2, 5, 5, 7, 5]
    assert found.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 1]]
    assert found.accuracy == share(np.arange(5) < 3)


def test_the_prior_is_counted_on_training_images() -> None:
    classes, log_prior = label_prior(labelled([4, 4, 4, 9], [9, 9]))
    assert classes.tolist() == [4, 9]
    np.testing.assert_allclose(np.exp(log_prior), [0.75, 0.25])


class Labelled(nn.Module):
    """Any encoder of labels will do, and labels need not be 0…K−1."""

    source = "label"
    h_dim = 3

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x == 4, x == 7, x == 9], 1).float()


def test_labels_with_gaps() -> None:
    model = EncoderDecoder(Labelled(), tiny_model().decoder).eval()
    other = tiny_model()
    gaps, plain = labelled([4, 7, 9, 9], [9, 4, 7]), labelled([0, 1, 2, 2], [2, 0, 1])
    found, expected = classify(model, gaps), classify(other, plain)
    np.testing.assert_array_equal(found.log_posterior, expected.log_posterior)
    assert found.accuracy == expected.accuracy
    assert set(found.predictions) <= {4, 7, 9}


def test_an_extreme_likelihood_does_not_overflow() -> None:
    likelihood = np.array([[-9000.0, -9001.0], [-1e5, -3.0]])
    found = Classification(np.arange(2), likelihood, np.log([0.5, 0.5]), np.array([0, 1]), SHAPE)
    assert np.isfinite(found.log_marginal).all()
    assert found.true_posterior_bits[0] == pytest.approx(-np.log2(1 + np.exp(-1)))


# What cannot be classified


def test_models_that_are_not_of_labels() -> None:
    unconditional = EncoderDecoder(None, GatedPixelCNN(SHAPE, 0, 3, features=4, layers=1))
    with pytest.raises(ValueError, match=r"no encoder.*OneHot"):
        require_label_encoder(unconditional)
    other = Labelled()
    other.source = "embedding"
    with pytest.raises(ValueError, match="reads 'embedding', not labels"):
        classify(EncoderDecoder(other, tiny_model().decoder), labelled(UNEVEN, [0, 1]))


def test_data_that_have_no_such_labels() -> None:
    model, data = tiny_model(), labelled(UNEVEN, [0, 1])
    plain = ImageData("plain", {"image": data.arrays["image"]}, data.rows, levels=3)
    with pytest.raises(ValueError, match="plain has no labels to classify by; it has image"):
        classify(model, plain)
    with pytest.raises(ValueError, match="no split 'valid'"):
        classify(model, data, "valid")
    with pytest.raises(ValueError, match="no training image of tiny has the label 2, but one of"):
        classify(model, labelled([0, 0, 1], [0, 2]))
    with pytest.raises(ValueError, match="do not fit num_classes=2"):
        classify(tiny_model(2), data)


def test_a_run(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run", encoder=ONE_HOT)
    found = classify(load(run), Run(run.path).load_data(), "val")
    result = json.loads(json.dumps(found.as_dict()))
    assert result["classes"] == list(range(10))
    assert result["images"] == 180 == np.sum(result["confusion"])
    accuracy = result["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert np.trace(result["confusion"]) / 180 == pytest.approx(accuracy["value"])
    assert result["bits_per_dim"]["count"] == 180
    assert result["bits_per_dim_marginal"]["value"] > 0
    assert 3.3 < result["prior_entropy_bits"] <= np.log2(10)
