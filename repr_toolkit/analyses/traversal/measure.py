"""What becomes of pictures as their h moves along directions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.analyses.classification.pixel_classifiers import PixelClassifier
from repr_toolkit.analyses.judge import obstacle, train_judge
from repr_toolkit.analyses.traversal.directions import Direction, even_steps, move, of_one_length
from repr_toolkit.analyses.traversal.named import default_directions, find_directions
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.sampling.draw import decode, reconstruction_temperature
from repr_toolkit.support.choose import choose_evenly, choose_originals, other_images
from repr_toolkit.support.console import bar
from repr_toolkit.support.stats import share

if TYPE_CHECKING:
    from repr_toolkit.decoders import Decoder

TRAINING_IMAGES = 20_000
"""The most training images whose h the directions are made of."""


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
) -> Tensor:
    """The pictures of each row of h (N, h_dim) at each α: uint8 (N, S, C, H, W) on the CPU.

    `noise` is (C, H, W), one for all rows, or (N, C, H, W). A row has the same noise at every α, so
    that only h moves; where α is 0 stands the reconstruction. Raises ValueError where `move` and
    `decode` do.
    """
    steps = len(alphas)
    moved = torch.stack([move(h, direction, a, keep_length=keep_length) for a in alphas], 1)
    noise = noise.expand(len(h), *noise.shape[-3:]).repeat_interleave(steps, 0)
    images = decode(
        decoder,
        moved.flatten(0, 1),
        noise[:, None],
        temperature=temperature,
        engine=engine,
    )
    frames: Tensor = images.unflatten(0, (len(h), steps)).squeeze(2)
    return frames


def measure(
    run: Run,
    split: str = "test",
    *,
    along: Sequence[str] | None = None,
    steps: int = 9,
    span: float | None = None,
    alphas: Sequence[float] | None = None,
    images: int | Sequence[int] = 3,
    pictures: tuple[Tensor, Tensor] | None = None,
    measured: int = 64,
    keep_length: bool | None = None,
    seed: int = 0,
    temperature: float | None = None,
    engine: str = "auto",
    progress: bool = False,
) -> Result:
    """Move the h of some images along directions, decode it, and measure how the pictures change.

    Of a flow without encoder h is z.

    Args:
        along: Names of directions (`named.KINDS`), by default `default_directions`. They are
            made of the h of training images.
        steps: The number of values of α, equally spaced from −span to span.
        span: By default each direction's own (`Direction.span`).
        alphas: The values of α, in place of `steps` and `span`.
        images: How many images of the split to show, or the numbers of those to show.
        pictures: Images uint8 (N, C, H, W) to show in their place, and their h (N, h_dim).
        measured: How many images of the split the numbers are of, spread evenly over it (at least
            those to show), each with noise of its own; 0 measures nothing.
        keep_length: Whether h keeps its length, by default where all training h have one length.
        temperature: By default the decoder's `reconstruction_temperature`.

    The arrays are `image` uint8 (N, C, H, W), the images shown, and their `frames` uint8
    (directions, N, S, C, H, W); `alphas` float64 (directions, S), the `name` of each direction, and
    `levels`. The change of a direction is the mean absolute difference of pictures from each α to
    the next, S − 1 values in intensities of [0, 1].

    Raises FileNotFoundError for an unfinished run, and ValueError for a run without code, a split
    or an image that the data lack, a name of no direction, and where `even_steps` does.
    """
    model = load_with_decoder(run).coded
    if model.encoder is None:
        raise ValueError(f"{run.path} has no encoder: there is no h to move")
    data = run.load_data()
    held_out = data.split(split)
    sources = {
        name: choose_evenly(len(data.splits[name]), TRAINING_IMAGES) for name in ("train", "val")
    }
    h = {
        name: encode_split(model, data.splits[name], indices=rows).numpy()
        for name, rows in sources.items()
    }
    if keep_length is None:
        keep_length = of_one_length(h["train"])
    names = default_directions(data, h["train"].shape[1]) if along is None else along
    # All before the first is drawn, so that a misspelt one is an error at once.
    directions = find_directions(names, data, h, sources)
    if not isinstance(images, int):
        data.require_images(split, images)
        pictures = held_out[list(images)]["image"], encode_split(model, held_out, indices=images)
        images = 0
    at_least = images if pictures is None else 0
    chosen = choose_evenly(len(held_out), max(measured, at_least))
    if not chosen and pictures is None:
        raise ValueError("there are no images to move: none to show, and none to measure")
    originals = held_out[chosen]["image"]
    labels = held_out.column("label")[chosen] if "label" in held_out.keys else None
    rows = choose_originals(len(chosen), at_least, labels)
    chosen_h = encode_split(model, held_out, indices=chosen) if chosen else None
    temperature = reconstruction_temperature(model.decoder, temperature)
    how: dict[str, Any] = {
        "keep_length": keep_length,
        "temperature": temperature,
        "engine": engine,
    }
    judges: dict[str, tuple[PixelClassifier, dict[str, Any]]] = {}
    results: list[dict[str, Any]] = []
    strips: list[Tensor] = []
    with bar("traversing", len(directions), shown=progress) as show:
        for name, (direction, attribute) in zip(names, directions, strict=True):
            at = alphas or even_steps(direction.span if span is None else span, steps)
            changes = judged = None
            if chosen_h is not None:
                noise = common_noise(model.decoder, len(chosen), seed)
                frames = traverse(model.decoder, chosen_h, direction, at, noise, **how)
                shown = frames[rows]
            if measured:
                changes = change(frames, data.levels)
            if measured and attribute and obstacle(data, attribute.key, split) is None:
                if attribute.key not in judges:
                    judges[attribute.key] = train_judge(data, attribute.key, split, seed=seed)
                codes = judges[attribute.key][0].classify(frames.flatten(0, 1))
                hits = codes.reshape(frames.shape[:2]) == attribute.code
                judged = [share(hit, held_out.groups(chosen)) for hit in hits.T]
            if pictures is not None:
                noise = common_noise(model.decoder, len(pictures[0]), seed)
                shown = traverse(model.decoder, pictures[1], direction, at, noise, **how)
            strips.append(shown)
            results.append(
                {
                    "along": name,
                    "name": direction.name,
                    "scale": direction.scale,
                    "unit": direction.unit,
                    "at_end": direction.at_end,
                    "alphas": [float(alpha) for alpha in at],
                    "change": changes,
                    "attribute": attribute,
                    "judged": judged,
                }
            )
            show(len(results))
    images_shown = originals[rows] if pictures is None else pictures[0]
    options = {
        "split": split,
        "seed": seed,
        "temperature": temperature,
        "keep_length": keep_length,
    }
    between = None
    if measured > 1:  # each image and another one; the pairs form one random cycle
        others = originals[other_images(len(originals), seed)]
        between = mean_distance(originals, others, data.levels)
    numbers = {
        "run": str(run.path),
        "data": data.name,
        "levels": data.levels,
        **options,
        "measured_images": measured and len(chosen),
        "train_images": len(sources["train"]),
        "between_images": between,
        "judges": [facts for _, facts in judges.values()],
        "directions": results,
    }
    asked = {
        **options,
        "images": len(images_shown),
        "measure": measured and len(chosen),
        "along": [[along["along"], *along["alphas"]] for along in results],
    }
    arrays = {
        "image": images_shown.numpy(),
        "frames": torch.stack(strips).numpy(),
        "alphas": np.array([along["alphas"] for along in results]),
        "name": np.array([along["name"] for along in results]),
        "levels": np.asarray(data.levels),
    }
    return Result(asked, numbers, arrays)


def change(frames: Tensor, levels: int = 256) -> list[float]:
    """How far pictures move from each step to the next: S − 1 means over frames (N, S, C, H, W).

    Mean absolute differences of intensities in [0, 1].
    """
    pairs = zip(frames.unbind(1)[:-1], frames.unbind(1)[1:], strict=True)
    return [mean_distance(before, after, levels) for before, after in pairs]


def mean_distance(a: Tensor, b: Tensor, levels: int = 256) -> float:
    """The mean absolute difference of two batches of images, in intensities of [0, 1]."""
    return float((a.double() - b.double()).abs().mean() / (levels - 1))
