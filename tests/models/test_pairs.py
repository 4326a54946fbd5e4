"""The verification protocol against values by hand, scikit-learn, and plain loops."""

import json
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from repr_toolkit.models import pairs as verification
from repr_toolkit.models.pairs import (
    Pairs,
    auc_replicates,
    best_threshold,
    fold_accuracies,
    make_pairs,
    nearest_neighbour,
    roc_auc,
    similarities,
    spread,
    true_accept_rate,
    verify,
)
from repr_toolkit.support.stats import wilson


def clusters(
    people: int = 12, images: int = 6, noise: float = 0.8, seed: int = 0
) -> tuple[verification.Floats, verification.Codes]:
    """Noisy copies of one random vector a person, shuffled."""
    draw = np.random.default_rng(seed)
    codes = draw.permutation(np.repeat(np.arange(people), images)) + 100
    centres = draw.standard_normal((people, 8))
    return centres[codes - 100] + noise * draw.standard_normal((len(codes), 8)), codes


def as_set(pairs: Pairs) -> dict[frozenset[int], bool]:
    found = [frozenset(pair) for pair in zip(pairs.first, pairs.second, strict=True)]
    assert len(set(found)) == len(found)  # each once
    return dict(zip(found, pairs.same.tolist(), strict=True))


# Pairs


def test_all_pairs_are_made_once() -> None:
    people = np.array([4, 7, 4, 9, 7, 4])
    expected = {frozenset((i, j)): people[i] == people[j] for i, j in combinations(range(6), 2)}
    assert as_set(make_pairs(people)) == expected


def test_of_many_pairs_some_are_drawn_evenly() -> None:
    people = np.repeat([0, 1, 2], [30, 10, 1])  # 480 same pairs, 340 different
    counts = np.zeros((41, 41))
    for seed in range(200):
        drawn = make_pairs(people, most_pairs=50, seed=seed)
        assert (drawn.same.sum(), (~drawn.same).sum()) == (50, 50)
        assert all(same == (len({*people[list(p)]}) == 1) for p, same in as_set(drawn).items())
        np.add.at(counts, (drawn.first, drawn.second), 1)
    counts += counts.T
    of_30, of_10 = counts[:30, :30].sum() / 2, counts[30:40, 30:40].sum() / 2
    assert of_30 / (200 * 50) == pytest.approx(435 / 480, abs=0.02)
    assert of_30 + of_10 == 200 * 50
    assert counts[:40, 40].sum() / (200 * 50) == pytest.approx(40 / 340, abs=0.02)
    again = make_pairs(people, most_pairs=50, seed=3)
    assert as_set(again) == as_set(make_pairs(people, most_pairs=50, seed=3))
    assert as_set(again) != as_set(make_pairs(people, most_pairs=50, seed=4))


@pytest.mark.parametrize(
    ("people", "kind"), [([3, 3, 3], "of two people"), ([1, 2, 3], "of one person")]
)
def test_both_kinds_of_pairs_are_needed(people: list[int], kind: str) -> None:
    with pytest.raises(ValueError, match=f"there is no pair {kind}"):
        make_pairs(np.array(people))


def test_similarities_are_cosines() -> None:
    h = np.array([[3.0, 4.0], [4.0, 3.0], [-6.0, -8.0], [0.0, 0.0]])
    pairs = Pairs(np.array([0, 0, 1, 3]), np.array([1, 2, 1, 0]), np.zeros(4, bool))
    assert similarities(h, pairs) == pytest.approx([24 / 25, -1, 1, 0])


# Numbers


def test_auc_by_hand_and_by_scikit_learn() -> None:
    scores, same = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    assert roc_auc(scores, same) == (1 + 1 + 0.5 + 1) / 4  # the tie counts half
    draw = np.random.default_rng(0)
    scores, same = draw.integers(0, 40, 500) / 40, draw.random(500) < 0.3
    assert roc_auc(scores, same) == pytest.approx(roc_auc_score(same, scores))


