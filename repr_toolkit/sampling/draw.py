"""What a trained model draws: reconstructions, samples given h, and the pictures of them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.support.console import bar, span
from repr_toolkit.support.files import atomic_write, require_writable
from repr_toolkit.support.pictures import image_grid

if TYPE_CHECKING:
    from repr_toolkit.decoders import Decoder
    from repr_toolkit.models.autoencoder import EncoderDecoder


def draw(
    decoder: "Decoder",
    h: Tensor | None,
    noise: Tensor,
    progress: Callable[[float], None] = lambda done: None,
    *,
    temperature: float = 1.0,
    engine: str = "auto",
) -> Tensor:
    """One image from p(x|h) for each row of h and of the noise: uint8 (B, C, H, W) on the CPU.

    `progress` is told the fraction that is done. Raises ValueError where the decoder's `sample`
    does.
    """
    n = len(noise) if h is None else None
    drawn = decoder.sample(
        h, n, noise=noise, temperature=temperature, engine=engine, progress=progress
    )
    return drawn.cpu()


def reconstruction_temperature(decoder: "Decoder", temperature: float | None) -> float:
    """The temperature that was asked for, or that of the decoder's reconstructions for None."""
    return decoder.reconstruction_temperature if temperature is None else temperature


def decode(
    decoder: "Decoder",
    h: Tensor | None,
    noise: Tensor,
    *,
    temperature: float = 1.0,
    engine: str = "auto",
    batch_size: int = 256,
    progress: bool = False,
) -> Tensor:
    """Images drawn from p(x|h) by given noise: uint8 (N, n, C, H, W) on the CPU.

    ``h`` is float (N, h_dim), or None for an unconditional decoder (N = 1). ``noise`` is
    (n, C, H, W), shared by all N, or (N, n, C, H, W). At most ``batch_size`` images are drawn at
    once, which bounds the memory. Raises ValueError where the decoder's `sample` does.
    """
    count = 1 if h is None else len(h)
    noise = noise.expand(count, *noise.shape[-4:])
    draws = noise.shape[1]
    images: list[Tensor] = []
    done = 0
    with bar("sampling", count * draws, shown=progress) as show:
        for chunk in torch.arange(count * draws).split(batch_size):
            row, column = chunk // draws, chunk % draws
            images.append(
                draw(
                    decoder,
                    None if h is None else h[row.to(h.device)],
                    noise[row, column],
                    span(show, done, len(chunk)),
                    temperature=temperature,
                    engine=engine,
                )
            )
            done += len(chunk)
            show(done)
    stacked: Tensor = torch.cat(images).unflatten(0, (count, draws))
    return stacked


def reconstruct(
    model: "EncoderDecoder",
    batch: dict[str, Tensor],
    *,
    n: int = 1,
    seed: int = 0,
    temperature: float | None = None,
    engine: str = "auto",
    batch_size: int = 256,
    progress: bool = False,
) -> Tensor:
    """n reconstructions of every image of a batch, from its h: uint8 (B, n, C, H, W) on the CPU.

    Column j has the same noise for every image (`common_noise`). ``temperature`` is by default the
    decoder's `reconstruction_temperature`. Raises ValueError for a model without an encoder.
    """
    h = encode_batch(model, batch)
    if h is None:
        raise ValueError("the model has no encoder: it cannot reconstruct, only sample")
    decoder = model.decoder
    return decode(
        decoder,
        h,
        common_noise(decoder, n, seed),
        temperature=reconstruction_temperature(decoder, temperature),
        engine=engine,
        batch_size=batch_size,
        progress=progress,
    )


def save_images(
    path: Path, images: Tensor, *, columns: int, levels: int = 256, overwrite: bool = False
) -> None:
    """Write an .npz with ``image`` (the values) and ``levels``; for a .png, the grid too.

    ``images`` is uint8 (N, C, H, W) with values 0…levels−1. Each file appears whole or not at all.
    Raises what `refuse_unwritable` raises.
    """
    refuse_unwritable(path, overwrite=overwrite)
    grid = image_grid(images, columns=columns, levels=levels)
    with atomic_write(path.with_suffix(".npz")) as file:
        np.savez_compressed(file, image=images.cpu().numpy(), levels=np.int64(levels))
    if path.suffix == ".png":
        with atomic_write(path) as file:
            grid.save(file, "PNG")


def refuse_unwritable(path: Path, *, overwrite: bool) -> None:
    """Say before the work whether pictures and their values can be written to ``path``.

    Raises ValueError unless it ends in .png or .npz, FileNotFoundError where its folder is missing,
    PermissionError where nothing may be written there, and FileExistsError where it or the .npz
    beside it exists and ``overwrite`` is false.
    """
    if path.suffix not in (".png", ".npz"):
        raise ValueError(f"pictures are written as .png (and .npz) or as .npz alone, not as {path}")
    for file in (path, path.with_suffix(".npz")):
        require_writable(file, "the pictures", overwrite=overwrite)
