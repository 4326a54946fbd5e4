"""Parts of a representation: its principal components, or what its encoder gives a name."""

from collections.abc import Iterable
from dataclasses import replace

from repr_toolkit.representations.names import is_principal
from repr_toolkit.representations.representation import H, Representation
from repr_toolkit.representations.simple import MOST_FITTED
from repr_toolkit.support.choose import choose_evenly


def require_part(part: str, name: str, parts: Iterable[str], dim: int, images: int) -> None:
    """Raise ValueError unless an h has a part: one of `parts`, or so many principal components.

    h is `name`'s, of `dim` numbers and so many training `images`.
    """
    most = min(dim, images, MOST_FITTED)
    if is_principal(part) and int(part.removeprefix("pca")) > most:
        raise ValueError(f"the h of {name} has {most} principal components, not {part[3:]}")
    if not is_principal(part) and part not in parts:
        known = ", ".join([*parts, f"pca1 to pca{most}"])
        raise ValueError(f"the h of {name} has no part {part!r}, only {known}")


def part_of(h: Representation, part: str) -> Representation:
    """The first n principal components of h for `pcaN`, or the one of `h.parts` of that name.

    The components are of the training images' h, of 20,000 of them, spread evenly, where there are
    more. Raises ValueError for a part that there is not.
    """
    require_part(part, h.name, h.parts, h.dim, len(h.h["train"]))
    if is_principal(part):
        values = _principal(h, int(part.removeprefix("pca")))
    else:
        values = {split: rows[:, h.parts[part]] for split, rows in h.h.items()}
    name, made_by = f"{h.name}.{part}", f"{h.made_by}, {part}"
    return replace(h, name=name, made_by=made_by, h=values, parts={})


def _principal(h: Representation, components: int) -> dict[str, H]:
    from sklearn.decomposition import PCA

    rows = choose_evenly(len(h.h["train"]), MOST_FITTED)
    machine = PCA(components, random_state=0).fit(h.h["train"][rows])
    return {split: machine.transform(values) for split, values in h.h.items()}
