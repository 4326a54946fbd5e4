"""Moves in h, decoded: what becomes of pictures as their h goes along directions."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.judge import Judge, obstacle, train_judge
from repr_toolkit.analyses.traversal.attributes import (
    Attribute,
    default_directions,
    find_direction,
)
from repr_toolkit.analyses.traversal.directions import Direction, even_steps, moves, of_one_length
from repr_toolkit.data import ImageData
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.kept import save_analysis
from repr_toolkit.sampling.draw import decode, reconstruction_temperature
from repr_toolkit.support.choose import choose_evenly, choose_originals, other_images
from repr_toolkit.support.console import bar
from repr_toolkit.support.stats import Number, wilson

if TYPE_CHECKING:
    from repr_toolkit.decoders import Decoder
    from repr_toolkit.models.autoencoder import EncoderDecoder
    from repr_toolkit.runs.run import Run

TRAINING_IMAGES = 20_000  # at the most, whose h the directions are found in


def traverse(
    decoder: "Decoder",
    h: Tensor,
    direction: Direction,
    alphas: Sequence[float],
    noise: Tensor,
    *,
    keep_length: bool = False,
    temperature: float = 1.0,
    engine: str = "auto",
    batch_size: int = 256,
) -> Tensor:
    """What each row of h (N, h_dim) gives at every α along a direction: uint8 (N, S, C, H, W).

    ``noise`` is (C, H, W) for all rows or (N, C, H, W); along a row it is the same, so that only h
    moves, and where α is 0 stands the row's own reconstruction. On the CPU. Raises ValueError where
    `move` and `decode` do.
    """
    steps = len(alphas)
    path = moves(h, direction, alphas, keep_length=keep_length).flatten(0, 1)
    noise = noise.expand(len(h), *noise.shape[-3:]).repeat_interleave(steps, 0)
    images = decode(
        decoder,
        path,
        noise[:, None],
        temperature=temperature,
        engine=engine,
        batch_size=batch_size,
    )
    frames: Tensor = images.unflatten(0, (len(h), steps)).squeeze(2)
    return frames


@dataclass(frozen=True, eq=False)
class Along:
    """One direction's frames, and what was measured of them."""

    spec: str
    direction: Direction
    alphas: list[float]
    frames: Tensor  # uint8 (N, S, C, H, W) of the images to show
    change: list[float] | None  # from each α to the next, in mean absolute intensities of [0, 1]
    attribute: Attribute | None
    judged: list[Number] | None  # of the measured images at each α, judged to have the attribute

    def as_dict(self) -> dict[str, Any]:
        return {
            "along": self.spec,
            "name": self.direction.name,
            "scale": self.direction.scale,
            "unit": self.direction.unit,
            "alphas": self.alphas,
            "change": self.change,
            "attribute": self.attribute and vars(self.attribute),
            "judged": self.judged and [share.as_dict() for share in self.judged],
        }


