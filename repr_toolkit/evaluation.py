"""Bits per dimension of held-out images, one number per image, with standard errors."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import sqrt
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit import decoders
from repr_toolkit.bars import bar
from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.decoders.noise import likelihood_noise

if TYPE_CHECKING:
    from repr_toolkit.learner import Learner
    from repr_toolkit.model import EncoderDecoder

CPU = torch.device("cpu")
LOGITS = 2**27  # float32 values that a batch may fill
CPU_PIXELS = 2**14  # of a batch on the CPU, where larger ones leave its caches for twice the time


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
    model: "Learner",
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
    with exactly():
        for batch in _batches(split, indices, batch_size, model.device, "encoding", progress):
            code = model.encode(batch)
            assert code is not None
            codes.append(code)
    return torch.cat(codes).cpu()


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
    how: dict[str, Any] = {"batch_size": batch_size, "seed": seed, "progress": progress}
    [bits] = bits_given(model, split, [codes], **how)
    return bits


def bits_given(
    model: "EncoderDecoder",
    split: ImageSplit,
    tables: Sequence[Tensor | None],
    *,
    batch_size: int = 256,
    seed: int = 0,
    progress: bool = False,
) -> list[npt.NDArray[np.float64]]:
    """Bits/dim of every image of a split, in order, given its row of each table of h: float64 (N,).

    A table is (N, h_dim), or None for an unconditional decoder; there is one result for each, all
    from one reading of the images. At most ``batch_size`` images are taken at a time, fewer where
    that is faster (on the CPU) or their logits would fill more than half a gigabyte. A stochastic
    likelihood takes an image's noise by ``seed`` and its number, the same for every table. Raises
    ValueError when a likelihood is not finite.
    """
    batch_size = likelihood_batch(model, batch_size)
    nats: list[list[Tensor]] = [[] for _ in tables]
    start = 0
    with exactly():
        for batch in _batches(split, None, batch_size, model.device, "bits/dim", progress):
            stop = start + len(batch["image"])
            noise = likelihood_noise(model.decoder, range(start, stop), seed)
            for codes, of_table in zip(tables, nats, strict=True):
                h = None if codes is None else _moved(codes[start:stop], model.device)
                of_table.append(model.log_prob(batch, h, noise))
            start = stop
    # Not before: what the device is asked for in between, it would be waited for.
    return [_bits(torch.cat(of_table), model.decoder.image_shape) for of_table in nats]


def likelihood_batch(model: "EncoderDecoder", most: int) -> int:
    """How many images to take at a time for their likelihood, at most ``most``.

    Fewer where that is faster (on the CPU) or their logits would fill more than half a gigabyte.
    """
    _, height, width = model.decoder.image_shape
    most = min(most, LOGITS // model.decoder.values_per_image)
    if model.device.type == "cpu":
        most = min(most, CPU_PIXELS // (height * width))
    return max(1, most)


def _bits(log_prob: Tensor, image_shape: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    log_prob = log_prob.cpu().double()
    if not log_prob.isfinite().all():
        wrong = int((~log_prob.isfinite()).nonzero()[0])
        raise ValueError(f"the log-likelihood of image {wrong} of the split is not finite")
    bits: npt.NDArray[np.float64] = decoders.bits_per_dim(log_prob, image_shape).numpy()
    return bits


def evaluate(
    run: Path, split: str = "test", *, batch_size: int = 256, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """Bits/dim of a finished run on a split of its data, ready for JSON.

    Keys: ``run``, ``split``, ``images``, ``levels``, ``likelihood`` ("exact" or "upper bound", of
    the bits), ``bits_per_dim``, and where there is an encoder ``bits_per_dim_other_h`` (another
    image's h) and ``difference`` (own minus other, paired by image). The last three hold ``mean``,
    ``standard_error`` and ``count``. Raises ValueError for a split that the data lacks.
    """
    from repr_toolkit.runs import Run, load_with_decoder

    model = load_with_decoder(run).to(fastest_device())
    images = choose_split(Run(run).load_data(), split)
    codes = representations(model, images, batch_size=batch_size, progress=progress)
    tables = [codes] if codes is None else [codes, codes[other_images(len(codes), seed)]]
    own, *others = bits_given(
        model, images, tables, batch_size=batch_size, seed=seed, progress=progress
    )
    result: dict[str, Any] = {
        "run": str(run),
        "split": split,
        "images": len(own),
        "levels": model.decoder.levels,
        "likelihood": model.decoder.likelihood_label,
        "bits_per_dim": asdict(Estimate.of(own)),
    }
    for other in others:
        result["bits_per_dim_other_h"] = asdict(Estimate.of(other))
        result["difference"] = asdict(Estimate.of(own - other))
    return result


def choose_split(data: ImageData, name: str) -> ImageSplit:
    """A split of a data set by its name; ValueError, naming those there are, if it has none."""
    if name not in data.splits:
        raise ValueError(f"the data have no split {name!r}; they have {', '.join(data.splits)}")
    return data.splits[name]


def fastest_device() -> torch.device:
    """This process's CUDA device, the first unless torchrun or srun say, or else the CPU."""
    if not torch.cuda.is_available():
        return CPU
    local_rank = int(environ.get("LOCAL_RANK") or environ.get("SLURM_LOCALID") or 0)
    return torch.device("cuda", local_rank % torch.cuda.device_count())


@contextmanager
def exactly() -> Iterator[None]:
    """No gradients, no autocast, no TF32: results in the full precision of the weights."""
    device = fastest_device()
    with torch.inference_mode(), decoders.full_precision(device), decoders.full_precision(CPU):
        yield


def _batches(
    split: ImageSplit,
    indices: Sequence[int] | None,
    batch_size: int,
    device: torch.device,
    description: str,
    progress: bool,
) -> Iterator[dict[str, Tensor]]:
    order = range(len(split)) if indices is None else indices
    with bar(description, len(order), shown=progress) as show:
        for start in range(0, len(order), batch_size):
            batch = split[order[start : start + batch_size]]
            yield {key: _moved(value, device) for key, value in batch.items()}
            show(min(start + batch_size, len(order)))


def _moved(value: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on the device; a CUDA device works on meanwhile."""
    if device.type != "cuda":
        return value.to(device)
    return value.pin_memory().to(device, non_blocking=True)
