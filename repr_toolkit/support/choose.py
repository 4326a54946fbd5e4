"""Chooses the images to look at, without regard to any result."""

import torch
from torch import Tensor


def choose_evenly(count: int, wanted: int) -> list[int]:
    """`wanted` indices, or all if there are fewer, spread evenly over 0…count−1, ascending."""
    wanted = min(wanted, count)
    return [index * count // wanted for index in range(wanted)]


def choose_originals(count: int, wanted: int, labels: Tensor | None = None) -> list[int]:
    """The indices of the images to show, out of `count`: the same for every model.

    With `labels` (int64 (count,)) of at least two classes, the first image of each class, then the
    second of each, and so on up to `wanted`, ordered by class; of more than `wanted` classes, some
    spread evenly. Otherwise images spread evenly (`choose_evenly`).
    """
    classes = [] if labels is None else torch.unique(labels).tolist()
    if labels is None or len(classes) < 2:
        return choose_evenly(count, wanted)
    members = [(labels == code).nonzero().flatten().tolist() for code in classes]
    members = [members[index] for index in choose_evenly(len(classes), wanted)]
    ranked = [
        (rank, code, index)
        for code, indices in enumerate(members)
        for rank, index in enumerate(indices)
    ]
    shown = sorted(sorted(ranked)[:wanted], key=lambda item: (item[1], item[0]))
    return [index for _, _, index in shown]


def other_images(count: int, seed: int = 0) -> Tensor:
    """The index of another image for each of `count` images, int64 (count,).

    The images form one random cycle, and each gets its successor. Raises ValueError for fewer than
    two images.
    """
    if count < 2:
        raise ValueError(f"another image's h needs at least two images, not {count}")
    cycle = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    others = torch.empty_like(cycle)
    others[cycle] = cycle.roll(-1)
    return others


OTHER_H = (
    "Each image gets the h of another image, one that differs from its own. If more than half of "
    "the images share one h, only the images that got a different h count."
)
"""How `other_h` gives each image another's h, in words."""


def other_h(h: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """For each of N images one whose h is another, int64 (N,), and where it is, bool (N,).

    h is (N, …). The images are permuted by `other_images`, and where this gives one an h equal to
    its own, it exchanges it with one drawn from those that either may have the other's. With more
    than half of the images of one h this cannot be: then they form the random cycle alone, and
    the mean of a difference holds over the images that were given another h, which is its mean over
    all of them divided by their share. Raises as `other_images` does.
    """
    others = other_images(len(h), seed)
    codes = torch.unique(h.flatten(1), dim=0, return_inverse=True)[1]
    given = codes[others]
    if 2 * int(codes.bincount().max()) <= len(codes):
        draw = torch.Generator().manual_seed(seed)
        for image in (given == codes).nonzero().flatten().tolist():
            code = codes[image]
            if given[image] != code:  # by an earlier exchange
                continue
            free = ((codes != code) & (given != code)).nonzero().flatten()
            pair = [image, int(free[torch.randint(len(free), (), generator=draw)])]
            for table in (others, given):
                table[pair] = table[pair[::-1]]
    return others, given != codes
