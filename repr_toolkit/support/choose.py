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
