"""The linear probe: how well a linear classifier reads the label from a representation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from repr_toolkit.analyses.probing.classifiers import STRENGTHS, Features, choose, logistic
from repr_toolkit.support.stats import Number, wilson

__all__ = ["STRENGTHS", "Features", "Labels", "Probe", "linear_probe"]

Labels = npt.NDArray[np.int64]  # (N,)


@dataclass(frozen=True)
class Probe:
    """Accuracy of a linear classifier on test images it was neither fitted nor chosen on."""

    accuracy: Number  # share of the test images
    train_images: int
    strength: float  # the C that was best on the validation images


def linear_probe(
    train: tuple[Features, Labels],
    validation: tuple[Features, Labels],
    test: tuple[Features, Labels],
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> Probe:
    """Fit a multinomial logistic regression to standardised features; score it on `test`.

    Each pair holds features (N, d), finite and flattened, and integer labels (N,). Mean and scale
    of a feature come from the training images alone. The inverse L2 strength C is the one of
    `strengths` that is most accurate on `validation` (the smallest among equals); they are
    tried upwards, until two in a row do no better. Classes that the training images lack count as
    errors. The logistic probe of `probe_representations` finds the same. Raises ValueError for
    fewer than two classes, an empty set, features that are not finite, or features and labels of
    different length.
    """
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
    # In float32, as `probe_representations` does: where the solver stops follows from every digit.
    scaler = StandardScaler().fit(features.astype(np.float32))
    inputs, checked, tested = (
        scaler.transform(values.astype(np.float32)) for values, _ in (train, validation, test)
    )
    chosen = choose(
        [logistic(inputs, labels, 0, strengths)],
        (checked, validation[1]),
        tested,
        lambda truth, predicted: float((truth == predicted).mean()),
    )
    accuracy = wilson(int((chosen.predicted == test[1]).sum()), len(test[1]), "test images")
    return Probe(accuracy, len(labels), chosen.settings["C"])
