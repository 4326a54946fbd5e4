"""Bits per dimension of held-out images, one number per image, with standard errors."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit import decoders
from repr_toolkit.data import ImageSplit

if TYPE_CHECKING:
    from repr_toolkit.model import EncoderDecoder

T = TypeVar("T")

CPU = torch.device("cpu")
LOGITS = 2**27  # float32 values


@dataclass(frozen=True)
class Estimate:
    """A mean over ``count`` images with its standard error, sd/√count."""

    mean: float
    standard_error: float
    count: int

    @classmethod
    def of(cls, values: npt.NDArray[np.floating[Any]]) -> "Estimate":
        """Estimate from one value per image; ValueError for fewer than two values."""
        if len(values) < 2:
            raise ValueError(f"a standard error needs at least two images, not {len(values)}")
        values = values.astype(np.float64)
        error = values.std(ddof=1) / sqrt(len(values))
        return cls(float(values.mean()), float(error), len(values))


def other_images(count: int, seed: int = 0) -> Tensor:
    """For each of ``count`` images the index of another one, int64 (count,): no image its own.

    The images form one random cycle and each is given its successor. Raises ValueError for fewer
    than two images.
    """
    if count < 2:
        raise ValueError(f"another image's h needs at least two images, not {count}")
    cycle = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    others = torch.empty_like(cycle)
    others[cycle] = cycle.roll(-1)
    return others


def representations(
    model: "EncoderDecoder",
    split: ImageSplit,
    *,
    indices: Sequence[int] | None = None,
    batch_size: int = 256,
    progress: bool = False,
) -> Tensor | None:
    """h of every image of a split, in order: float32 (N, h_dim) on the CPU; None without encoder.

    Or of the images of ``indices`` only. Computed without gradients and without autocast, on the
    model's device and in the mode that the model is in (`load` gives it in eval mode).
    """
    if model.encoder is None:
        return None
    codes: list[Tensor] = []
    description = "encoding" if progress else None
    with exactly():
        for batch in _batches(split, indices, batch_size, model.device, description):
            code = model.encode(batch)
            assert code is not None
            codes.append(code.cpu())
    return torch.cat(codes)


def bits_per_dim(
    model: "EncoderDecoder",
    split: ImageSplit,
    *,
    batch_size: int = 256,
    h: Literal["true", "shuffled"] = "true",
    seed: int = 0,
    progress: bool = False,
) -> npt.NDArray[np.float64]:
    """−log₂ p(x|h) / (C·H·W) of every image of a split, in order: float64 (N,).

    With ``h="shuffled"`` every image is decoded from another image's h (`other_images` with
    ``seed``). The likelihood is computed in float32, without autocast, on the model's device; it is
    exact unless ``model.decoder.is_bound``. Raises ValueError for "shuffled" without an encoder,
    and when a likelihood is not finite.
    """
    codes = representations(model, split, batch_size=batch_size, progress=progress)
    if h == "shuffled":
        if codes is None:
            raise ValueError("the model has no encoder, so there is no h to shuffle")
        codes = codes[other_images(len(codes), seed)]
    elif h != "true":
        raise ValueError(f'h must be "true" or "shuffled", not {h!r}')
    return bits_given(model, split, codes, batch_size=batch_size, progress=progress)


def bits_given(
    model: "EncoderDecoder",
    split: ImageSplit,
    codes: Tensor | None,
    *,
    batch_size: int = 256,
    progress: bool = False,
) -> npt.NDArray[np.float64]:
    """Bits/dim of every image of a split, in order, given its row of ``codes``: float64 (N,).

    ``codes`` is (N, h_dim), or None for an unconditional decoder. At most ``batch_size`` images
    are taken at a time, fewer where their logits would fill more than half a gigabyte. Raises
    ValueError when a likelihood is not finite.
    """
    values = prod(model.decoder.image_shape) * model.decoder.levels
    batch_size = max(1, min(batch_size, LOGITS // values))
    bits: list[Tensor] = []
    start = 0
    description = "bits/dim" if progress else None
    with exactly():
        for batch in _batches(split, None, batch_size, model.device, description):
            stop = start + len(batch["image"])
            h = None if codes is None else codes[start:stop].to(model.device)
            log_prob = model.log_prob(batch, h).cpu().double()
            if not log_prob.isfinite().all():
                wrong = start + int((~log_prob.isfinite()).nonzero()[0])
                raise ValueError(f"the log-likelihood of image {wrong} of the split is not finite")
            bits.append(decoders.bits_per_dim(log_prob, model.decoder.image_shape))
            start = stop
    return torch.cat(bits).numpy()


def evaluate(
    run: Path, split: str = "test", *, batch_size: int = 256, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """Bits/dim of a finished run on a split of its data, ready for JSON.

    Keys: ``run``, ``split``, ``images``, ``levels``, ``likelihood`` ("exact" or "upper bound", of
    the bits), ``bits_per_dim``, and where there is an encoder ``bits_per_dim_other_h`` (another
    image's h) and ``difference`` (own minus other, paired by image). The last three hold ``mean``,
    ``standard_error`` and ``count``. Raises ValueError for a split that the data lacks.
    """
    from repr_toolkit.runs import Run, load

    model = load(run).to(fastest_device())
    images = Run(run).load_data().splits
    if split not in images:
        raise ValueError(f"the data have no split {split!r}; they have {', '.join(images)}")
    codes = representations(model, images[split], batch_size=batch_size, progress=progress)
    own = bits_given(model, images[split], codes, batch_size=batch_size, progress=progress)
    result: dict[str, Any] = {
        "run": str(run),
        "split": split,
        "images": len(own),
        "levels": model.decoder.levels,
        "likelihood": "upper bound" if model.decoder.is_bound else "exact",
        "bits_per_dim": asdict(Estimate.of(own)),
    }
    if codes is not None:
        codes = codes[other_images(len(codes), seed)]
        other = bits_given(model, images[split], codes, batch_size=batch_size, progress=progress)
        result["bits_per_dim_other_h"] = asdict(Estimate.of(other))
        result["difference"] = asdict(Estimate.of(own - other))
    return result


def fastest_device() -> torch.device:
    """The first CUDA device, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def exactly() -> Iterator[None]:
    """No gradients, no autocast, no TF32: results in the full precision of the weights."""
    device = fastest_device()
    with torch.no_grad(), decoders.full_precision(device), decoders.full_precision(CPU):
        yield


def track(items: Iterable[T], description: str, total: int) -> Iterable[T]:
    """Pass ``items`` on and show how many of ``total`` are done, on stderr, while it lasts."""
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    if not console.is_terminal:  # a bar is for looking at; a log would keep only its remains
        return items
    return rich_track(items, description, total, transient=True, console=console)


def _batches(
    split: ImageSplit,
    indices: Sequence[int] | None,
    batch_size: int,
    device: torch.device,
    description: str | None,
) -> Iterator[dict[str, Tensor]]:
    order = range(len(split)) if indices is None else indices
    chunks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    for chunk in track(chunks, description, len(chunks)) if description else chunks:
        yield {key: value.to(device) for key, value in split[chunk].items()}
