"""Batches of P identities × K images: who is in them, exact across resumes and processes."""

from collections import Counter

import numpy as np
import pytest

from repr_toolkit.data.identity_batches import IdentitySampler
from repr_toolkit.data.images import Array

TEN_EACH = np.repeat(np.arange(7), 10)


def sampler(
    identities: Array = TEN_EACH, k: int = 4, batch_size: int = 12, seed: int = 0, step: int = 0
) -> IdentitySampler:
    return IdentitySampler(identities, k, batch_size, 5, seed, steps_taken=lambda: step)


def test_a_batch_holds_p_identities_and_k_different_images_of_each() -> None:
    order = sampler()
    for step in range(20):
        batch = order.batch(step)
        assert batch.shape == (12,)
        assert len(set(batch.tolist())) == 12
        assert sorted(Counter(TEN_EACH[batch].tolist()).values()) == [4, 4, 4]


def test_a_pass_sees_as_many_people_as_fit_once_and_nobody_is_always_left_out() -> None:
    order = sampler()
    seen: Counter[int] = Counter()
    for k in range(30):  # two steps of three people are a pass over seven
        people = [int(p) for step in (2 * k, 2 * k + 1) for p in set(TEN_EACH[order.batch(step)])]
        assert len(set(people)) == 6
        seen.update(people)
    assert min(seen.values()) > 15
    assert len({tuple(order.batch(step)) for step in range(40)}) == 40


def test_batches_follow_from_seed_and_step_alone() -> None:
    one, other = sampler(), sampler()
    expected = [one.batch(step).tolist() for step in range(10)]
    for step in (9, 0, 4, 5):
        assert other.batch(step).tolist() == expected[step]
    assert list(sampler(step=3)) == expected[3:5]  # to the end of the epoch
    assert list(sampler(step=5)) == expected[5:]
    assert sampler(seed=1).batch(0).tolist() != expected[0]


@pytest.mark.parametrize("world", [1, 3])
def test_each_process_gets_whole_identities(world: int) -> None:
    whole = sampler().batch(0)
    shares = []
    for rank in range(world):
        order = IdentitySampler(
            TEN_EACH, 4, 12, 5, 0, rank=rank, world_size=world, steps_taken=lambda: 0
        )
        shares.append(next(iter(order)))
        assert set(Counter(TEN_EACH[shares[-1]].tolist()).values()) == {4}
    assert sorted(np.concatenate(shares)) == sorted(whole)


def test_who_has_few_images_gives_each_of_them_as_often_as_any_other() -> None:
    identities = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2])
    order = sampler(identities, k=5, batch_size=15)
    for step in range(20):
        batch = order.batch(step)
        assert sorted(Counter(identities[batch].tolist()).values()) == [5, 5, 5]
        counts = Counter(batch.tolist())
        assert sorted(counts[i] for i in (0, 1, 2)) == [1, 2, 2]
        assert sorted(counts[i] for i in (3, 4)) == [2, 3]
        assert sum(counts[i] == 1 for i in range(5, 11)) == 5


def test_people_with_one_image_share_a_place_and_are_never_a_pair() -> None:
    identities = np.concatenate([np.repeat([0, 1, 2], 6), np.arange(3, 13)])
    order = sampler(identities, k=4, batch_size=16)
    seen: Counter[int] = Counter()
    for step in range(50):
        batch = order.batch(step)
        assert len(set(batch.tolist())) == 16
        seen.update(identities[batch].tolist())
        counts = Counter(identities[batch].tolist())
        assert set(counts.values()) <= {1, 4}
        assert sum(counts.values()) == 16
    # 3 people and 2 groups of single images for 4 places: each is there in 4 of 5 steps.
    assert min(seen[person] for person in (0, 1, 2)) > 4 * 30
    assert all(seen[person] > 15 for person in range(3, 13))


@pytest.mark.parametrize(
    ("identities", "k", "batch_size", "message"),
    [
        (TEN_EACH, 5, 12, r"data\.batch_size \(12\) must be P identities × data\.images_per_id"),
        (TEN_EACH, 12, 12, r"at least 2 × 2 images"),
        (TEN_EACH, 1, 12, r"at least 2 × 2 images"),
        (TEN_EACH, 4, 32, "needs 8 identities with two images or more, but there are 7"),
        (np.zeros(9, int), 2, 4, "there is one identity only, and a batch needs two"),
        (np.arange(9), 2, 4, "each of the 9 identities has a single image"),
    ],
)
def test_what_cannot_be_a_batch(identities: Array, k: int, batch_size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sampler(identities, k, batch_size)


def test_processes_that_cannot_share_the_identities() -> None:
    with pytest.raises(ValueError, match="P a multiple of the number of processes, 2"):
        IdentitySampler(TEN_EACH, 4, 12, 5, 0, rank=0, world_size=2, steps_taken=lambda: 0)
