"""Bayes' rule on a split of a run's data, beside classifiers of the pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repr_toolkit.analyses.base import encoder_source, needs_encoder_and_decoder
from repr_toolkit.analyses.classification.bayes import (
    Classification,
    classify,
    require_label_encoder,
)
from repr_toolkit.analyses.classification.classes import baselines
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.support.console import say
from repr_toolkit.support.processes import fastest_device

if TYPE_CHECKING:
    from repr_toolkit.analyses.classification.pixel_classifiers import Baseline


@dataclass(frozen=True, eq=False)
class BayesRule:
    """The images of a split as a run classifies them, and as classifiers of pixels do."""

    run: str
    data: str
    split: str
    levels: int
    likelihood: str  # "exact", or what kind of bound
    train_images: int
    result: Classification
    baselines: "Sequence[Baseline]"  # none where they were not asked for

    @property
    def asked(self) -> dict[str, Any]:
        """The options that the numbers depend on."""
        return {"split": self.split, "baselines": bool(self.baselines)}

    def as_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        plain = ("run", "data", "split", "levels", "likelihood", "train_images")
        return {
            **{name: getattr(self, name) for name in plain},
            **self.result.as_dict(),
            "baselines": [baseline.as_dict() for baseline in self.baselines],
        }

    def arrays(self) -> Mapping[str, Any]:
        """None."""
        return {}


def measure(
    run: Run,
    split: str = "test",
    *,
    pixel_classifiers: bool = False,
    batch_size: int = 256,
    progress: bool = False,
) -> BayesRule:
    """Classify the images of a split by a run whose encoder reads labels.

    With `pixel_classifiers` those of `pixel_baselines` are fitted too, in some minutes on a CPU.
    Raises what `classify` does.
    """
    model = load_with_decoder(run)
    require_label_encoder(model)  # before the data are looked for
    data = run.load_data()
    result = classify(
        model.to(fastest_device()), data, split, batch_size=batch_size, progress=progress
    )
    fitted = []
    for baseline in baselines(data, split) if pixel_classifiers else ():
        fitted.append(baseline)
        if progress:
            say(f"{baseline.name} on pixels: {baseline.accuracy.value:.3f}")
    return BayesRule(
        str(run.path),
        data.name,
        split,
        data.levels,
        model.decoder.likelihood_label,
        len(data.splits["train"]),
        result,
        fitted,
    )


def obstacle(run: Run) -> str | None:
    """Why a run cannot classify, or None if its encoder reads labels."""
    source = encoder_source(run)
    if source not in (None, "label"):
        return f"its encoder reads {source!r}, not labels"
    return needs_encoder_and_decoder(run)
