"""What a trained model draws: reconstructions, samples given h, and the pictures of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.evaluation import track
from repr_toolkit.figures import image_grid
from repr_toolkit.runs import atomic_write

if TYPE_CHECKING:
    from repr_toolkit.decoders import Decoder
    from repr_toolkit.model import EncoderDecoder


def common_noise(n: int, image_shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    """The noise of n draws: uniforms in [0, 1), float32 (n, C, H, W), on the CPU.

    It depends on n, the shape and the seed alone, so that draw j of every image and of every
    model of that shape shares its noise, on any device.
    """
    return torch.rand((n, *image_shape), generator=torch.Generator().manual_seed(seed))


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
    chunks: Sequence[Tensor] = torch.arange(count * draws).split(batch_size)
    images = []
    for chunk in track(chunks, "sampling", len(chunks)) if progress else chunks:
        row, column = chunk // draws, chunk % draws
        images.append(
            decoder.sample(
                None if h is None else h[row.to(h.device)],
                len(chunk) if h is None else None,
                noise=noise[row, column],
                temperature=temperature,
                engine=engine,
            ).cpu()
        )
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
    with torch.no_grad():
        h = model.encode({key: value.to(model.device) for key, value in batch.items()})
    if h is None:
        raise ValueError("the model has no encoder: it cannot reconstruct, only sample")
    decoder = model.decoder
    return decode(
        decoder,
        h,
        common_noise(n, decoder.image_shape, seed),
        temperature=decoder.reconstruction_temperature if temperature is None else temperature,
        engine=engine,
        batch_size=batch_size,
        progress=progress,
    )


def save_images(
    path: Path, images: Tensor, *, columns: int, levels: int = 256, overwrite: bool = False
) -> None:
    """Write a PNG grid and beside it an .npz with ``image`` (the values) and ``levels``.

    ``images`` is uint8 (N, C, H, W) with values 0…levels−1. Both files appear whole or not at all.
    Raises what `refuse_unwritable` raises.
    """
    refuse_unwritable(path, overwrite=overwrite)
    grid = image_grid(images, columns=columns, levels=levels)
    with atomic_write(path.with_suffix(".npz")) as file:
        np.savez_compressed(file, image=images.cpu().numpy(), levels=np.int64(levels))
    with atomic_write(path) as file:
        grid.save(file, "PNG")


def refuse_unwritable(path: Path, *, overwrite: bool) -> None:
    """Say before the work whether its pictures can be written to ``path``.

    Raises ValueError unless it ends in .png, FileNotFoundError where its folder is missing, and
    FileExistsError where it or the .npz beside it exists and ``overwrite`` is false.
    """
    if path.suffix != ".png":
        raise ValueError(f"pictures are written as PNG: {path} must end in .png")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} of the picture {path} does not exist")
    for file in (path, path.with_suffix(".npz")):
        if file.exists() and not overwrite:
            raise FileExistsError(f"{file} exists; choose another name, or ask to overwrite it")
