"""The order in which images are read: exact across resumes and across numbers of processes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import Sampler

from repr_toolkit.data.binarise import Draw, DrawnIndices
from repr_toolkit.data.images import Array


@dataclass(eq=False)
class StepSampler(Sampler[list[int]]):
    """Batches of training, each a pure function of (seed, step).

    Pass k over the data is the permutation drawn by `numpy.random.default_rng([seed, k])`. Laid end
    to end the passes make one endless sequence, and step t takes its positions
    [t·batch_size, (t+1)·batch_size): batches are always full and run on from one pass into the
    next. Rank r of w processes takes every w-th image of the global batch from the r-th, so that
    any number of processes sees the same global batches.

    Iterating yields the batches, as `DrawnIndices`, from step `steps_taken()` to the end of its
    epoch of `steps_per_epoch` steps. Asking the Trainer for its step makes a resume exact: the
    epoch that it gives to `set_epoch` is one too many after some resumes (from a checkpoint written
    at the end of a training epoch), and comes too late for loaders that read ahead.

    Raises ValueError unless `batch_size` is a positive multiple of `world_size`.
    """

    size: int
    batch_size: int
    steps_per_epoch: int
    seed: int
    rank: int = field(default=0, kw_only=True)
    world_size: int = field(default=1, kw_only=True)
    steps_taken: Callable[[], int] = field(kw_only=True)
    _pass: tuple[int, Array] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.batch_size % self.world_size:
            raise ValueError(
                f"data.batch_size counts the images of all processes together and must be a "
                f"positive multiple of their number, {self.world_size}; got {self.batch_size}"
            )
        if self.steps_per_epoch < 1:
            raise ValueError(f"an epoch needs at least one step, got {self.steps_per_epoch}")

    def batch(self, step: int) -> Array:
        """The global batch of a step: int64 (batch_size,) indices into the split."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        passes, offsets = np.divmod(positions, self.size)
        return np.concatenate(
            [self._permutation(int(k))[offsets[passes == k]] for k in np.unique(passes)]
        )

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        start = self.steps_taken()
        for step in range(start, start + self.steps_per_epoch - start % self.steps_per_epoch):
            indices = self.share(self.batch(step)).tolist()
            yield DrawnIndices(indices, Draw(self.seed, step))

    def share(self, batch: Array) -> Array:
        """The part of a global batch that this process takes."""
        return batch[self.rank :: self.world_size]

    def _permutation(self, k: int) -> Array:
        if self._pass is None or self._pass[0] != k:
            generator = np.random.default_rng([self.seed, k])
            self._pass = k, generator.permutation(self.size)
        return self._pass[1]


class EvenSampler(Sampler[list[int]]):
    """Every image once, in order, shared between processes without padding.

    Rank r of w takes the images r, r + w, r + 2w, …, cut into batches of nearly equal size, at most
    one image more than batch_size / world_size. Every rank has the same number of batches, as
    collective operations in a forward pass need, and no image is counted twice. A mean over images
    is exact when sums and counts are added up over the ranks (`log(…, sync_dist=True)` of Lightning
    truncates the mean of the counts to an integer).

    Raises ValueError if there are fewer images than processes, or fewer in a batch.
    """

    def __init__(self, size: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> None:
        if size < world_size:
            raise ValueError(f"{size} images cannot be shared between {world_size} processes")
        if batch_size < world_size:
            raise ValueError(
                f"data.batch_size counts the images of all processes together and must be at "
                f"least their number, {world_size}; got {batch_size}"
            )
        self.indices = np.arange(rank, size, world_size)
        # The smallest share decides, so that no rank has an empty batch.
        share, smallest = batch_size // world_size, size // world_size
        self.batches = -(-smallest // share)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        for batch in np.array_split(self.indices, self.batches):
            yield batch.tolist()
