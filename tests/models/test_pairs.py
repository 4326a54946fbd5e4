"""The verification protocol against values by hand, scikit-learn, and plain loops."""

import json
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from repr_toolkit.models.pairs import (
    Codes,
    Floats,
    Pairs,
    auc_without,
    best_threshold,
    fold_accuracies,
    make_pairs,
    nearest_neighbour,
    roc_auc,
    similarities,
    spread,
    tar_without,
    true_accept_rate,
    unit_vectors,
)
from repr_toolkit.models.verification import verify
from repr_toolkit.support.stats import share


def clusters(
    people: int = 12, images: int = 6, noise: float = 0.8, seed: int = 0
) -> tuple[Floats, Codes]:
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


def test_without_each_person_it_is_what_their_images_did_not_make() -> None:
    """AUC and TAR of all pairs that a person is in neither side of, ties included."""
    h, people = clusters(people=6, images=5, noise=1.5)
    people[:4] = 100 + np.arange(4)  # people of unequal numbers of images
    pairs = make_pairs(people)
    scores = similarities(h, pairs).round(2)
    members = np.unique(people, return_inverse=True)[1]
    whose = members[pairs.first], members[pairs.second]
    without_auc = auc_without(scores, pairs.same, *whose, 6)
    without_tar = tar_without(scores, pairs.same, *whose, 6, 0.1)
    for person in range(6):
        kept = (whose[0] != person) & (whose[1] != person)
        assert without_auc[person] == pytest.approx(roc_auc_score(pairs.same[kept], scores[kept]))
        expected = true_accept_rate(scores[kept], pairs.same[kept], 0.1)
        assert without_tar[person] == expected


def test_intervals_are_over_people() -> None:
    """They say how many, are none below five, and 1-NN's is not that of independent images."""
    for count in (4, 5, 10):
        result = verify(*clusters(people=count, images=6, noise=1.5))
        for number in (result.auc.number, result.one_nn):
            assert (number.low is not None) == (count > 4)
            assert f"{count} people" in number.how
    number = result.one_nn
    assert number.how == (
        "Korn and Graubard's over 10 people, 60 images (fewer than 30: with caution)"
    )
    assert number.count == 10
    alone = share(np.arange(60) < round(60 * number.value))
    assert number.low < alone.low
    assert verify(*clusters(people=2)).auc.number.how == "no interval: 2 people are fewer than 5"


def test_folds_that_share_people_have_no_interval() -> None:
    few, many = (verify(*clusters(people=n, images=6)).accuracy for n in (10, 60))
    assert few is not None
    assert many is not None
    assert (few.error, few.how) == (
        None,
        "no interval: people are too few for folds that share none",
    )
    assert many.error is not None
    assert many.low < many.value < many.high


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
    unit = unit_vectors(h)
    two = KNeighborsClassifier(2).fit(unit, people).kneighbors(return_distance=False)
    expected = people[two[:, 0]] == people
    hits, asked = nearest_neighbour(h, people)
    np.testing.assert_array_equal(hits, expected)
    assert len(asked) == len(h)
    assert 0.3 < expected.mean() < 1


def test_who_is_alone_is_no_query_but_can_be_mistaken_for_others() -> None:
    h = np.array([[1.0, 0], [1, 0.5], [1, 0.1], [0, 1]])
    people = np.array([0, 0, 1, 2])
    hits, asked = nearest_neighbour(h, people)
    assert (hits.tolist(), asked.tolist()) == ([False, False], [0, 1])  # 2 is nearer to both
    hits, asked = nearest_neighbour(h[[0, 1, 3]], people[[0, 1, 3]])
    assert (hits.tolist(), asked.tolist()) == ([True, True], [0, 1])


def test_spread() -> None:
    assert spread(np.eye(4)) == pytest.approx(1)
    assert spread(np.array([[1.0, 0], [-2, 0]])) == pytest.approx(2)
    assert spread(np.ones((5, 3))) == 0
    h, _ = clusters()
    unit = unit_vectors(h)
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
    hits, asked = nearest_neighbour(h, people)
    assert result.one_nn == share(hits, (people[asked], "people"))
    assert result.tar[1e-2] is not None
    assert result.tar[1e-3] is not None
    assert result.tar[1e-3].value < result.tar[1e-2].value
    assert result.tar[1e-2].low < result.tar[1e-2].value < result.tar[1e-2].high
    false, true = result.curve
    assert np.trapezoid(true, false) == pytest.approx(result.auc.value)
    numbers = json.loads(json.dumps(result.as_dict()))
    assert set(numbers["tar"]) == {"0.01", "0.001"}
    accuracies, _ = fold_accuracies(similarities(h, pairs), pairs, people)
    assert accuracies is not None
    assert numbers["accuracy"]["value"] == accuracies.mean()
    assert numbers["accuracy"]["error"] == pytest.approx(accuracies.std(ddof=1) / np.sqrt(10))


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
