"""How often 95 % intervals hold the truth, at the designs that they are printed for.

    python -m benchmarks.coverage

Each design draws data of a known truth, or one that is the mean of its own estimates, and makes the
number of them by the function that the toolkit calls. Some minutes on one core.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import nan

import numpy as np
import numpy.typing as npt

from repr_toolkit.analyses.information.bounds import Bound
from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.analyses.likeness.matching import match
from repr_toolkit.analyses.probing.mdl import over_orders
from repr_toolkit.analyses.probing.scores import scored_numbers
from repr_toolkit.models.pairs import unit_vectors
from repr_toolkit.models.verification import Compared, compare, one_nn
from repr_toolkit.support.stats import Number, difference, mean, mean_of, over_trainings, share

SIMULATIONS = 2000
MOST_PAIRS = 50_000
"""Of either kind: of LFW's test images fewer than the 600,000, for time."""
Draw = np.random.Generator
Array = npt.NDArray[np.float64]

ORL = np.full(10, 10)
"""Images of each person of a fold of the ORL faces."""
LFW = np.repeat(
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15, 18, 23, 31, 35, 55],
    [429, 76, 34, 23, 8, 2, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1],
)
"""Images of each of the 588 test people of LFW."""


@dataclass(frozen=True)
class Design:
    """What is estimated of what data; `truth` is NaN where it is the mean of the estimates."""

    what: str
    estimate: Callable[[Draw], Number]
    truth: float = nan
    simulations: int = SIMULATIONS
    seldom: bool = False  # most of its estimates have no interval


@dataclass(frozen=True)
class Coverage:
    """The share of intervals that hold the truth, and of the simulations that had one."""

    covered: float
    printed: float
    truth: float


def coverage(design: Design, seed: int = 0) -> Coverage:
    """The coverage of a design's intervals, among those that are printed."""
    draw = np.random.default_rng(seed)
    numbers = [design.estimate(draw) for _ in range(design.simulations)]
    truth = design.truth
    if np.isnan(truth):
        truth = float(np.mean([number.value for number in numbers]))
    ends = [(n.low, n.high) for n in numbers if n.low is not None and n.high is not None]
    held = [low <= truth <= high for low, high in ends]
    return Coverage(float(np.mean(held)) if held else nan, len(held) / len(numbers), truth)


