"""The linear probe: how well a linear classifier reads the label from a representation."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from repr_toolkit.analyses.probing.classifiers import STRENGTHS, Features, choose, ends, logistic
from repr_toolkit.analyses.probing.scores import accuracy, scored_codes
from repr_toolkit.support.stats import Groups, Number

Labels = npt.NDArray[np.int64]  # (N,)


@dataclass(frozen=True, eq=False)
class Probe:
    """Accuracy of a linear classifier on test images it was neither fitted nor chosen on."""

    accuracy: Number  # share of the test images
    strength: float  # the C that was best on the validation images
    hits: npt.NDArray[np.bool_] = field(repr=False)  # which test images it has right, (n,)

    @property
    def ends(self) -> list[str]:
        """Its C, where that is at an end of `STRENGTHS`."""
        return ends({"C": self.strength}, {"C": STRENGTHS})


def linear_probe(
    train: tuple[Features, Labels],
    validation: tuple[Features, Labels],
    test: tuple[Features, Labels],
    groups: Groups | None = None,
) -> Probe:
    """Fit a multinomial logistic regression to standardised features; score it on `test`.

    Each pair holds features (N, d), finite and flattened, and integer labels (N,). Mean and scale
    of a feature come from the training images alone. The inverse L2 strength C is the one of
    `STRENGTHS` that is most accurate on `validation` (the smallest among equals); they are
    tried upwards, as `improvements` does. Classes that the training images lack count as
    errors; `groups` says which test images belong together. The logistic probe of `probe` finds the
    same. Raises ValueError, naming the set, for features and labels of different length, and, as
    scikit-learn does, for fewer than two classes, an empty set, or features that are not finite.
    """
    from sklearn.preprocessing import StandardScaler

    sets = {"training": train, "validation": validation, "test": test}
    for name, (features, labels) in sets.items():
        if len(features) != len(labels):
            raise ValueError(
                f"the {name} set has {len(features)} rows of features, but {len(labels)} labels"
            )

    # In float32, as `probe` does: where the solver stops follows from every digit.
    scaler = StandardScaler().fit(train[0].astype(np.float32))
    inputs, checked, tested = (
        scaler.transform(features.astype(np.float32)) for features, _ in (train, validation, test)
    )
    fits = partial(logistic, inputs, train[1], 0)
    chosen = choose([fits], (checked, validation[1]), tested, accuracy)
    hits = chosen.predicted == test[1]
    return Probe(scored_codes(test[1], chosen.predicted, groups), chosen.settings["C"], hits)
