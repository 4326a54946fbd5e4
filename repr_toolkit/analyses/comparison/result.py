"""What a comparison measured: a variant's numbers by name, as JSON and as CSV."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from repr_toolkit.support.stats import Number

MEANS = (
    "bits_per_dim",
    "bits_per_dim_minus_first",
    "bits_per_dim_other_h",
    "difference",
    "bits_per_dim_marginal",
    "bits_per_dim_marginal_minus_first",
    "true_posterior_bits",
    "information_bits",
    "mse_one",
    "mse_of_mean",
)
"""Numbers that are means over images, with a standard error."""
SHARES = ("probe", "probe_untrained", "probe_pixels", "bayes")
"""Numbers that are accuracies, with an interval."""


@dataclass(frozen=True)
class Variant:
    """What was measured of one variant; `numbers` lacks what could not be measured.

    Attributes:
        h_dim: The dimensions of h; 0 without h.
        likelihood: What its bits are, such as "exact" or "upper bound".
        encoder_parameters: The number of the encoder's parameters.
        decoder_parameters: The number of the decoder's parameters.
        seconds: The time of training.
        steps: The steps of training.
        numbers: By the names of `MEANS` and `SHARES`.
    """

    h_dim: int
    likelihood: str
    encoder_parameters: int
    decoder_parameters: int
    seconds: float
    steps: int
    numbers: Mapping[str, Number]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        numbers = {name: number.as_dict() for name, number in self.numbers.items()}
        return {**vars(self), "numbers": numbers}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Variant":
        """The variant that `as_dict` wrote."""
        numbers = {name: Number(**values) for name, values in stored["numbers"].items()}
        return cls(**{**stored, "numbers": numbers})


@dataclass(frozen=True)
class Classifier:
    """A classifier of pixels: its name, how it was chosen, and its accuracy."""

    name: str
    how: str
    accuracy: Number


@dataclass(frozen=True)
class Comparison:
    """Variants of a study on the same held-out images.

    Attributes:
        data: The name of the data.
        split: The split that was measured.
        images: The number of its images.
        levels: Their levels.
        draws: Reconstructions of each image whose error was measured.
        variants: By name, in the order of the study.
        classifiers: Classifiers of pixels, where a variant classifies by Bayes' rule.
        figures: The names of the pictures beside it.
        notes: What a reader has to know of the numbers.
    """

    data: str
    split: str
    images: int
    levels: int
    draws: int
    variants: Mapping[str, Variant]
    classifiers: Sequence[Classifier] = ()
    figures: Sequence[str] = ()
    notes: Sequence[str] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        classifiers = [{**vars(c), "accuracy": c.accuracy.as_dict()} for c in self.classifiers]
        return {
            **vars(self),
            "variants": {name: variant.as_dict() for name, variant in self.variants.items()},
            "classifiers": classifiers,
            "figures": list(self.figures),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Comparison":
        """The comparison that `as_dict` wrote; TypeError or KeyError for anything else."""
        variants = {name: Variant.from_dict(v) for name, v in stored["variants"].items()}
        classifiers = [
            Classifier(c["name"], c["how"], Number(**c["accuracy"])) for c in stored["classifiers"]
        ]
        return cls(**{**stored, "variants": variants, "classifiers": classifiers})

    def rows(self) -> list[dict[str, object]]:
        """A row a variant for CSV, all digits; None where a variant has no such number.

        Columns of the data and of classifiers of pixels have the same value in each row.
        """
        return [self._row(name, variant) for name, variant in self.variants.items()]

    def _row(self, name: str, variant: Variant) -> dict[str, object]:
        row: dict[str, object] = {
            "variant": name,
            "h_dim": variant.h_dim,
            **{key: getattr(self, key) for key in ("data", "split", "images", "levels")},
            "likelihood": variant.likelihood,
        }
        for key in MEANS:
            mean = variant.numbers.get(key)
            row |= {key: mean and mean.value, f"{key}_standard_error": mean and mean.error}
        shares = {key: variant.numbers.get(key) for key in SHARES}
        shares |= {
            re.sub(r"\W+", "_", f"pixels_{c.name.lower()}"): c.accuracy for c in self.classifiers
        }
        for key, share in shares.items():
            row[key] = share and share.value
            row |= {f"{key}_low": share and share.low, f"{key}_high": share and share.high}
        row |= {key: getattr(variant, key) for key in ("encoder_parameters", "decoder_parameters")}
        return row | {"training_seconds": variant.seconds, "training_steps": variant.steps}
