"""h of a batch and of a whole split."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.data.images import require_finite
from repr_toolkit.decoders.precision import evaluating
from repr_toolkit.encoders import Encoder
from repr_toolkit.models.precision import exactly
from repr_toolkit.models.side_by_side import side_by_side
from repr_toolkit.support.console import bar

if TYPE_CHECKING:
    from repr_toolkit.models.learner import Learner


CPU_IMAGES = 16  # of a batch on the CPU; larger ones leave the caches


def require_readable(
    encoder: Encoder,
    data: ImageData,
    name: str,
    mend: str = "; state that one, or make the data with the other",
) -> None:
    """Raise ValueError unless an encoder reads the data: its key of a batch, from its maker.

    Numbers are to be finite, and such as the encoder's `require` takes, if it has one. `mend` says
    what to do about data of another maker.
    """
    if encoder.source not in data.arrays:
        keys = ", ".join(data.arrays)
        raise ValueError(f"{name} reads {encoder.source!r}, but {data.name} has {keys}")
    values = data.arrays[encoder.source]
    if values.dtype.kind == "f":
        require_finite(values, f"{encoder.source!r} of {data.name}")
    if require := getattr(encoder, "require", None):
        for split in data.splits.values():
            require(split.column(encoder.source))
    made_by = getattr(encoder, "made_by", None)
    if made_by is not None and data.encoder not in (None, made_by):
        raise ValueError(
            f"{name} is for embeddings made by {made_by!r} (made_by), but those of {data.name} "
            f"were made by {data.encoder!r}{mend}"
        )


def encode_split(
    model: "Learner",
    split: ImageSplit,
    *,
    indices: Sequence[int] | None = None,
    batch_size: int = 256,
    progress: bool = False,
) -> Tensor:
    """The code of a split's images, or of `indices` of it: float32 (N, d) on the CPU, in order.

    It is h, or a flow's z where there is no encoder (`EncoderDecoder.code`). Computed as by
    `encode_by`, on the model's device and in eval mode. Raises ValueError for a model without code.
    """
    model, name = model.coded, "encoding"
    with evaluating(model):  # once, before the threads of which each would change the mode
        return encode_by(model.encode, split, indices, batch_size, model.device, name, progress)


def effective_dimension(h: Tensor) -> float:
    """In how many directions h (N, d) varies: (Σ λ)² / Σ λ² of its covariance's eigenvalues λ.

    The participation ratio: d where h varies alike in all directions, 1 where it does along one.
    """
    centred = h.double().flatten(1)
    centred = centred - centred.mean(0)
    covariance = centred.T @ centred if centred.shape[1] < len(centred) else centred @ centred.T
    return float(covariance.trace() ** 2 / covariance.square().sum().clamp_min(1e-300))


def encode_by(
    encode: Callable[[Mapping[str, Tensor]], Tensor | None],
    split: ImageSplit,
    indices: Sequence[int] | None,
    batch_size: int,
    device: torch.device,
    description: str = "",
    progress: bool = False,
) -> Tensor:
    """The values of `encode` for the images of a split, or of `indices` of it, in order.

    Returns (N, d) on the CPU. `encode` gets batches on `device`, without gradients and in full
    precision, and returns (B, d); on a CPU several threads call it, each for a batch.
    """
    if device.type == "cpu":
        batch_size = min(batch_size, CPU_IMAGES)
    read = batches(split, indices, batch_size, device, description, progress)
    with exactly():
        parts = [*side_by_side(lambda batch: _required(encode(batch)), read, device)]
    return torch.cat(parts).cpu()


def batches(
    split: ImageSplit,
    indices: Sequence[int] | None,
    batch_size: int,
    device: torch.device,
    description: str = "",
    progress: bool = False,
) -> Iterator[dict[str, Tensor]]:
    """Batches of a split, or of `indices` of it, on a device; `progress` shows a bar."""
    order = range(len(split)) if indices is None else indices
    with bar(description, len(order), shown=progress) as show:
        for start in range(0, len(order), batch_size):
            batch = split[order[start : start + batch_size]]
            yield {key: to_device(value, device) for key, value in batch.items()}
            show(min(start + batch_size, len(order)))


def to_device(value: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device, without waiting for a CUDA device."""
    if device.type != "cuda" or value.device.type != "cpu":
        return value.to(device)
    return value.pin_memory().to(device, non_blocking=True)


def encode_batch(model: "Learner", batch: Mapping[str, Tensor]) -> Tensor:
    """The code of a batch, (B, d) on the model's device, in full precision; see `encode_split`.

    Raises ValueError for a model without code.
    """
    model = model.coded
    with exactly(), evaluating(model):
        h = model.encode({key: value.to(model.device) for key, value in batch.items()})
    return _required(h).clone()  # an ordinary tensor, no longer one of inference mode


def _required(h: Tensor | None) -> Tensor:
    if h is None:
        raise ValueError("the model has no encoder, and so no h")
    return h
