"""The unit in which likelihoods of images of two levels are published."""

from math import log


def nats_for_a_bit(dims: int | None, levels: int | None) -> float | None:
    """Nats an image for a bit/dim, of `dims` sub-pixels of two levels; None of other levels.

    None as well where a result or a configuration does not say which they are.

    >>> round(nats_for_a_bit(784, 2), 4), nats_for_a_bit(784, 16)
    (543.4274, None)
    """
    return dims * log(2) if dims and levels == 2 else None
