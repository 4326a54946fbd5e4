"""Completions of images of which a part is known (1601.06759, Figure 9)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from repr_toolkit.data import ImageSplit
from repr_toolkit.decoders import AutoregressiveDecoder, Decoder
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.runs.bits import log_likelihoods
from repr_toolkit.sampling.draw import decode
from repr_toolkit.support.speech import either

MASKS = ("top", "left", "box")


@dataclass(frozen=True)
class Completions:
    """Originals, what was known of them, and images drawn around it."""

    originals: Tensor
    """uint8 (N, C, H, W)"""
    mask: Tensor
    """bool (H, W), True where a pixel is known"""
    images: Tensor
    """uint8 (N, n, C, H, W)"""
    nats: Tensor
    """float64 (N, 1 + n): log p(x|h) of the original, and of each completion"""
    exact: bool
    """Whether each is a draw from p(unknown | known, h), at temperature 1: the known comes first"""


def complete(
    model: EncoderDecoder,
    batch: dict[str, Tensor],
    mask: Tensor,
    *,
    n: int = 4,
    seed: int = 0,
    own_noise: bool = False,
    **how: Any,
) -> Completions:
    """n completions of every image of a batch, of which `mask`, bool (H, W), says what is known.

    Completion j of every image has the noise of draw j; with `own_noise` each has noise of its own,
    so that images are independent cases. Where there is an encoder, h is that of
    the whole original, which it may tell of. `how` are further arguments of `decode`. Raises
    ValueError for a decoder that does not complete, and a mask of another size.
    """
    decoder, originals = model.decoder, batch["image"].cpu()
    if mask.shape != originals.shape[2:]:
        size, other = ("×".join(map(str, shape)) for shape in (originals.shape[2:], mask.shape))
        raise ValueError(f"the mask is of {other} pixels, and the images of {size}")
    h = None if model.encoder is None else encode_batch(model, batch)
    noise = common_noise(decoder, n * len(originals) if own_noise else n, seed)
    if own_noise:
        noise = noise.unflatten(0, (-1, n))
    images = decode(decoder, h, noise, known=originals, mask=mask, **how)
    shown = torch.cat([originals[:, None], images], dim=1)
    of_each = None if h is None else h.repeat_interleave(1 + n, 0)
    split = ImageSplit(
        {"image": shown.flatten(0, 1).numpy()}, np.arange(len(originals) * (1 + n)), decoder.levels
    )
    nats = log_likelihoods(model, split, [of_each], seed=seed)[0].unflatten(0, (-1, 1 + n))
    return Completions(originals, mask, images, nats, known_first(decoder, mask))


def known_first(decoder: Decoder, mask: Tensor) -> bool:
    """Whether all that is known comes before all else, or nothing depends on what came before."""
    if not isinstance(decoder, AutoregressiveDecoder):
        return True
    known = mask.expand(decoder.image_shape).flatten()[decoder.order.cpu()]
    return bool(known[: int(known.sum())].all())


def mask_of(name: str, size: tuple[int, int]) -> Tensor:
    """What is known, bool (H, W): the upper half, the left half, or all but the middle.

    For "top", "left" and "box", whose middle is half of either side; else white of the picture in a
    file. Raises ValueError, which names the file, for one that is no picture or of another size,
    FileNotFoundError for one that is not there.
    """
    height, width = size
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    if name == "top":
        return (rows < height // 2).expand(size).clone()
    if name == "left":
        return (columns < width // 2).expand(size).clone()
    if name == "box":
        middle = (rows >= height // 4) & (rows < height - height // 4)
        middle = middle & (columns >= width // 4) & (columns < width - width // 4)
        return ~middle
    try:
        with Image.open(Path(name)) as picture:
            grey = picture.convert("L")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{either('--mask', 'a mask')} is {', '.join(MASKS)} or a picture, and there is no "
            f"{name}"
        ) from error
    except Exception as error:  # Pillow's decoders raise errors of every kind
        raise ValueError(f"{name}: no picture, or damaged: {error}") from error
    if grey.size != (width, height):
        raise ValueError(
            f"{name} is a mask of {grey.height}×{grey.width} pixels, and the model's images are "
            f"of {height}×{width}"
        )
    return torch.from_numpy(np.asarray(grey) >= 128)
