"""How near to where h says things stand in the samples of one run."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from repr_toolkit.support.stats import Number, bootstrap, wilson

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Placement:
    """The scores of a run's samples, one sample of the h of each held-out image.

    Attributes:
        facts: Run, data and their fingerprint, split, seed, temperature; the batch `key` that h is
            made of, what the mean of the scores is (`measure`), whether each is 0 or 1 (`share`).
        scores: float64 (N,): of the samples against their own h ("own_h"), of the samples against
            another image's h ("other_h"), and of the images themselves ("real").
        pictured: See `arrays`.
        minus_first: The run that this one was compared to, and the difference of "own_h".
    """

    facts: dict[str, Any]
    scores: dict[str, Array]
    pictured: dict[str, Array]
    minus_first: tuple[str, Number] | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """The options that the scores depend on."""
        options = {name: self.facts[name] for name in ("split", "seed", "temperature")}
        asked = {**options, "images": len(self.scores["own_h"])}
        return asked if self.minus_first is None else {**asked, "minus": self.minus_first[0]}

    def as_dict(self) -> dict[str, Any]:
        """The means, their intervals, and the protocol, ready for JSON."""
        numbers = {**self.facts, "images": len(self.scores["own_h"])}
        for name, scores in self.scores.items():
            share = self.facts["share"]
            mean = wilson(int(scores.sum()), len(scores)) if share else bootstrap(scores)
            numbers[name] = mean.as_dict()
        if self.minus_first is not None:
            first, difference = self.minus_first
            numbers["minus_first"] = {"run": first, **difference.as_dict()}
        return numbers

    def arrays(self) -> dict[str, Array]:
        """The scores of each image, and what the pictures show.

        `own_h`, `other_h` and `real` float64 (N,). Of some images of different h `image` uint8
        (rows, C, H, W), samples of their h `sample` uint8 (rows, n, C, H, W), and the points that h
        says `marks` float64 (rows, P, 2), in pixels, x before y. And `levels`.
        """
        return {**self.scores, **self.pictured}
