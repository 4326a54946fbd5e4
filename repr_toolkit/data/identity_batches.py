"""Batches of P identities × K images, as training by triplets needs them."""

from collections.abc import Callable

import numpy as np

from repr_toolkit.data.images import Array, ImageData
from repr_toolkit.data.order import StepSampler


def identity_key(data: ImageData) -> str:
    """The batch key that says who is in an image: `identity`, or `label` in data without it.

    Raises ValueError, which names the keys, for data with neither.
    """
    for key in ("identity", "label"):
        if key in data.arrays:
            return key
    raise ValueError(
        f"{data.name} says of no image who is in it: it has {', '.join(data.arrays)}, but neither "
        f"identity nor label; a folder with a sub-folder for each person has"
    )


def people_trained_on(data: ImageData, split: str) -> int:
    """How many people of a split are in training too: none if the splits are cut by person."""
    key = identity_key(data)
    trained, others = (data.splits[name].column(key).numpy() for name in ("train", split))
    return len(np.intersect1d(trained, others))


class IdentitySampler(StepSampler):
    """Batches of P = batch_size / K identities × K images, each a pure function of (seed, step).

    `identities` holds the code of every image of the split, int64 (N,). A pass over the people is
    a random order of all of them, cut into steps of P; the fewer than P who are left over wait for
    the next pass. Every step draws K images of each of its people without replacement. A person
    with fewer than K gives all of them, each as often as any other, plus or minus one.

    People with a single image have no positive pair and serve only as negatives: K of them
    together take the place of one person.

    The K images of a place go to one process, so that the number of processes must divide P.
    Everything else is as in StepSampler.

    Raises ValueError if batch_size is no multiple of K, if a batch would hold fewer than two
    identities or they cannot be shared, and for data with fewer than P people or with no person who
    has two images.
    """

    def __init__(
        self,
        identities: Array,
        images_per_identity: int,
        batch_size: int,
        steps_per_epoch: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        steps_taken: Callable[[], int],
    ) -> None:
        super().__init__(
            len(identities),
            batch_size,
            steps_per_epoch,
            seed,
            rank=rank,
            world_size=world_size,
            steps_taken=steps_taken,
        )
        places, rest = divmod(self.batch_size, images_per_identity)
        if images_per_identity < 2 or rest or places < 2 or places % self.world_size:
            raise ValueError(
                f"data.batch_size ({self.batch_size}) must be P identities × "
                f"data.images_per_identity ({images_per_identity}): at least 2 × 2 images, and P a "
                f"multiple of the number of processes, {self.world_size}"
            )
        unique, members, counts = np.unique(identities, return_inverse=True, return_counts=True)
        by_person = np.split(np.argsort(members, kind="stable"), np.cumsum(counts)[:-1])
        self.images_per_identity = images_per_identity
        self.places = places
        self._people = [images for images in by_person if len(images) > 1]
        self._alone = np.array([images[0] for images in by_person if len(images) == 1], np.int64)
        self._choices = len(self._people) + len(self._alone) // images_per_identity
        if len(unique) < 2:
            raise ValueError("there is one identity only, and a batch needs two to compare")
        if not self._people:
            raise ValueError(f"each of the {len(unique)} identities has a single image: no pair")
        if self._choices < places:
            raise ValueError(
                f"a batch of {self.batch_size}, {images_per_identity} of each identity, needs "
                f"{places} identities with two images or more, but there are "
                f"{len(self._people)}; lower data.batch_size or raise data.images_per_identity"
            )

    def batch(self, step: int) -> Array:
        """The global batch of a step: int64 (batch_size,) indices, K to a place, place by place."""
        k, part = divmod(step, self._choices // self.places)
        order, alone = self._orders(k)
        # Another stream than that of the passes, [seed, k].
        generator = np.random.default_rng([self.seed, step, 1])
        chosen = order[part * self.places : (part + 1) * self.places]
        return np.concatenate([self._images(int(choice), alone, generator) for choice in chosen])

    def share(self, batch: Array) -> Array:
        """The whole places of a global batch that this process takes."""
        shared: Array = batch.reshape(self.places, self.images_per_identity)
        return shared[self.rank :: self.world_size].reshape(-1)

    def _orders(self, k: int) -> tuple[Array, Array]:
        """The order of a pass: numbers of people and, above them, of groups of single images."""
        generator = np.random.default_rng([self.seed, k])
        return generator.permutation(self._choices), generator.permutation(self._alone)

    def _images(self, choice: int, alone: Array, generator: np.random.Generator) -> Array:
        k = self.images_per_identity
        if choice >= len(self._people):
            start = (choice - len(self._people)) * k
            return alone[start : start + k]
        images = generator.permutation(self._people[choice])
        return np.resize(images, k)  # repeats them if there are fewer
