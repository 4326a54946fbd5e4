"""Controls: h of other images, no h, and what the single coordinates and directions of h do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.information.code_lengths import image_bits
from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.data import ImageSplit
from repr_toolkit.support.choose import choose_evenly, other_h

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder


@dataclass(frozen=True, eq=False)
class Part:
    """Bits that a coordinate or direction of h is worth on each image.

    `share` is the part of h's total variance that lies along it, where that was asked for.
    """

    name: str
    worth: Usable
    share: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        share = {} if self.share is None else {"share_of_variance": self.share}
        return {"name": self.name, **share, **self.worth.as_dict()}


def sensitivity(
    model: "EncoderDecoder",
    split: ImageSplit,
    h: Tensor,
    *,
    along: str = "coordinates",
    parts: int = 32,
    images: int = 256,
    seed: int = 0,
    **options: Any,
) -> list[Part]:
    """Bits that an image costs more when one part of its h is that of another image.

    `along` "coordinates" resamples the single numbers of h, "principal" its coefficients along
    the principal directions; of either the first `parts` by variance, most sensitive first in
    the result. `h` (N, h_dim) is that of the split's images, of which `images` spread evenly
    over the split are read; of each part those count that `other_h` gives another value of it.
    It is a *sensitivity*, not information: each part keeps its marginal
    distribution, but the h that are put together so need not be any image's. `options` are those
    of `log_likelihoods`.

    Raises ValueError for another `along`.
    """
    values = h.double()
    centred = values - values.mean(0)
    if along == "coordinates":
        axes = torch.eye(h.shape[1], dtype=torch.float64)
        names = [f"h[{j}]" for j in range(h.shape[1])]
    elif along == "principal":
        axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1).T
        names = [f"direction {k + 1}" for k in range(len(axes))]
    else:
        raise ValueError(f'along is "coordinates" or "principal", not {along!r}')
    weights = centred @ axes.T  # (N, axes)
    variance = weights.square().mean(0)
    largest = variance.argsort(descending=True, stable=True)[:parts].tolist()
    chosen = choose_evenly(len(split), images)
    tables, counted = [], []
    for k in largest:
        others, differ = other_h(weights[:, [k]].float(), seed)  # float32 knows no rounding apart
        step = (weights[others, k] - weights[:, k])[chosen]
        tables.append(values[chosen] + step[:, None] * axes[k])
        counted.append(differ[chosen].numpy())
    intact, *resampled = image_bits(
        model,
        split,
        [table.to(h.dtype) for table in (values[chosen], *tables)],
        indices=chosen,
        **options,
    )
    share = (variance / variance.sum().clamp_min(torch.finfo(torch.float64).tiny)).tolist()
    return _sorted(
        [
            Part(names[k], _worth(bits - intact, among, split, chosen), share[k])
            for k, bits, among in zip(largest, resampled, counted, strict=True)
        ]
    )


def _worth(
    bits: npt.NDArray[np.float64],
    among: npt.NDArray[np.bool_],
    split: ImageSplit,
    chosen: Sequence[int],
) -> Usable:
    """Bits of the images `among` those chosen, or of all where these are fewer than two."""
    counted = np.flatnonzero(among if among.sum() > 1 else np.ones_like(among))
    return Usable(bits[counted], split.groups(np.asarray(chosen)[counted]))


def hides_parts(model: "EncoderDecoder") -> bool:
    """Whether a model's encoder was trained with random coordinates hidden."""
    return hasattr(model.encoder, "masked")


def masked_tables(
    model: "EncoderDecoder", split: ImageSplit, indices: Sequence[int], keeps: Sequence[Tensor]
) -> list[Tensor]:
    """h of images under each mask, bool (m,), of an encoder that hides coordinates."""
    encoder: Any = model.encoder
    numbers = split.column(encoder.source)[list(indices)]
    return [encoder.masked(numbers, keep) for keep in keeps]


@dataclass(frozen=True, eq=False)
class CoordinateBits:
    """What a masked decoder says: bits of all of h over its own null, and of each coordinate."""

    against_own_null: Usable
    coordinates: list[Part]


def coordinate_bits(
    models: "Sequence[EncoderDecoder]", split: ImageSplit, *, images: int = 256, **options: Any
) -> CoordinateBits:
    """CE(x|h without h_j) − CE(x|h) of each coordinate j, most bits first, from one network.

    The network is one whose encoder hides random coordinates in training (`MaskedCoordinates`); a
    coordinate that repeats others is worth nothing beside them. Its null is the same network with
    all coordinates hidden. `models` are trainings of it by several seeds, or one. `images` of the
    split are read, spread evenly. `options` are those of `log_likelihoods`.

    Raises ValueError for a model with any other encoder.
    """
    if not all(map(hides_parts, models)):
        raise ValueError(
            "bits of single coordinates need a decoder that was trained with random coordinates "
            "hidden: train one on repr_toolkit.encoders.MaskedCoordinates"
        )
    encoder: Any = models[0].encoder
    count: int = encoder.count
    everything = torch.ones(count, dtype=torch.bool)
    keeps = [everything, ~everything, *~torch.eye(count, dtype=torch.bool)]
    chosen = choose_evenly(len(split), images)
    of_seeds = []
    for model in models:
        tables = masked_tables(model, split, chosen, keeps)
        intact, *masked = image_bits(model, split, tables, indices=chosen, **options)
        of_seeds.append(np.stack(masked) - intact)
    all_bits, *part_bits = np.stack(of_seeds, axis=1)  # (seeds, images) each
    groups = split.groups(chosen)
    parts = [Part(f"h[{j}]", Usable(bits, groups)) for j, bits in enumerate(part_bits)]
    return CoordinateBits(Usable(all_bits, groups), _sorted(parts))


def _sorted(parts: list[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: -part.worth.mean)