@dataclass(frozen=True, eq=False)
class Moves:
    """Several directions' frames of the same images."""

    protocol: dict[str, Any]
    levels: int
    images: Tensor  # uint8 (N, C, H, W), the originals
    along: list[Along]
    judges: list[Judge]
    between_images: float | None  # mean absolute intensity by which two real images differ

    def as_dict(self) -> dict[str, Any]:
        """The numbers and the protocol, ready for JSON."""
        return {
            **self.protocol,
            "levels": self.levels,
            "between_images": self.between_images,
            "judges": [judge.as_dict() for judge in self.judges],
            "directions": [along.as_dict() for along in self.along],
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What an .npz holds: ``image`` uint8 (N, C, H, W), the originals; ``frames`` uint8
        (directions, N, S, C, H, W); ``alphas`` float64 (directions, S); ``name``; ``levels``.
        """
        return {
            "image": self.images.numpy(),
            "frames": torch.stack([along.frames for along in self.along]).numpy(),
            "alphas": np.array([along.alphas for along in self.along]),
            "name": np.array([along.direction.name for along in self.along]),
            "levels": np.asarray(self.levels),
        }

    def save(self, run: Path, *, keep: bool = False) -> Path | None:
        """Write moves.json and moves.npz into the analysis folder of a run.

        In the place of another question's only with ``keep``; see `save_analysis`.
        """
        return save_analysis(run, "moves", self.as_dict(), self.arrays(), keep=keep)


class Mover:
    """A run's directions in h, found in the h of its training images, and moves along them.

    Raises ValueError for a model without encoder, and a split that the data lacks.
    """

    def __init__(
        self,
        run: "Run",
        model: "EncoderDecoder",
        split: str = "test",
        *,
        keep_length: bool | None = None,
        seed: int = 0,
        temperature: float | None = None,
        engine: str = "auto",
        batch_size: int = 256,
        progress: bool = False,
    ) -> None:
        """``keep_length`` is by default whether all training h have the same length."""
        if model.encoder is None:
            raise ValueError(f"{run.path} has no encoder: there is no h to move")
        self.run, self.model, self.data = run, model, run.load_data()
        self.split_name, self.split = split, self.data.split(split)
        self.seed, self.engine, self.batch_size = seed, engine, batch_size
        self.temperature = reconstruction_temperature(model.decoder, temperature)
        self.progress = progress
        self.indices = {
            name: choose_evenly(len(self.data.splits[name]), TRAINING_IMAGES)
            for name in ("train", "val")
        }
        self.h = {name: self.codes(name, rows).numpy() for name, rows in self.indices.items()}
        self.keep_length = of_one_length(self.h["train"]) if keep_length is None else keep_length
        self._judges: dict[str, Judge] = {}

    def codes(self, split: str, indices: Sequence[int]) -> Tensor:
        """h of images of a split: float32 (N, h_dim)."""
        images = self.data.splits[split]
        h = encode_split(self.model, images, indices=indices, batch_size=self.batch_size)
        assert h is not None
        return h

    def move(
        self,
        specs: Sequence[str] | None = None,
        *,
        steps: int = 9,
        span: float | None = None,
        alphas: Sequence[float] | None = None,
        given: tuple[Tensor, Tensor] | None = None,
        shown: int = 3,
        measured: int = 64,
    ) -> Moves:
        """Traverse the directions that texts name (`attributes.KINDS`; by default
        `default_directions`).

        By ``alphas``, or in ``steps`` equal ones from −span to span, by default each direction's
        own. To show are the images and their h that are ``given``, else ``shown`` images of the
        split. The numbers are of ``measured`` images of the split (at least those to show), spread
        evenly, each with noise of its own; there are none for 0. Raises ValueError for texts that
        name no direction, and what `even_steps` raises.
        """
        names = default_directions(self.data, self.h["train"].shape[1]) if specs is None else specs
        # All are found before the first is drawn: a misspelt one is told at once.
        found = [find_direction(spec, self.data, self.h, self.indices) for spec in names]
        chosen = choose_evenly(len(self.split), max(measured, 0 if given else shown))
        images = self.split[chosen]["image"]
        h = self.codes(self.split_name, chosen) if chosen else None
        rows = choose_originals(len(chosen), shown, self._labels(chosen))
        along: list[Along] = []
        with bar("traversing", len(found), shown=self.progress) as show:
            for spec, (direction, attribute) in zip(names, found, strict=True):
                at = list(alphas or even_steps(direction.span if span is None else span, steps))
                frames = None if h is None else self._frames(h, direction, at)
                pictured = self._frames(given[1], direction, at) if given else None
                if pictured is None:
                    assert frames is not None
                    pictured = frames[rows]
                moved = judged = None
                if frames is not None and measured:
                    moved = change(frames, self.data.levels)
                    judged = self._judged(frames, attribute)
                along.append(Along(spec, direction, at, pictured, moved, attribute, judged))
                show(len(along))
        judging = dict.fromkeys(a.attribute.key for a in along if a.attribute and a.judged)
        protocol = self._protocol(len(chosen) if measured else 0)
        if given is None and alphas is None:
            command = self._command(specs, shown, measured, steps, span)
            protocol = {"command": command, **protocol}
        return Moves(
            protocol,
            self.data.levels,
            given[0] if given else images[rows],
            along,
            [self._judges[key] for key in judging],
            self._between(images) if measured > 1 else None,
        )

    def _command(
        self, specs: Sequence[str] | None, shown: int, measured: int, steps: int, span: float | None
    ) -> str:
        """The command, for a shell, that traverses the same directions again."""
        words = ["repr-toolkit", "traverse", str(self.run.path), "--split", self.split_name]
        words += ["--along", *specs] if specs else []
        words += ["--images", str(shown), "--measure", str(measured), "--steps", str(steps)]
        words += ["--seed", str(self.seed), "--temperature", f"{self.temperature:.15g}"]
        if self.keep_length != of_one_length(self.h["train"]):
            words += ["--length", "keep" if self.keep_length else "free"]
        return shlex.join(words + ([] if span is None else ["--span", f"{span:.15g}"]))

    def _frames(self, h: Tensor, direction: Direction, alphas: Sequence[float]) -> Tensor:
        return traverse(
            self.model.decoder,
            h,
            direction,
            alphas,
            common_noise(self.model.decoder, len(h), self.seed),
            keep_length=self.keep_length,
            temperature=self.temperature,
            engine=self.engine,
            batch_size=self.batch_size,
        )

    def _judged(self, frames: Tensor, attribute: Attribute | None) -> list[Number] | None:
        """The share of the frames (N, S, C, H, W) judged to have the attribute, at each step."""
        if attribute is None or obstacle(self.data, attribute.key, self.split_name):
            return None
        if attribute.key not in self._judges:
            self._judges[attribute.key] = train_judge(
                self.data, attribute.key, self.split_name, seed=self.seed
            )
        codes = self._judges[attribute.key].judge(frames.flatten(0, 1)).reshape(frames.shape[:2])
        hits = (codes == attribute.code).sum(0)
        return [wilson(int(count), len(frames)) for count in hits]

    def _between(self, images: Tensor) -> float:
        """How far two different images are from each other, on average over one random cycle."""
        others = images[other_images(len(images), self.seed)]
        return mean_distance(images, others, self.data.levels)

    def _labels(self, chosen: Sequence[int]) -> Tensor | None:
        return self.split.column("label")[list(chosen)] if "label" in self.split.keys else None

    def _protocol(self, measured: int) -> dict[str, Any]:
        data: ImageData = self.data
        return {
            "run": str(self.run.path),
            "data": data.name,
            "fingerprint": data.fingerprint,
            "split": self.split_name,
            "seed": self.seed,
            "temperature": self.temperature,
            "keep_length": self.keep_length,
            "measured_images": measured,
            "train_images": len(self.indices["train"]),
        }


def change(frames: Tensor, levels: int = 256) -> list[float]:
    """How far pictures move from each step to the next: S − 1 means over frames (N, S, C, H, W).

    Mean absolute differences of intensities in [0, 1].
    """
    return [
        mean_distance(frames[:, step], frames[:, step + 1], levels)
        for step in range(frames.shape[1] - 1)
    ]


def mean_distance(a: Tensor, b: Tensor, levels: int = 256) -> float:
    """The mean absolute difference of two batches of images, in intensities of [0, 1]."""
    return float((a.double() - b.double()).abs().mean() / (levels - 1))
