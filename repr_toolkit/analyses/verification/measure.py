"""The verification protocol on a run's h or on stored embeddings, beside its baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from repr_toolkit.analyses.base import encoder_source, needs_code, needs_keys
from repr_toolkit.analyses.verification.baselines import PIXELS, baselines
from repr_toolkit.data import ImageData
from repr_toolkit.data.identity_batches import identity_key, people_trained_on
from repr_toolkit.models.code import named_by
from repr_toolkit.models.encode import encode_split
from repr_toolkit.models.pairs import Floats
from repr_toolkit.models.verification import Verification, verify
from repr_toolkit.runs.run import Run, load
from repr_toolkit.support.processes import fastest_device
from repr_toolkit.support.roc import Line
from repr_toolkit.support.stats import Number

FALSE_RATES = np.logspace(-4, 0, 801)
"""The false accept rates at which curves are kept, finer than a picture's pixels."""


@dataclass(frozen=True, eq=False)
class Verifications:
    """Verification on one split: by a representation, first, and by what it has to beat."""

    source: str  # the run's path, or the name of the data
    data: str
    split: str
    seed: int
    methods: Mapping[str, Verification]
    trained_on: int  # people of the split who are in the training images too

    @property
    def asked(self) -> dict[str, Any]:
        """The options that the numbers depend on."""
        return {"split": self.split, "seed": self.seed}

    @property
    def first(self) -> Verification:
        """By the representation itself."""
        return next(iter(self.methods.values()))

    def gain(self) -> Number:
        """How much higher the AUC of h is than that of raw pixels, paired by person."""
        return self.first.auc.less(self.methods[PIXELS].auc)

    def as_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        return {
            "source": self.source,
            "data": self.data,
            "split": self.split,
            "people_trained_on": self.trained_on,
            "similarity": "cosine",
            "methods": {name: method.as_dict() for name, method in self.methods.items()},
            "auc_above_pixels": self.gain().as_dict(),
        }

    def arrays(self) -> dict[str, Any]:
        """The ROC: `false_accept_rate` (G,) and, a row a method, `true_accept_rate` (M, G)."""
        rates = [
            true[np.searchsorted(false, FALSE_RATES, side="right") - 1]
            for false, true in (method.curve for method in self.methods.values())
        ]
        return {
            "false_accept_rate": FALSE_RATES,
            "true_accept_rate": np.array(rates, np.float32),
        }


def measure_alone(run: Run, split: str = "test") -> Verification:
    """Verification by a finished run's h on a split of its data, without baselines."""
    _, h, data = _of_run(run, split)
    return verify(h, data.splits[split].column(identity_key(data)).numpy())


def measure(
    run: Run, split: str = "test", *, seed: int = 0, batch_size: int = 256, progress: bool = False
) -> Verifications:
    """Verification by a finished run's h on a split of its data.

    Raises ValueError for a run without an encoder, or whose encoder reads who is in the image
    instead of the image, for data that do not say who that is, and as `verify` does.
    """
    name, h, data = _of_run(run, split, batch_size=batch_size, progress=progress)
    return _beside_baselines(str(run.path), name, h, data, split, seed)


def _of_run(run: Run, split: str, **how: Any) -> tuple[str, Floats, ImageData]:
    """The name of a run's h, h of a split (N, h_dim), and the run's data."""
    model = load(run).to(fastest_device()).coded
    if model.encoder is None:
        raise ValueError(
            f"{run.path} has no encoder, so there is no h that could tell people apart"
        )
    data = run.load_data()
    people = identity_key(data)  # before the work
    if model.encoder.source == people:
        raise ValueError(
            f"the encoder of {run.path} reads {people!r}, which is the answer itself: there is "
            f"nothing to verify; give a run whose encoder reads images or embeddings"
        )
    images = data.split(split)
    h = encode_split(model, images, **how)
    return f"{type(named_by(model.encoder)).__name__}, h ({h.shape[1]})", h.numpy(), data


def measure_stored(data: ImageData, split: str = "test", *, seed: int = 0) -> Verifications:
    """Verification by the embeddings that are stored with the data.

    Raises ValueError for data without any, or that do not say who is in an image, and as `verify`
    does.
    """
    identity_key(data)
    images = data.split(split)
    if "embedding" not in images.keys:
        raise ValueError(
            f"{data.name} has no stored embedding to measure, only {', '.join(images.keys)}; give "
            f"a run, or make embeddings with: repr-toolkit faces"
        )
    h = images.column("embedding").numpy()
    return _beside_baselines(data.name, f"embedding ({h.shape[1]})", h, data, split, seed)


def obstacle(run: Run) -> str | None:
    """Why there are no people for a run's h to tell apart, or None."""
    source = encoder_source(run)
    if source not in (None, "image", "embedding"):
        return f"its encoder reads {source!r}, neither images nor embeddings"
    return needs_code(run) or needs_keys(run, "identity")


def roc_lines(results: Sequence[Verifications]) -> list[Line]:
    """The curves of every method, one for each result."""
    lines = []
    for name in dict.fromkeys(name for result in results for name in result.methods):
        methods = [result.methods[name] for result in results if name in result.methods]
        auc = np.mean([method.auc.value for method in methods])
        mean = "mean AUC" if len(methods) > 1 else "AUC"
        lines.append(Line(f"{name}, {mean} {auc:.3f}", [method.curve for method in methods]))
    return lines


def _beside_baselines(
    source: str, name: str, h: Floats, data: ImageData, split: str, seed: int
) -> Verifications:
    people = data.splits[split].column(identity_key(data)).numpy()
    methods = {name: verify(h, people, seed=seed), **baselines(data, split, seed=seed)}
    return Verifications(source, data.name, split, seed, methods, people_trained_on(data, split))