def test_the_bootstrap_draws_people() -> None:
    """One replicate written plainly: pairs counted as often as their people were drawn."""
    h, people = clusters(people=5, images=3)
    pairs = make_pairs(people)
    scores = similarities(h, pairs)
    drawn = np.random.default_rng(7).multinomial(5, np.full(5, 0.2))
    replicate = auc_replicates(scores, pairs, people, count=1, seed=7)[0]
    kept, labels = [], []
    for i, j, same, score in zip(pairs.first, pairs.second, pairs.same, scores, strict=True):
        a, b = drawn[people[i] - 100], drawn[people[j] - 100]
        times = a if same else a * b
        kept += [score] * times
        labels += [same] * times
    assert replicate == pytest.approx(roc_auc_score(labels, kept))


def test_the_bootstrap_is_as_wide_as_other_people_differ() -> None:
    """People differ, so that an interval from pairs as if independent would be far too narrow."""
    draw = np.random.default_rng(5)
    aucs, low, high = [], [], []
    for _ in range(40):
        people = np.repeat(np.arange(10), 6)
        centres = draw.standard_normal((10, 4)) * draw.uniform(0.2, 2, (10, 1))
        h = centres[people] + 0.5 * draw.standard_normal((60, 4))
        result = verify(h, people)
        aucs.append(result.auc.value)
        low.append(result.auc.low)
        high.append(result.auc.high)
    width = np.mean(high) - np.mean(low)
    assert 0.5 < width / (4 * np.std(aucs)) < 1.5
    assert all(a <= b <= c for a, b, c in zip(low, aucs, high, strict=True))


def test_few_people_have_no_interval() -> None:
    """Of two people every sample that has both gives the same AUC: no certainty, but no news."""
    for people, enough in ((2, False), (9, False), (10, True)):
        result = verify(*clusters(people=people))
        assert (result.auc.low is not None) == enough
        assert ("low" in result.as_dict()["auc"]) == enough
        assert (result.flat_numbers()["auc_interval_low"] is not None) == enough
    assert np.ptp(verify(*clusters(people=2)).replicates) == 0
    low, high = np.quantile(result.replicates, [0.025, 0.975])
    assert (result.auc.low, result.auc.high) == (low, high)


def test_the_threshold_is_the_best_there_is() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.6])
    assert best_threshold(scores, np.array([0, 0, 1, 0, 1]) > 0) == pytest.approx(0.5)
    assert best_threshold(scores, np.ones(5) > 0) == 0.1
    assert best_threshold(scores, np.zeros(5) > 0) > 0.6
    draw = np.random.default_rng(1)
    for _ in range(50):
        scores, same = draw.integers(0, 12, 30) / 12, draw.random(30) < 0.5
        right = ((scores >= best_threshold(scores, same)) == same).mean()
        assert right == max(((scores >= t) == same).mean() for t in [*scores, 2])


def test_accuracy_with_people_apart() -> None:
    """Every number again from what the docstring says, with loops."""
    h, people = clusters(people=24, images=4)
    pairs = make_pairs(people)
    scores = similarities(h, pairs)
    accuracies, disjoint = fold_accuracies(scores, pairs, people)
    assert disjoint
    assert accuracies is not None
    assert accuracies.shape == (10,)
    fold_of = dict(zip(range(100, 124), np.random.default_rng(0).permutation(24) % 10, strict=True))
    sizes = {
        fold: min(
            sum(
                fold_of[people[i]] == fold_of[people[j]] == fold and s == kind
                for i, j, s in zip(pairs.first, pairs.second, pairs.same, strict=True)
            )
            for kind in (True, False)
        )
        for fold in range(10)
    }
    for fold, accuracy in enumerate(accuracies):  # a share of as many pairs of either kind
        assert accuracy * 2 * sizes[fold] == pytest.approx(round(accuracy * 2 * sizes[fold]))
    assert 0.75 < accuracies.mean() < 1


def test_accuracy_is_perfect_or_chance_where_it_must_be() -> None:
    h, people = clusters(people=30, noise=1e-3)
    result = verify(h, people)
    assert result.accuracy is not None
    assert (result.accuracy.value, result.accuracy.error, result.auc.value) == (1, 0, 1)
    random = np.random.default_rng(0).standard_normal(h.shape)
    result = verify(random, people)
    assert result.accuracy is not None
    assert result.accuracy.value == pytest.approx(0.5, abs=0.06)
    assert result.auc.value == pytest.approx(0.5, abs=0.04)


