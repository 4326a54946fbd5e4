"""The probes themselves, all of scikit-learn: each a series of fits, from which one is chosen.

A probe is a function of training features and values that yields a series of fits: what was set,
and how it predicts. It never sees another image: what is chosen is chosen by `choose` alone.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

Features = npt.NDArray[np.floating] | npt.NDArray[np.integer]  # (N, d)
Values = npt.NDArray[Any]  # int64 (N,) codes, or float64 (N, k)
Settings = Mapping[str, float]
Predict = Callable[[Features], Values]
Fits = Iterator[tuple[Settings, Predict]]
Score = Callable[[Values, Values], float]

DECADES = tuple(10.0**power for power in range(-5, 5))
STRENGTHS = DECADES  # the C of a logistic regression
PENALTIES = DECADES  # of a ridge regression, times the images' number
NEIGHBOURS = (1, 3, 5, 10, 20, 50, 100, 200, 500)
EPOCHS, HIDDEN = 100, 128  # of the small network
DECAYS = DECADES  # its L2 penalty α, as scikit-learn has it
TOLERANCE = 1e-5  # with scikit-learn's own, 1e-4, weak penalties' solver stops where it starts
NEVER_PATIENT = 10**9


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread in products of matrices; a decorator too.

    Those of a probe are so small that several threads would wait for each other longer than they
    work, and the longer where another process has taken a core. Nor do the probes' digits then
    depend on the number of cores.
    """
    with threadpool_limits(1, "blas"):
        yield


def logistic(x: Features, y: Values, seed: int, strengths: Sequence[float] = STRENGTHS) -> Fits:
    """The classes that `regressions` of ascending C hold for the most probable."""
    for strength, regression in regressions(x, y, strengths):
        yield {"C": strength}, regression.predict


def regressions(
    x: Features, y: Values, strengths: Sequence[float]
) -> Iterator[tuple[float, "LogisticRegression"]]:
    """Multinomial logistic regressions of ascending C, the inverse of the L2 penalty; one object.

    The objective is strongly convex, so that nothing is random, and each solution starts from the
    next stronger penalty's, which halves the work. Fitted in float64 and to a small `TOLERANCE`:
    otherwise the solver stops short of weak penalties' optima.
    """
    from sklearn.linear_model import LogisticRegression

    x = x.astype(np.float64, copy=False)
    # The solver converges long before the limit on its steps.
    regression = LogisticRegression(max_iter=10_000, tol=TOLERANCE, warm_start=True)
    for strength in sorted(strengths):
        with warnings.catch_warnings():  # labels may be few for their classes
            warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
            regression.set_params(C=strength).fit(x, y)
        yield strength, regression


def ridge(x: Features, y: Values, seed: int, penalties: Sequence[float] = PENALTIES) -> Fits:
    """Ridge regressions of descending penalty α, given as a multiple of the images' number."""
    from sklearn.linear_model import Ridge

    for penalty in sorted(penalties, reverse=True):
        fitted = Ridge(alpha=penalty * len(x)).fit(x, y)
        yield {"α/N": penalty}, fitted.predict


def neighbours(x: Features, y: Values, seed: int, counts: Sequence[int] = NEIGHBOURS) -> Fits:
    """The vote, or the mean, of the k nearest training images by Euclidean distance.

    Counts beyond the images' number are left out. In a tied vote the lowest code wins.
    """
    from sklearn.neighbors import NearestNeighbors

    counts = sorted(k for k in counts if k <= len(x))
    index = NearestNeighbors(n_neighbors=counts[-1], algorithm="brute").fit(x)
    known: dict[int, tuple[Features, npt.NDArray[np.intp]]] = {}  # by the features asked for

    def nearest(features: Features) -> npt.NDArray[np.intp]:
        if id(features) not in known:
            known[id(features)] = features, index.kneighbors(features, return_distance=False)
        return known[id(features)][1]

    classes, codes = np.unique(y, return_inverse=True) if y.ndim == 1 else (None, None)

    def of_count(k: int) -> Predict:
        def predict(features: Features) -> Values:
            rows = nearest(features)[:, :k]
            if classes is None or codes is None:
                means: Values = y[rows].mean(1)
                return means
            size = len(classes)
            cells = codes[rows] + size * np.arange(len(rows))[:, None]
            votes = np.bincount(cells.ravel(), minlength=size * len(rows)).reshape(-1, size)
            winners: Values = classes[votes.argmax(1)]
            return winners

        return predict

    for k in counts:
        yield {"k": k}, of_count(k)