def people_of(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The person of each image."""
    return np.repeat(np.arange(len(sizes)), sizes)


def bits(draw: Draw, sizes: npt.NDArray[np.int64]) -> Array:
    """Skewed values with mean 0, of which one person's are alike (half of the variance)."""
    people = people_of(sizes)
    of_people = draw.exponential(1, len(sizes)) - 1
    alone: Array = draw.exponential(1, len(people)) - 1
    return alone + of_people[people]


def rights(
    draw: Draw, sizes: npt.NDArray[np.int64], accuracy: float, alike: float = 0.3
) -> npt.NDArray[np.bool_]:
    """Right and wrong of images, with a rate of each person's own: Beta, correlated by `alike`."""
    both = 1 / alike - 1
    rates = draw.beta(accuracy * both, (1 - accuracy) * both, len(sizes))
    right: npt.NDArray[np.bool_] = draw.random(sizes.sum()) < rates[people_of(sizes)]
    return right


def faces(draw: Draw, sizes: npt.NDArray[np.int64], apart: float) -> Array:
    """h of images, (N, 10): people differ in their place and in how much their images do."""
    people = people_of(sizes)
    spreads = np.exp(0.4 * draw.normal(size=len(sizes)))
    alone = draw.normal(size=(len(people), 10)) * spreads[people, None]
    return apart * draw.normal(size=(len(sizes), 10))[people] + alone


def compared(draw: Draw, sizes: npt.NDArray[np.int64], apart: float) -> Compared:
    """The pairs of the verification protocol on simulated faces."""
    return compare(faces(draw, sizes, apart), people_of(sizes), most_pairs=MOST_PAIRS)


def nearest(draw: Draw, sizes: npt.NDArray[np.int64], apart: float) -> Number:
    """The accuracy of the nearest neighbour on simulated faces."""
    return one_nn(faces(draw, sizes, apart), people_of(sizes))


def auc(draw: Draw, sizes: npt.NDArray[np.int64], apart: float) -> Number:
    """The AUC of simulated faces."""
    return compared(draw, sizes, apart).auc().number


def gain(draw: Draw, sizes: npt.NDArray[np.int64], apart: float, noise: float = 1.5) -> Number:
    """The AUC of h less that of a worse h of the same images."""
    h, people = faces(draw, sizes, apart), people_of(sizes)
    worse = h + noise * draw.normal(size=h.shape)
    pairs, of_worse = (compare(one, people, most_pairs=MOST_PAIRS) for one in (h, worse))
    return pairs.auc().less(of_worse.auc())


def four_folds(draw: Draw, apart: float) -> Number:
    """The mean AUC of four folds of ten people."""
    return mean_of([compared(draw, ORL, apart).auc() for _ in range(4)]).number


def tar(draw: Draw, sizes: npt.NDArray[np.int64], apart: float) -> Number:
    """The true accept rate at a false accept rate of 1e−2."""
    number = compared(draw, sizes, apart).tar(1e-2)
    assert number is not None
    return number


def accuracy(draw: Draw, sizes: npt.NDArray[np.int64], apart: float) -> Number:
    """The accuracy of verification on ten folds."""
    number, _ = compared(draw, sizes, apart).accuracy()
    assert number is not None
    return number


def likeness(draw: Draw, people: int, key: str) -> Number:
    """Four portraits of each person, matched with another photograph of everybody."""
    sizes = np.full(people, 5)
    h = unit_vectors(faces(draw, sizes, 1.3)).reshape(people, 5, -1)
    matched = match(
        h[:, 1:].reshape(-1, 10) @ h[:, 0].T,
        np.repeat(np.arange(people), 4),
        ~np.eye(people, dtype=bool),
    )
    number: Number = getattr(matched, key)
    return number


def r_squared(draw: Draw, sizes: npt.NDArray[np.int64]) -> Number:
    """R² of values that people differ in, by predictions whose errors they differ in too."""
    truth, errors = bits(draw, sizes), bits(draw, sizes)
    groups = None if sizes.max() == 1 else (people_of(sizes), "people")
    return scored_numbers(truth[:, None], (truth + 0.5 * errors)[:, None], groups)


def of_two(draw: Draw, sizes: npt.NDArray[np.int64], one: float, other: float) -> Number:
    """The difference of two accuracies, of which a third of the images fail both alike."""
    both = rights(draw, sizes, 0.95, 0.3 if sizes.max() > 1 else 0.01)
    hits, others = (draw.random(len(both)) < rate / 0.95 for rate in (one, other))
    groups = None if sizes.max() == 1 else (people_of(sizes), "people")
    return difference(hits & both, others & both, groups)


def trainings(draw: Draw, seeds: int, between: float) -> Number:
    """Bits saved on 500 images by several trainings, which differ by `between`."""
    shared = 20 * bits(draw, np.ones(500, int))
    alone = 5 * draw.normal(size=(seeds, 500))
    return over_trainings(shared + alone + between * draw.normal(size=(seeds, 1)))


def samples(draw: Draw, images: int, each: int) -> Number:
    """The share of right among samples of images, each with a rate of its own."""
    hits = rights(draw, np.full(images, each), 0.85).reshape(images, each)
    return share(hits.mean(1), each=each)


def of_people(draw: Draw, sizes: npt.NDArray[np.int64], rate: float = nan) -> Number:
    """A mean, or a share of this rate, of images by person."""
    groups = (people_of(sizes), "people")
    if np.isnan(rate):
        return mean(bits(draw, sizes), groups)
    return share(rights(draw, sizes, rate), groups)


def bound(draw: Draw, groups: int) -> Number:
    """A lower bound by groups of 16 candidates, skewed towards its ceiling of 4 bits."""
    values = 3 - draw.exponential(0.7, (groups, 16)).mean(1) - draw.exponential(0.3, groups)
    return Bound(values, 4.0, 16 * groups, "", least=2).bits


def bound_of_people(draw: Draw) -> Number:
    """The same of 40 people, 8 candidates, in twelve replicates that draw their images anew."""
    of_people = draw.exponential(0.7, 40)
    values = [
        (3 - of_people[draw.permutation(40)] - draw.exponential(0.3, 40)).reshape(5, 8).mean(1)
        for _ in range(12)
    ]
    return Bound(np.stack(values), 3.0, 400, "", least=2).bits


def single(draw: Draw, count: int, rate: float = nan) -> Number:
    """A mean, or a share of this rate, of independent images."""
    return (
        mean(bits(draw, np.ones(count, int)))
        if np.isnan(rate)
        else share(draw.random(count) < rate)
    )


def of_seeds(draw: Draw, seeds: int) -> Number:
    """Bits saved by pairs of trainings, over which alone the interval is."""
    number = Usable(draw.normal(size=(seeds, 1)) + np.zeros(10)).over_seeds
    assert number is not None
    return number


DESIGNS: Mapping[str, Design] = {
    "mean-500": Design("mean of 500 images", partial(single, count=500), 0),
    "mean-10": Design("mean of 10 images", partial(single, count=10), 0),
    "mean-orl": Design("mean of 100 images of 10 people", partial(of_people, sizes=ORL), 0),
    "mean-lfw": Design("mean of 1,092 images of 588 people", partial(of_people, sizes=LFW), 0),
    "share-500": Design("share of 500 images", partial(single, count=500, rate=0.93), 0.93),
    "share-sure": Design(
        "share of 500 images, near 1", partial(single, count=500, rate=0.99), 0.99
    ),
    "share-orl": Design(
        "share of 100 images of 10 people", partial(of_people, sizes=ORL, rate=0.8), 0.8
    ),
    "share-orl-sure": Design(
        "share of 100 images of 10 people, near 1", partial(of_people, sizes=ORL, rate=0.97), 0.97
    ),
    "share-5": Design(
        "share of 50 images of 5 people",
        partial(of_people, sizes=np.full(5, 10), rate=0.8),
        0.8,
    ),
    "share-lfw": Design(
        "share of 1,092 images of 588 people", partial(of_people, sizes=LFW, rate=0.8), 0.8
    ),
    "samples": Design(
        "share of 64 images of 16 samples", partial(samples, images=64, each=16), 0.85
    ),
    "samples-5": Design(
        "share of 5 images of 16 samples", partial(samples, images=5, each=16), 0.85
    ),
    "r2-10": Design("R² of 100 images of 10 people", partial(r_squared, sizes=ORL), 0.75),
    "r2-images": Design("R² of 30 images", partial(r_squared, sizes=np.ones(30, int)), 0.75),
    "r2-500": Design("R² of 500 images", partial(r_squared, sizes=np.ones(500, int)), 0.75),
    "r2-lfw": Design("R² of 1,092 images of 588 people", partial(r_squared, sizes=LFW), 0.75),
    "difference-500": Design(
        "difference of two shares, 500 images",
        partial(of_two, sizes=np.ones(500, int), one=0.93, other=0.9),
        0.03,
    ),
    "difference-15": Design(
        "difference of two shares, 15 people",
        partial(of_two, sizes=np.full(15, 10), one=0.9, other=0.8),
        0.1,
    ),
    "difference-lfw": Design(
        "difference of two shares, 588 people", partial(of_two, sizes=LFW, one=0.9, other=0.8), 0.1
    ),
    "1-nn": Design("1-NN of 10 people", partial(nearest, sizes=ORL, apart=1.6)),
    "auc": Design("AUC of 10 people", partial(auc, sizes=ORL, apart=1.3)),
    "auc-sure": Design("AUC of 10 people, near 1", partial(auc, sizes=ORL, apart=2.2)),
    "auc-5": Design("AUC of 5 people", partial(auc, sizes=np.full(5, 10), apart=1.3)),
    "auc-lfw": Design(
        "AUC of LFW's 588 people", partial(auc, sizes=LFW, apart=1.6), simulations=100
    ),
    "tar-lfw": Design(
        "TAR at FAR 1e−2 of LFW's 588 people", partial(tar, sizes=LFW, apart=1.6), simulations=100
    ),
    "1-nn-lfw": Design(
        "1-NN of LFW's 588 people", partial(nearest, sizes=LFW, apart=1.6), simulations=100
    ),
    "gain-lfw": Design(
        "difference of two AUC, LFW's 588 people",
        partial(gain, sizes=LFW, apart=1.3),
        simulations=100,
    ),
    "auc-folds": Design("mean AUC of 4 folds of 10 people", partial(four_folds, apart=1.6)),
    "auc-gain": Design("difference of two AUC, 10 people", partial(gain, sizes=ORL, apart=1.3)),
    "gain-5": Design(
        "difference of two AUC, 5 people", partial(gain, sizes=np.full(5, 10), apart=1.3)
    ),
    "gain-sure": Design(
        "difference of two AUC near 1, 10 people",
        partial(gain, sizes=ORL, apart=2.2, noise=0.5),
        seldom=True,
    ),
    "tar": Design("TAR at FAR 1e−2 of 10 people", partial(tar, sizes=ORL, apart=1.6)),
    "folds": Design(
        "accuracy over 10 folds, 60 people", partial(accuracy, sizes=np.full(60, 3), apart=1.3)
    ),
    "likeness": Design("likeness, AUC of 40 people", partial(likeness, people=40, key="auc")),
    "rank-1": Design("likeness, rank 1 of 40 people", partial(likeness, people=40, key="rank_1")),
    "bound": Design("lower bound of 32 groups", partial(bound, groups=32), 2.0),
    "bound-2": Design("lower bound of 2 groups", partial(bound, groups=2), 2.0),
    "bound-people": Design("lower bound of 40 people, 5 groups × 12", bound_of_people, 2.0),
    "trainings-1": Design("500 images, one training", partial(trainings, seeds=1, between=0), 0),
    "trainings-2": Design("500 images, 2 trainings", partial(trainings, seeds=2, between=2), 0),
    "trainings-3": Design("500 images, 3 trainings", partial(trainings, seeds=3, between=2), 0),
    "seeds": Design("verdict over 3 pairs of trainings", partial(of_seeds, seeds=3), 0),
    "orders": Design("code over 3 orders", lambda d: over_orders(d.normal(size=3).tolist()), 0),
}
"""Every kind of interval, at the sizes at which it is printed."""


def main() -> None:
    """Print the table."""
    print(f"| design | truth | covered, of {SIMULATIONS:,} | printed |\n|---|---:|---:|---:|")
    for design in DESIGNS.values():
        result = coverage(design)
        few = "" if design.simulations == SIMULATIONS else f" ({design.simulations} data sets)"
        cells = f"{result.truth:.3f} | {100 * result.covered:.1f} % | {100 * result.printed:.0f} %"
        print(f"| {design.what}{few} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
