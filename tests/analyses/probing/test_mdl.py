"""The online code is the sum of what its portions cost, and learns from labels already sent."""

from math import log2

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from repr_toolkit.analyses.probing import online_code
from repr_toolkit.analyses.probing.mdl import (
    choose_strength,
    portions,
    probabilities,
)
from toys.data import codes, noise, telling


def test_portions_double() -> None:
    assert portions(1000) == [32, 63, 125, 250, 500, 1000]
    assert portions(64) == [32, 64]
    assert portions(63) == [32, 63]
    assert portions(62) == [62]
    assert portions(3, first=1) == [1, 2, 3]
    assert portions(1, first=1) == [1]


def test_a_tiny_code_by_hand() -> None:
    """K = 2, portions of 2, 2 and 4 labels: uniform, then the regressions' own, mixed."""
    x = np.array([[-2.0], [2.0], [-1.0], [1.0], [-1.5], [0.5], [-0.5], [1.5]])
    y = np.array([0, 1, 0, 1, 0, 1, 1, 1])
    code = online_code(x, y, seeds=(7,), strengths=(0.5,), first=2)
    order = np.random.default_rng(7).permutation(8)
    lengths = [2 * log2(2)]
    for sent, following in ((order[:2], order[2:4]), (order[:4], order[4:])):
        if len(set(y[sent])) == 2:
            fit = LogisticRegression(C=0.5, tol=1e-5).fit(x[sent], y[sent])
            q = fit.predict_proba(x[following])
            weight = 1 / (len(sent) + 1)
            q = (1 - weight) * q + weight / 2
        else:
            weight = 1 / (len(sent) + 1)
            q = (1 - weight) * np.eye(2)[y[sent[0]]] + weight / 2
            q = np.tile(q, (len(following), 1))
        lengths.append(-sum(log2(row[label]) for row, label in zip(q, y[following], strict=True)))
    assert code.ends == (2, 4, 8)
    assert code.bits[0] == pytest.approx(lengths, abs=1e-6)
    assert code.total.value == pytest.approx(sum(lengths), abs=1e-6)
    assert code.uniform == 8
    assert code.against_uniform == pytest.approx(8 / sum(lengths))
    assert code.total.low is None


def test_labels_that_h_tells_cost_little_more_than_the_first_portion() -> None:
    labels = codes(2000)
    code = online_code(telling(labels), labels)
    first = 32 * log2(4)  # ends are 32, 63, …
    assert code.bits[0][0] == first
    assert first < code.total.value < 2 * first
    assert code.against_uniform > 30
    assert 0.9 < code.saved.value / (code.null.value - first) <= 1
    assert code.total.low < code.total.value < code.total.high


def test_labels_that_h_does_not_tell_cost_the_uniform_code() -> None:
    labels = codes(2000)
    code = online_code(noise(2000), labels)
    assert 0.99 * code.uniform < code.total.value < 1.05 * code.uniform
    assert code.null.value == pytest.approx(code.uniform, rel=0.02)


def test_h_that_tells_nothing_saves_nothing_though_classes_are_unequal() -> None:
    """The uniform code of one positive in twenty is three times as long, whatever h is."""
    labels = (np.random.default_rng(3).random(2000) < 0.05).astype(int)
    code = online_code(noise(2000), labels)
    assert code.against_uniform > 2.5
    assert abs(code.saved.value) < 0.02 * code.null.value
    assert code.saved.value == pytest.approx(code.null.value - code.total.value)
    told = online_code(telling(labels), labels).saved
    assert told.low > 0.5 * code.null.value


def test_the_null_is_an_intercept_in_the_same_portions() -> None:
    """A regression on a feature that is always 0, mixed alike."""
    labels = codes(200, classes=3)
    code = online_code(noise(200), labels, seeds=(4, 5))
    flat = online_code(np.zeros((200, 1)), labels, seeds=(4, 5))
    for null, constant in zip(code.null_bits, flat.bits, strict=True):
        assert null == pytest.approx(constant, rel=1e-4)
    assert flat.saved.value == pytest.approx(0, abs=0.05)
    assert [len(null) for null in code.null_bits] == [len(code.ends)] * 2


def test_a_representation_that_tells_more_has_the_shorter_code() -> None:
    labels = codes(1000)
    codes_ = [online_code(telling(labels, s), labels, seeds=(0,)) for s in (0.1, 0.5, 1, 4)]
    lengths = [code.total.value for code in codes_]
    assert lengths == sorted(lengths)


def test_what_was_sent_was_chosen_without_later_labels() -> None:
    labels, h = codes(500), telling(codes(500), 0.7)
    [own] = online_code(h, labels, seeds=(5,)).bits
    ends = online_code(h, labels, seeds=(5,)).ends
    order = np.random.default_rng(5).permutation(500)
    for portion, end in enumerate(ends[:-1]):
        later = labels.copy()
        later[order[end:]] = np.random.default_rng(0).permutation(later[order[end:]])
        changed = online_code(h, later, seeds=(5,))
        assert changed.bits[0][: portion + 1] == own[: portion + 1]
        assert changed.bits[0][portion + 1] != own[portion + 1]
        # C of a portion is chosen before it is sent.
        assert (
            changed.strengths[0][:portion]
            == online_code(h, labels, seeds=(5,)).strengths[0][:portion]
        )


def test_the_penalty_is_chosen_by_the_last_fifth() -> None:
    labels = codes(2000, classes=2)
    sent = np.arange(1000)
    assert choose_strength(noise(2000), labels, sent, 2, (1e-4, 1.0)) == 1e-4
    assert choose_strength(telling(labels), labels, sent, 2, (1e-4, 1.0)) == 1.0
    # Where the last fifth says the contrary of the rest, the weakest fit is the best.
    contrary = labels.copy()
    contrary[800:1000] = 1 - contrary[800:1000]
    assert choose_strength(telling(labels), contrary, sent, 2, (1e-4, 1.0)) == 1e-4


def test_classes_that_were_not_sent_yet() -> None:
    labels = np.array([0] * 40 + [1] * 4 + [2] * 20)
    h = noise(64)
    q = probabilities(h, labels, np.arange(44), np.arange(44, 64), 3, 1.0)
    np.testing.assert_allclose(q.sum(1), 1)
    np.testing.assert_allclose(q[:, 2], 1 / (45 * 3))
    # One class alone.
    assert choose_strength(h, labels, np.arange(40), 3, (1.0,)) is None
    q = probabilities(h, labels, np.arange(40), np.arange(40, 42), 3, None)
    np.testing.assert_allclose(q, np.tile(np.array([121, 1, 1]) / 123, (2, 1)))


def test_few_labels_of_many_classes_are_sent_without_a_warning() -> None:
    h = np.random.default_rng(0).normal(size=(120, 3))  # warnings are errors here
    code = online_code(h, np.arange(120) % 30, seeds=[0])
    assert code.classes == 30


def test_the_same_again() -> None:
    labels = codes(200)
    assert online_code(telling(labels, 1), labels) == online_code(telling(labels, 1), labels)


@pytest.mark.parametrize(
    ("h", "labels", "told"),
    [
        (noise(9), np.zeros(9, int), "all the same"),
        (noise(9), codes(8), "9 rows of features and 8"),
    ],
)
def test_what_cannot_be_sent(h: np.ndarray, labels: np.ndarray, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        online_code(h, labels)