def network(x: Features, y: Values, seed: int, epochs: int = EPOCHS, *, decay: float = 1.0) -> Fits:
    """A network of one hidden layer (ReLU, Adam at 1e-3, batches of 200) after 1, 2, … epochs."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    settings: dict[str, Any] = {
        "hidden_layer_sizes": (HIDDEN,),
        "batch_size": min(200, len(x)),
        "alpha": decay,
        "random_state": np.random.RandomState(seed),  # goes on from epoch to epoch
    }
    if y.ndim == 1:
        classifier, classes = MLPClassifier(**settings), np.unique(y)
        for epoch in range(1, epochs + 1):
            classifier.partial_fit(x, y, classes=classes)
            yield {"α": decay, "epochs": epoch}, classifier.predict
        return
    # One scale for all columns, so that each counts by its variance, as it does in R².
    mean = y.mean(0)
    scale = float(np.sqrt((y - mean).var(0).mean()))
    scaled = ((y - mean) / scale).astype(x.dtype)
    regressor = MLPRegressor(**settings)

    def predict(features: Features) -> Values:
        values: Values = regressor.predict(features).reshape(len(features), -1) * scale + mean
        return values

    for epoch in range(1, epochs + 1):
        regressor.partial_fit(x, scaled if scaled.shape[1] > 1 else scaled[:, 0])
        yield {"α": decay, "epochs": epoch}, predict


@dataclass(frozen=True)
class ProbeKind:
    """A probe: its fits, and after how many that do no better a series of them ends."""

    title: str
    about: str
    series: Sequence[Callable[..., Fits]]  # of ascending penalties, if there are several
    kinds: tuple[str, ...]  # of target
    patience: int
    grid: Mapping[str, Any]  # what is tried, or the first and the last of it, for the record


PROBES: Mapping[str, ProbeKind] = {
    "logistic": ProbeKind(
        "logistic regression",
        "a linear classifier",
        [logistic],
        ("classification",),
        2,
        {"C": STRENGTHS},
    ),
    "ridge": ProbeKind(
        "ridge regression", "a linear fit", [ridge], ("regression",), 2, {"α/N": PENALTIES}
    ),
    "knn": ProbeKind(
        "nearest neighbours",
        "a vote of the closest training images",
        [neighbours],
        ("classification", "regression"),
        NEVER_PATIENT,
        {"k": NEIGHBOURS},
    ),
    "mlp": ProbeKind(
        "small network",
        "one hidden layer",
        [partial(network, decay=decay) for decay in DECAYS],
        ("classification", "regression"),
        5,
        {"α": DECAYS, "epochs": (1, EPOCHS), "hidden units": HIDDEN},
    ),
}


@dataclass(frozen=True, eq=False)
class Chosen:
    """The fit that was best on the validation images."""

    settings: Settings
    validation: float  # its score there
    predicted: Values  # of the test images


@one_thread()
def choose(
    series: Sequence[Callable[[], Fits]],
    validation: tuple[Features, Values],
    test: Features,
    score: Score,
    patience: int = 2,
) -> Chosen:
    """The first fit of the best `score(truth, predicted)` on `validation`.

    Of each series they are tried as `improvements` does. Of several series the middle one comes
    first, then its neighbours on either side for as long as they do better. The test images'
    values are no argument: their predictions are taken of each fit that is the best so far of its
    series, and no more.
    """

    def best_of(fits: Fits) -> Chosen:
        better = [
            Chosen(settings, reached, predict(test))
            for settings, reached, predict in improvements(fits, validation, score, patience)
        ]
        if not better:
            raise ValueError("there is nothing to choose from")
        return better[-1]

    middle = len(series) // 2
    best = best_of(series[middle]())
    for side in (series[middle + 1 :], series[:middle][::-1]):
        for fits in side:
            candidate = best_of(fits())
            if candidate.validation <= best.validation:
                break
            best = candidate
    return best


def improvements(
    fits: Fits, validation: tuple[Features, Values], score: Score, patience: int = 2
) -> Iterator[tuple[Settings, float, Predict]]:
    """Each fit of a higher score than all before it, with that, until `patience` have none.

    Fits that are as good as the first, before any is better, are passed over: where penalties are
    so strong that everything is taken for one class, weaker ones have yet to show what they can.
    """
    highest, better, worse = -np.inf, 0, 0
    for settings, predict in fits:
        reached = score(validation[1], predict(validation[0]))
        if reached > highest:
            highest, better, worse = reached, better + 1, 0
            yield settings, reached, predict
        elif reached < highest or better > 1:
            worse += 1
        if worse == patience:  # weak penalties on many features are what takes time
            return


def ends(settings: Settings, grid: Mapping[str, Any]) -> list[str]:
    """The settings at an end of what was tried, beyond which there is more, as texts.

    There are no fewer than one neighbour or epoch, so that these are no ends.

    >>> ends({"C": 1e4}, {"C": (1.0, 100.0, 1e4)}), ends({"k": 1}, {"k": (1, 3)})
    (['C = 10000'], [])
    """
    return [
        f"{name} = {value:g}"
        for name, value in settings.items()
        if isinstance(tried := grid.get(name), Sequence)
        and (value == max(tried) or value == min(tried) != 1)
    ]


def beyond(at_ends: Iterable[str]) -> list[str]:
    """The note on what was chosen at `ends`, if anything was."""
    named = "; ".join(dict.fromkeys(at_ends))
    return [f"At an end of what was tried, so that others might do better: {named}."] * bool(named)


@one_thread()
def refit(name: str, settings: Settings, x: Features, y: Values, seed: int) -> Predict:
    """The probe of these settings, as they were chosen elsewhere, fitted to other values."""
    if name == "mlp":
        epochs = int(settings["epochs"])
        *_, (_, predict) = network(x, y, seed, epochs, decay=settings["α"])
    else:
        [fits] = PROBES[name].series
        [(_, predict)] = fits(x, y, seed, tuple(settings.values()))
    return predict
