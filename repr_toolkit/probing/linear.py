"""The linear probe: how well a linear classifier reads the label from a representation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating] | npt.NDArray[np.integer]  # (N, d)
Labels = npt.NDArray[np.int64]  # (N,)

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class Probe:
    """Accuracy of a linear classifier on test images it was neither fitted nor chosen on."""

    accuracy: float  # share of the test images
    interval: tuple[float, float]  # Wilson's, 95 %
    test_images: int
    train_images: int
    strength: float  # the C that was best on the validation images


def linear_probe(
    train: tuple[Features, Labels],
    validation: tuple[Features, Labels],
    test: tuple[Features, Labels],
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> Probe:
    """Fit a multinomial logistic regression to standardised features; score it on ``test``.

    Each pair holds features (N, d), finite and flattened, and integer labels (N,). Mean and scale
    of a feature come from the training images alone. The inverse L2 strength C is the one of
    ``strengths`` that is most accurate on ``validation`` (the smallest among equals); they are
    tried upwards, until two in a row do no better. Classes that the training images lack count as
    errors. Raises ValueError for fewer than two classes, an empty
    set, features that are not finite, or features and labels of different length.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    for name, (features, labels) in {
        "training": train,
        "validation": validation,
        "test": test,
    }.items():
        if len(labels) == 0 or len(features) != len(labels):
            raise ValueError(
                f"the {name} set has {len(features)} feature rows and {len(labels)} labels; "
                "a probe needs as many of each, at least one"
            )
        if not np.isfinite(features).all():
            raise ValueError(f"a feature of the {name} set is not finite")
    if len(np.unique(train[1])) < 2:
        raise ValueError("the training labels name only one class; a probe needs two")

    features, labels = train
    scaler = StandardScaler().fit(features.astype(np.float64))
    inputs = scaler.transform(features.astype(np.float64))
    checked = scaler.transform(validation[0].astype(np.float64))
    tested = scaler.transform(test[0].astype(np.float64))

    # Each solution starts from the next stronger penalty's, which halves the work. The objective
    # is strongly convex, so the solver converges long before the limit on its steps.
    classifier = LogisticRegression(max_iter=10_000, warm_start=True)
    best, strength, correct, worse = -1.0, math.nan, 0, 0
    for candidate in sorted(strengths):
        classifier.set_params(C=candidate).fit(inputs, labels)
        score = float(classifier.score(checked, validation[1]))
        if score > best:
            best, strength, worse = score, candidate, 0
            correct = int((classifier.predict(tested) == test[1]).sum())
        else:
            worse += 1
        if worse == 2:  # weak penalties on many features are what takes time
            break
    count = len(test[1])
    return Probe(correct / count, wilson_interval(correct, count), count, len(labels), strength)


def wilson_interval(correct: int, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval for a share ``correct / count`` (95 % by default).

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    Unlike mean ± z·sd it stays within [0, 1] and keeps a width at 0 and 1. Raises ValueError unless
    0 ≤ correct ≤ count and count ≥ 1.
    """
    if count < 1 or not 0 <= correct <= count:
        raise ValueError(f"{correct} of {count} is not a share")
    share = correct / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    half = spread * z / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)
