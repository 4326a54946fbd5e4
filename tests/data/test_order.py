"""The order of batches: a pure function of (seed, step), for every number of processes."""

import numpy as np
import pytest

from repr_toolkit.data.order import EvenSampler, StepSampler


def sequence(size: int, batch_size: int, steps: int, seed: int) -> list[list[int]]:
    """The endless sequence of permutations, written the plain way."""
    passes = -(-steps * batch_size // size)
    endless = np.concatenate(
        [np.random.default_rng([seed, k]).permutation(size) for k in range(passes)]
    )
    return endless[: steps * batch_size].reshape(steps, batch_size).tolist()


class Training:
    """A trainer's step, and the batches that it reads epoch by epoch."""

    def __init__(self, *arguments: int, step: int = 0, **options: int) -> None:
        self.step = step
        self.sampler = StepSampler(*arguments, **options, steps_taken=lambda: self.step)

    def read(self, epochs: int) -> list[list[int]]:
        batches = []
        for _ in range(epochs):
            batches += list(self.sampler)
            self.step += self.sampler.steps_per_epoch - self.step % self.sampler.steps_per_epoch
        return batches


@pytest.mark.parametrize(("size", "batch_size"), [(10, 4), (10, 10), (7, 3), (3, 8), (1, 2)])
@pytest.mark.parametrize("steps_per_epoch", [1, 5])
def test_epochs_lie_end_to_end(size: int, batch_size: int, steps_per_epoch: int) -> None:
    training = Training(size, batch_size, steps_per_epoch, seed=3)
    assert len(training.sampler) == steps_per_epoch
    expected = sequence(size, batch_size, 4 * steps_per_epoch, seed=3)
    assert training.read(epochs=4) == expected
    assert expected != sequence(size, batch_size, 4 * steps_per_epoch, seed=4) or size == 1


def test_every_pass_sees_every_image_once_in_a_new_order() -> None:
    flat = np.concatenate(Training(12, 4, 3, seed=0).read(epochs=5)).reshape(5, 12)
    assert (np.sort(flat) == np.arange(12)).all()
    assert len(np.unique(flat, axis=0)) == 5


@pytest.mark.parametrize("step", range(12))
def test_resuming_at_any_step_continues_the_sequence(step: int) -> None:
    resumed = Training(7, 3, 4, seed=5, step=step)
    assert resumed.read(epochs=3 - step // 4) == sequence(7, 3, 12, seed=5)[step:]


def test_a_batch_does_not_depend_on_what_was_read_before() -> None:
    sampler = Training(7, 3, 4, seed=5).sampler
    whole = sequence(7, 3, 12, seed=5)
    for step in (11, 0, 7, 3, 2):
        assert sampler.batch(step).tolist() == whole[step]


@pytest.mark.parametrize("world_size", [1, 2, 3, 6])
def test_ranks_together_have_the_global_batches(world_size: int) -> None:
    ranks = [
        Training(11, 6, 4, 0, rank=rank, world_size=world_size).read(epochs=3)
        for rank in range(world_size)
    ]
    for step, batch in enumerate(sequence(11, 6, 12, seed=0)):
        together = np.stack([rank[step] for rank in ranks], axis=1).flatten()
        assert together.tolist() == batch


@pytest.mark.parametrize(("batch_size", "world_size"), [(5, 2), (0, 1), (2, 4)])
def test_batches_that_cannot_be_shared_are_refused(batch_size: int, world_size: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of their number, {world_size}"):
        Training(10, batch_size, 1, 0, world_size=world_size)


def test_an_epoch_needs_a_step() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        Training(10, 2, 0, 0)


@pytest.mark.parametrize("size", [1, 5, 12, 13, 23])
@pytest.mark.parametrize("batch_size", [1, 4, 5, 30])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_validation_counts_every_image_once(size: int, batch_size: int, world_size: int) -> None:
    if size < world_size or batch_size < world_size:
        with pytest.raises(ValueError, match=str(world_size)):
            EvenSampler(size, batch_size, world_size=world_size)
        return
    ranks = [
        EvenSampler(size, batch_size, rank=r, world_size=world_size) for r in range(world_size)
    ]
    batches = [list(rank) for rank in ranks]
    assert len({len(b) for b in batches}) == 1
    assert all(len(r) == len(b) for r, b in zip(ranks, batches, strict=True))
    sizes = [len(batch) for rank in batches for batch in rank]
    assert min(sizes) >= 1
    assert max(sizes) <= batch_size // world_size + 1
    flat = [i for rank in batches for batch in rank for i in batch]
    assert sorted(flat) == list(range(size))
    if world_size == 1:
        assert flat == list(range(size))