def test_few_people_share_the_folds_and_few_pairs_have_none() -> None:
    h, people = clusters(people=10)
    pairs = make_pairs(people)
    accuracies, disjoint = fold_accuracies(similarities(h, pairs), pairs, people)
    assert accuracies is not None
    assert (accuracies.shape, disjoint) == ((10,), False)
    result = verify(h[:5], np.array([0, 0, 1, 1, 2]))
    assert result.accuracy is None
    assert result.flat_numbers()["accuracy_error"] is None


def test_true_accepts_at_a_rate_of_false_ones() -> None:
    others = np.arange(1000) / 1000
    same = np.array([0.5, 0.985, 0.9895, 0.9995])
    scores = np.concatenate([others, same])
    flags = np.arange(1004) >= 1000
    assert true_accept_rate(scores, flags, 1e-2) == 2 / 4  # above 0.989: ten of 1,000 others
    assert true_accept_rate(scores, flags, 1e-3) is None  # 10,000 are needed
    assert true_accept_rate(scores[1:], flags[1:], 1e-2) is None  # 999 are too few
    assert true_accept_rate(scores, flags, 0.4) == 3 / 4


def test_the_nearest_neighbour_is_scikit_learns() -> None:
    h, people = clusters(noise=1.0)
    unit = verification.unit_vectors(h)
    two = KNeighborsClassifier(2).fit(unit, people).kneighbors(return_distance=False)
    expected = int((people[two[:, 0]] == people).sum())
    assert nearest_neighbour(h, people) == (expected, len(h))
    assert 0.3 < expected / len(h) < 1


def test_who_is_alone_is_no_query_but_can_be_mistaken_for_others() -> None:
    h = np.array([[1.0, 0], [1, 0.5], [1, 0.1], [0, 1]])
    people = np.array([0, 0, 1, 2])
    assert nearest_neighbour(h, people) == (0, 2)  # 2 is nearer to both
    assert nearest_neighbour(h[[0, 1, 3]], people[[0, 1, 3]]) == (2, 2)


def test_spread() -> None:
    assert spread(np.eye(4)) == pytest.approx(1)
    assert spread(np.array([[1.0, 0], [-2, 0]])) == pytest.approx(2)
    assert spread(np.ones((5, 3))) == 0
    h, _ = clusters()
    unit = verification.unit_vectors(h)
    cosines = (unit @ unit.T)[np.triu_indices(len(h), 1)]
    assert spread(h) == pytest.approx(1 - cosines.mean())
    near = 1 + 1e-6 * h.astype(np.float32)
    assert 0 < spread(near) < 1e-10


def test_the_whole_protocol() -> None:
    h, people = clusters(people=46, images=5)
    result = verify(h, people)
    pairs = make_pairs(people)
    assert (result.images, result.people) == (230, 46)
    assert (result.same_pairs, result.different_pairs) == (460, 230 * 229 // 2 - 460)
    assert result.auc.value == pytest.approx(roc_auc_score(pairs.same, similarities(h, pairs)))
    correct, queries = nearest_neighbour(h, people)
    assert result.one_nn == wilson(correct, queries)
    assert result.tar[1e-2] is not None
    assert result.tar[1e-3] is not None
    assert result.tar[1e-3] < result.tar[1e-2]
    false, true = result.curve
    assert np.trapezoid(true, false) == pytest.approx(result.auc.value)
    numbers = json.loads(json.dumps(result.as_dict()))
    assert set(numbers["tar"]) == {"0.01", "0.001"}
    accuracies, _ = fold_accuracies(similarities(h, pairs), pairs, people)
    assert accuracies is not None
    assert numbers["accuracy"]["value"] == accuracies.mean()
    assert numbers["accuracy"]["error"] == accuracies.std(ddof=1) / np.sqrt(10)


def test_length_and_order_of_h_do_not_matter() -> None:
    h, people = clusters()
    order = np.random.default_rng(2).permutation(len(h))
    lengths = np.random.default_rng(3).uniform(0.1, 9, (len(h), 1))
    one, other = verify(h, people), verify((h * lengths)[order], people[order])
    assert other.auc.value == pytest.approx(one.auc.value)
    assert other.one_nn == one.one_nn


def test_what_cannot_be_verified() -> None:
    h, people = clusters()
    with pytest.raises(ValueError, match="72 representations, but 71"):
        verify(h, people[1:])
    h[3, 2] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        verify(h, people)
