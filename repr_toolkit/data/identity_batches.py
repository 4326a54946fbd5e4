"""Batches of P identities × K images, as training by triplets needs them."""

from collections.abc import Callable, Sequence

import numpy as np

from repr_toolkit.data.images import Array, ImageData
from repr_toolkit.data.order import StepSampler


def identity_key(data: ImageData) -> str:
    """The batch key that says who is in an image: ``identity``, or ``label`` where there is none.

    Raises ValueError, naming the keys that there are, for data with neither.
    """
    for key in ("identity", "label"):
        if key in data.arrays:
            return key
    raise ValueError(
        f"{data.name} says of no image who is in it: it has {', '.join(data.arrays)}, but neither "
        f"identity nor label; a folder with a sub-folder for each person has"
    )


def people_trained_on(data: ImageData, split: str) -> int:
    """How many of the people of a split are in training too: none where it is cut by person."""
    key = identity_key(data)
    trained, others = (data.splits[name].column(key).numpy() for name in ("train", split))
    return len(np.intersect1d(trained, others))


class IdentitySampler(StepSampler):
    """Batches of P = batch_size / K identities × K images, each a pure function of (seed, step).

    ``identities`` holds the code of every image of the split, int64 (N,). A pass over the people is
    a random order of all of them, cut into steps of P; the fewer than P who are left over wait for
    the next pass. Every step draws K images of each of its people without replacement; of one who
    has fewer, all of them are taken, each as often as any other, give or take one.

    Who has a single image has no positive pair, and so is in the batches only to be told from
    others: K such people together take one person's place.

    An identity's K images (or a place's K people) go to one process, so that the number of
    processes must divide P. Everything else is as in StepSampler.

    Raises ValueError where batch_size is no multiple of K, where a batch would hold fewer than two
    identities or they cannot be shared, and for data with fewer than P people or with nobody
    who has two images.
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
        places, rest = divmod(batch_size, images_per_identity)
        if images_per_identity < 2 or rest or places < 2 or places % world_size:
            raise ValueError(
                f"data.batch_size ({batch_size}) must be P identities × data.images_per_identity "
                f"({images_per_identity}): at least 2 × 2 images, and P a multiple of the number "
                f"of processes, {world_size}"
            )
        unique, members = np.unique(identities, return_inverse=True)
        of_person = np.split(
            np.argsort(members, kind="stable"), np.cumsum(np.bincount(members))[:-1]
        )
        self.images_per_identity = images_per_identity
        self.places = places
        self._people: Sequence[Array] = [images for images in of_person if len(images) > 1]
        alone = [images for images in of_person if len(images) == 1]
        self._alone: Array = np.concatenate(alone) if alone else np.empty(0, np.int64)
        self._choices = len(self._people) + len(self._alone) // images_per_identity
        if len(unique) < 2:
            raise ValueError("there is one identity only, and it takes two to tell any")
        if not self._people:
            raise ValueError(f"each of the {len(unique)} identities has a single image: no pair")
        if self._choices < places:
            raise ValueError(
                f"a batch of {batch_size} images, {images_per_identity} of each identity, needs "
                f"{places} identities with two images or more, but there are "
                f"{len(self._people)}; lower data.batch_size or raise data.images_per_identity"
            )

    def batch(self, step: int) -> Array:
        """The global batch of a step: int64 (batch_size,) indices, K to a place, place by place."""
        k, part = divmod(step, self._choices // self.places)
        order, alone = self._orders(k)
        # Of a stream of its own: the passes are drawn from [seed, k].
        generator = np.random.default_rng([self.seed, step, 1])
        chosen = order[part * self.places : (part + 1) * self.places]
        return np.concatenate([self._images(int(choice), alone, generator) for choice in chosen])

    def share(self, batch: Array) -> Array:
        """The places of a global batch that this process takes, whole."""
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
        return np.resize(images, k)  # from the beginning again where there are fewer
