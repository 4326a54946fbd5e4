"""Lower bounds: by hand, at most the ceiling, at most the information, exactly 0 for no h."""

from math import comb, log2

import numpy as np
import pytest
import torch

from repr_toolkit.analyses.classification.bayes import classify
from repr_toolkit.analyses.information.bounds import (
    Bound,
    _one_each,
    candidate_bound,
    label_bound,
    most_candidates,
    own_over_mean,
)
from repr_toolkit.analyses.information.pieces import bound_cell, bound_note
from repr_toolkit.data import ImageSplit
from repr_toolkit.data.known_bits import BITS, known_bits
from repr_toolkit.runs.run import Run, load
from repr_toolkit.support.stats import mean
from toys.encoders import ONE_HOT
from toys.known_bits import exact, pixelcnn
from toys.runs import untrained_run

DATA = known_bits(train=20, held_out=640)


def test_own_over_mean_by_hand() -> None:
    likelihood = np.array([[0.5, 0.1], [0.25, 0.1], [0.25, 0.4]])
    expected = np.log2(likelihood[0] / likelihood.mean(0))
    np.testing.assert_allclose(own_over_mean(np.log2(likelihood)), expected)
    np.testing.assert_allclose(own_over_mean(np.log2(likelihood) - 1e4), expected)
    assert not own_over_mean(np.full((7, 3), -1234.5678)).any()  # exactly 0


def test_with_the_true_likelihoods_it_is_what_it_must_be() -> None:
    """E log₂ M/(1 + B), B of the M − 1 others having the label by chance; below I(x; h)."""
    split = DATA.splits["test"]
    for m in (4, 16):
        expected = sum(
            comb(m - 1, b) * (1 / 8) ** b * (7 / 8) ** (m - 1 - b) * log2(m / (1 + b))
            for b in range(m)
        )
        bound = candidate_bound(
            exact("bits"), split, split.column("bits"), candidates=m, images=640
        )
        low, high = bound.bits.low, bound.bits.high
        assert bound.bits.value == pytest.approx(expected, abs=0.08)
        assert low is not None
        assert high is not None
        assert low < expected < high
        assert bound.bits.value < min(BITS, bound.ceiling)
        assert (bound.ceiling, bound.images, len(bound.values)) == (log2(m), 640, 640 // m)


def test_it_is_the_bound_of_its_groups() -> None:
    """Each image among the h of its own group, each group apart, in whatever batches."""
    split, model = DATA.splits["val"], pixelcnn(3)
    codes = split.column("bits")
    bound = candidate_bound(model, split, codes, candidates=4, images=20, seed=3, batch_size=7)
    order = torch.randperm(640, generator=torch.Generator().manual_seed(3))[:20].reshape(5, 4)
    expected = []
    for group in order.tolist():
        x, h = split[group]["image"], codes[group]
        with torch.no_grad():
            table = torch.stack([model.decoder.log_prob(x, one.expand(4, -1)) for one in h])
        likelihood = table.double().exp().numpy()  # [j, i] of image i given h_j
        expected.append(np.log2(np.diag(likelihood) / likelihood.mean(0)).mean())
    np.testing.assert_allclose(bound.values, expected, rtol=1e-3, atol=1e-4)
    assert np.ptp(bound.values) > 0


def test_of_several_images_a_person_each_replicate_draws_one() -> None:
    """Own images of a person among the candidates would pass for others, and lower the bound."""
    split = DATA.splits["test"]
    people = np.repeat(np.arange(64), 10)
    arrays = {key: values[split.rows] for key, values in split.arrays.items()}
    arrays = {key: np.repeat(values[:64], 10, axis=0) for key, values in arrays.items()}
    several = ImageSplit({**arrays, "identity": people}, np.arange(640), split.levels)
    h = several.column("bits")
    bound = candidate_bound(exact("bits"), several, h, candidates=16, images=256)
    assert bound.values.shape == (4, 4)  # replicates, groups
    assert bound.bits.how.startswith(
        "Student's t over 4 groups of 16 people, an image each, drawn anew 4 times"
    )
    assert bound.bits.low is not None
    once = mean(bound.values[0], least=2)
    errors = [mean(values).error for values in bound.values]
    assert bound.bits.value == pytest.approx(bound.values.mean())
    half = np.sqrt(np.mean(np.square(errors))) * (once.high - once.value) / once.error
    assert bound.bits.low == pytest.approx(bound.bits.value - half)
    order = torch.randperm(640)
    drawn = _one_each(order, people)
    assert np.unique(people[drawn]).tolist() == [*range(64)]
    assert not torch.equal(drawn, _one_each(torch.randperm(640), people))
    assert most_candidates(several, 16) == 16
    assert most_candidates(several, 64) == 32
    with pytest.raises(ValueError, match="64 people make no two groups of 33"):
        candidate_bound(exact("bits"), several, h, candidates=33)


def test_of_training_images_it_is_called_no_bound() -> None:
    bounds = [None, {"ceiling": 4.0}]
    assert "a true lower bound" in bound_note("test", bounds)
    assert "true" not in bound_note("train", bounds)
    assert "no bound of the mutual information" in bound_note("train", bounds)
    assert "of four groups at least" in bound_note("test", [None])


def test_at_its_ceiling_it_says_so() -> None:
    full = Bound(np.array([3.98, 4.0, 3.99]), 4.0, 48, "", "groups of 16 images", least=2)
    assert full.saturated
    assert bound_cell(full.as_dict()).detail.endswith("at its ceiling, 4.00")
    assert full.bits.low is not None
    assert full.bits.low < 3.98
    assert full.bits.high == 4.0  # Student's would end beyond it
    assert full.bits.how == (
        "Student's t over 3 groups of 16 images (fewer than 30: with caution); leaves out training "
        "seeds"
    )
    half = Bound(np.array([2.0, 2.4]), 5.0, 32, "", least=2)
    assert not half.saturated
    assert "ceiling" not in bound_cell(half.as_dict()).detail
    assert half.bits.value == pytest.approx(2.2)
    assert half.bits.high is not None
    assert half.bits.high - 2.2 == pytest.approx(12.706 * 0.2, rel=1e-3)  # t of 1 freedom


def test_that_of_labels_is_that_of_bayes_rule(tmp_path: object) -> None:
    run = untrained_run(tmp_path / "run", encoder=ONE_HOT)  # type: ignore[operator]
    found = classify(load(run), Run(run.path).load_data(), "val")
    bound = label_bound(found)
    assert bound.bits.value == pytest.approx(found.information_bits.mean())
    assert (bound.ceiling, bound.images) == (found.prior_entropy, 180)


def test_too_few() -> None:
    split = DATA.splits["test"]
    codes = split.column("bits")
    with pytest.raises(ValueError, match="at least two candidates"):
        candidate_bound(exact("bits"), split, codes, candidates=1)
    with pytest.raises(ValueError, match=r"30 images make no two groups of 16.*at most 15"):
        candidate_bound(exact("bits"), split, codes, images=30)
