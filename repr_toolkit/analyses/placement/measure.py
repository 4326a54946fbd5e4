"""Samples given the h of held-out images, and whether things stand in them where h says."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.placement.landmarks import LandmarkReader
from repr_toolkit.analyses.placement.marks import with_crosses
from repr_toolkit.analyses.placement.quadrants import QuadrantReader
from repr_toolkit.data import ImageSplit
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.sampling.draw import decode
from repr_toolkit.support.choose import choose_evenly, other_images
from repr_toolkit.support.console import say
from repr_toolkit.support.pictures import Group, figure6
from repr_toolkit.support.processes import fastest_device
from repr_toolkit.support.stats import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repr_toolkit.models.autoencoder import EncoderDecoder

Array = npt.NDArray[Any]
RESAMPLES = 2000  # of the bootstrap


class Reader(Protocol):
    """What tells from an image where things stand in it, as a batch key says it.

    Made of the training and validation images. `measure` says what `score` is the mean of;
    where `share` is true, the scores are 0 and 1.
    """

    measure: ClassVar[str]
    share: ClassVar[bool]

    def __init__(self, train: ImageSplit, val: ImageSplit) -> None: ...
    def read(self, images: Tensor) -> Array: ...
    def score(self, found: Array, asked: Array) -> Array: ...
    def marks(self, asked: Array) -> Array: ...


READERS: dict[str, type[Reader]] = {"landmarks": LandmarkReader, "quadrant": QuadrantReader}
"""The batch keys that say where something stands, and what reads it from an image."""


class Placement:
    """Runs whose h says where, on the same held-out images and the same noise.

    The h are those of ``images`` images spread evenly over the split (all by default). Sample i of
    every run has the noise of draw i by ``seed`` (see `common_noise`), so that the runs can be
    compared image by image.

    Raises ValueError for runs of different data or different keys, for an encoder that reads a
    key that is not in `READERS`, for an engine that a decoder lacks, and for a split that the data
    lacks.
    """

    def __init__(
        self,
        runs: Sequence[str | Path],
        split: str = "test",
        *,
        images: int | None = None,
        seed: int = 0,
        temperature: float = 1.0,
        engine: str = "auto",
        batch_size: int = 256,
        progress: bool = False,
    ) -> None:
        if not runs:
            raise ValueError("there are no runs to measure")
        device = fastest_device()
        self.models = {str(path): load_with_decoder(path).to(device) for path in runs}
        for model in self.models.values():
            model.decoder.choose_engine(engine)  # before the work
        key = _common_key(self.models)
        _require_common_data([Run(path) for path in runs])
        data = Run(runs[0]).load_data()
        self.split_name, self.split = split, data.split(split)
        self.data_name, self.levels = data.name, data.levels
        count = len(self.split) if images is None else images
        self.indices = choose_evenly(len(self.split), count)
        self.others = other_images(len(self.indices), seed).numpy()
        self.seed, self.temperature, self.engine = seed, temperature, engine
        self.batch_size, self.progress = batch_size, progress
        self.asked: Array = self.split.column(key).numpy()[self.indices]
        if progress:
            say(f"learning to read {key!r} from {data.name}")
        self.reader = READERS[key](data.splits["train"], data.splits["val"])

    def measure(self) -> dict[str, Any]:
        """What was found, ready for JSON.

        Keys: ``data``, ``split``, ``images``, ``measure``, ``real`` (the images themselves: what
        the reader can reach) and ``runs``, a list of ``run``, ``asked`` (each sample against the
        position that its h says), ``other`` (against that of another image's h: chance) and, but
        for the first run, ``versus_first`` (``asked`` minus the first run's, paired by image).
        All of these hold ``mean``, ``low`` and ``high``, the ends of a 95 % interval: Wilson's for
        shares, else the percentiles of 2,000 bootstrap resamples of the images.
        """
        reader, share = self.reader, self.reader.share
        real = reader.read(self.split[self.indices]["image"])
        runs: list[dict[str, Any]] = []
        first: Array | None = None
        for name, model in self.models.items():
            if self.progress:
                say(f"drawing {len(self.indices)} images from {name}")
            found = reader.read(self.samples(model))
            own = reader.score(found, self.asked)
            other = reader.score(found, self.asked[self.others])
            run: dict[str, Any] = {"run": name}
            run |= {"asked": _summary(own, share=share), "other": _summary(other, share=share)}
            if first is None:
                first = own
            else:
                run["versus_first"] = _summary(own - first, share=False)
            runs.append(run)
        return {
            "data": self.data_name,
            "split": self.split_name,
            "images": len(self.indices),
            "measure": reader.measure,
            "real": _summary(reader.score(real, self.asked), share=share),
            "runs": runs,
        }

    def samples(self, model: "EncoderDecoder") -> Tensor:
        """One sample for each image's h: uint8 (N, C, H, W)."""
        noise = common_noise(model.decoder, len(self.indices), self.seed)
        return self._decode(model, self.indices, noise[:, None])[:, 0]

    def picture(self, rows: int = 8, columns: int = 3) -> "Figure":
        """Held-out images and ``columns`` samples by each run, crosses where h says; save at `DPI`.

        One row an image (see `shown`); a column has the same noise in every row.
        """
        shown = self.shown(rows)
        indices = [self.indices[i] for i in shown]
        points = torch.from_numpy(self.reader.marks(self.asked[shown])).float()

        def crossed(images: Tensor) -> Tensor:
            """Images (rows, n, C, H, W), every one with its row's crosses."""
            n = images.shape[1]
            flat, of_each = images.flatten(0, 1), points.repeat_interleave(n, 0)
            marked: Tensor = with_crosses(flat, of_each, levels=self.levels).unflatten(0, (-1, n))
            return marked

        groups = [Group(crossed(self.split[indices]["image"][:, None]), "Held-out")]
        for name, model in self.models.items():
            noise = common_noise(model.decoder, columns, self.seed)
            drawn = self._decode(model, indices, noise)
            groups.append(Group(crossed(drawn), Path(name).name.replace("_", " ")))
        return figure6(groups)

    def shown(self, rows: int) -> list[int]:
        """Which of the images a picture shows: ``rows`` spread evenly, each with an h of its own.

        Fewer where there are not so many h.
        """
        _, first = np.unique(self.asked, axis=0, return_index=True)
        distinct = np.sort(first)
        return [int(distinct[i]) for i in choose_evenly(len(distinct), rows)]

    def _decode(self, model: "EncoderDecoder", indices: Sequence[int], noise: Tensor) -> Tensor:
        codes = encode_split(model, self.split, indices=indices, batch_size=self.batch_size)
        return decode(
            model.decoder,
            codes,
            noise,
            temperature=self.temperature,
            engine=self.engine,
            batch_size=self.batch_size,
            progress=self.progress,
        )


def bootstrap_interval(values: Array, *, seed: int = 0) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of the means of 2,000 resamples of values (N,)."""
    draw = np.random.default_rng(seed)
    count = len(values)
    means = [values[draw.integers(0, count, count)].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _summary(scores: Array, *, share: bool) -> dict[str, float]:
    low, high = (
        wilson_interval(int(scores.sum()), len(scores)) if share else bootstrap_interval(scores)
    )
    return {"mean": float(scores.mean()), "low": low, "high": high}


def _common_key(models: "dict[str, EncoderDecoder]") -> str:
    """The batch key that the encoders of all models read."""
    sources = {
        name: None if model.encoder is None else model.encoder.source
        for name, model in models.items()
    }
    for name, source in sources.items():
        if source not in READERS:
            reads = "no encoder" if source is None else f"an encoder that reads {source!r}"
            raise ValueError(
                f"{name} has {reads}; where things stand can be measured of samples given "
                f"{' or '.join(map(repr, READERS))}"
            )
    first, *rest = sources.values()
    if any(source != first for source in rest):
        raise ValueError(f"the runs' encoders read different keys: {sources}")
    assert first is not None
    return first


def _require_common_data(runs: Sequence[Run]) -> None:
    seen = {str(run.path): (run.info["data"]["fingerprint"], run.info["levels"]) for run in runs}
    if len(set(seen.values())) > 1:
        raise ValueError(f"{' and '.join(seen)} were trained on different images")
