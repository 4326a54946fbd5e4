"""Parts of a representation: its principal components, or what its encoder gives a name."""

import re
from dataclasses import replace

from repr_toolkit.representations.representation import H, Representation
from repr_toolkit.representations.simple import MOST_FITTED
from repr_toolkit.support.choose import choose_evenly


def is_principal(part: str) -> bool:
    """Whether a part is so many principal components, such as `pca10`."""
    return re.fullmatch(r"pca[1-9]\d*", part) is not None


def part_of(h: Representation, part: str) -> Representation:
    """The first n principal components of h for `pcaN`, or the one of `h.parts` of that name.

    The components are of the training images' h, of 20,000 of them, spread evenly, where there are
    more. Raises ValueError for a part that there is not.
    """
    if is_principal(part):
        values = _principal(h, int(part.removeprefix("pca")))
    elif part in h.parts:
        values = {split: rows[:, h.parts[part]] for split, rows in h.h.items()}
    else:
        known = ", ".join([*h.parts, f"pca1 to pca{_most(h)}"])
        raise ValueError(f"the h of {h.name} has no part {part!r}, only {known}")
    name, made_by = f"{h.name}.{part}", f"{h.made_by}, {part}"
    return replace(h, name=name, made_by=made_by, h=values, parts={})


def _most(h: Representation) -> int:
    """The most principal components that h has."""
    return min(h.dim, len(h.h["train"]), MOST_FITTED)


def _principal(h: Representation, components: int) -> dict[str, H]:
    from sklearn.decomposition import PCA

    if components > _most(h):
        raise ValueError(f"the h of {h.name} has {_most(h)} principal components, not {components}")
    rows = choose_evenly(len(h.h["train"]), MOST_FITTED)
    machine = PCA(components, random_state=0).fit(h.h["train"][rows])
    return {split: machine.transform(values) for split, values in h.h.items()}
