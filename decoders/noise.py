"""The noise that draws and stochastic likelihoods take, by number and seed."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Law = Literal["uniform", "normal"]
"""Uniform in [0, 1), or standard normal."""


class TakesNoise(Protocol):
    """What a decoder states of its noise."""

    @property
    def image_shape(self) -> tuple[int, int, int]: ...
    @property
    def sampling_noise(self) -> Law: ...
    @property
    def likelihood_noise(self) -> Law | None: ...


def common_noise(decoder: TakesNoise, draws: int | Iterable[int], seed: int = 0) -> Tensor:
    """The noise of the draws of these numbers, or of the first so many: float32 (n, C, H, W).

    On the CPU, of the decoder's `sampling_noise`. That of draw j depends on the law, the seed, j
    and the shape alone: it is the same for every image and every model of that shape, on any
    device, and however many draws there are and whoever makes them. Raises ValueError for a seed
    beyond 64 bits.
    """
    return _noise(decoder.sampling_noise, decoder.image_shape, draws, seed, stream=0)


def likelihood_noise(
    decoder: TakesNoise, images: Iterable[int], seed: int = 0, draw: int = 0
) -> Tensor | None:
    """The noise that `log_prob` takes for the images of these numbers: float32 (n, C, H, W).

    On the CPU, of the decoder's `likelihood_noise`; None where that is None. As in `common_noise`
    an image's noise depends on its number, not on its batch, so that all that one image is coded
    by can be given the same. Further draws of it, 1, 2 …, are independent of each other.
    """
    if decoder.likelihood_noise is None:
        return None
    stream = 2 + draw if draw else 1  # 2 is `noise_beside`'s
    return _noise(decoder.likelihood_noise, decoder.image_shape, images, seed, stream=stream)


def check_noise(noise: Tensor, shape: tuple[int, ...], law: Law, *, values: bool = True) -> None:
    """Raise TypeError or ValueError unless noise can be of that law and is of that shape.

    Looking at its `values` waits for their device.
    """
    if not noise.is_floating_point():
        raise TypeError(f"noise is floating point, {law}, not {noise.dtype}")
    if tuple(noise.shape) != shape:
        raise ValueError(f"noise of shape {shape} expected, not {tuple(noise.shape)}")
    if not values:
        return
    if law == "uniform":
        if not bool(((noise >= 0) & (noise < 1)).all()):
            raise ValueError("noise has values outside [0, 1): it is uniform, not normal")
    elif not bool(noise.isfinite().all()):
        raise ValueError("noise has values that are not finite")


def draw_noise(shape: tuple[int, ...], law: Law, like: Tensor) -> Tensor:
    """Noise from torch's global generator, of the dtype and device of `like`."""
    draw = torch.rand if law == "uniform" else torch.randn
    return draw(shape, dtype=like.dtype, device=like.device)


def noise_beside(noise: Tensor, shape: tuple[int, int, int], law: Law) -> Tensor:
    """Further noise (B, *shape) for each image of some noise (B, C, H, W), of its dtype and device.

    It follows from that image's noise alone, the same in float32 and float64, by a hash, so that
    the two are as good as independent.
    """
    further = np.empty((len(noise), *shape), np.float32)
    for row, each in zip(further, noise.cpu().double().numpy(), strict=True):
        digest = blake2b(each.tobytes(), digest_size=16).digest()
        _fill(row, law, np.frombuffer(digest, np.uint64), stream=2)
    return torch.from_numpy(further).to(noise)


def _noise(
    law: Law,
    image_shape: tuple[int, int, int],
    numbers: int | Iterable[int],
    seed: int,
    *,
    stream: int,
) -> Tensor:
    if not 0 <= seed < 2**64:
        raise ValueError(f"a seed of noise is 0…2⁶⁴−1, not {seed}")
    numbers = range(numbers) if isinstance(numbers, int) else list(numbers)
    noise = np.empty((len(numbers), *image_shape), np.float32)
    for row, number in zip(noise, numbers, strict=True):
        _fill(row, law, np.array([seed, number], np.uint64), stream)
    return torch.from_numpy(noise)


def _fill(row: NDArray[np.float32], law: Law, key: NDArray[np.uint64], stream: int) -> None:
    """Fill an array with noise by a generator that is made for this.

    Each key has a stream of its own, and each of the counter's highest words a part of it that no
    other reaches.
    """
    counter = np.array([0, 0, 0, stream], np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
    if law == "uniform":
        generator.random(out=row, dtype=np.float32)
    else:
        generator.standard_normal(out=row, dtype=np.float32)
