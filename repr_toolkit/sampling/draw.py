"""What a trained model draws: reconstructions, samples given h, and the pictures of them."""

from collections.abc import Callable, Iterable
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.models.encode import encode_batch
from repr_toolkit.support.console import bar, span
from repr_toolkit.support.files import atomic_write, require_writable
from repr_toolkit.support.pictures import image_grid

if TYPE_CHECKING:
    from repr_toolkit.decoders import Decoder
    from repr_toolkit.models.autoencoder import EncoderDecoder


def common_noise(
    draws: int | Iterable[int], image_shape: tuple[int, int, int], seed: int = 0
) -> Tensor:
    """The noise of the draws of these numbers, or of the first so many: float32 (n, C, H, W).

    Uniforms in [0, 1), on the CPU. That of draw j depends on the seed, j and the shape alone: it
    is the same for every image and every model of that shape, on any device, and however many
    draws there are and whoever makes them. Raises ValueError for a seed beyond 64 bits.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"a seed of noise is 0…2⁶⁴−1, not {seed}")
    numbers = range(draws) if isinstance(draws, int) else list(draws)
    noise = np.empty((len(numbers), *image_shape), np.float32)
    for row, number in zip(noise, numbers, strict=True):
        # A generator that is made for this: each key has a stream of its own.
        key = np.array([seed, number], np.uint64)
        np.random.Generator(np.random.Philox(key=key)).random(out=row, dtype=np.float32)
    return torch.from_numpy(noise)


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

    ``progress`` is told the fraction that is done, by decoders that know it; one that inherits
    nothing need not take it. Raises ValueError where the decoder's `sample` does.
    """
    told: dict[str, Any] = {}
    if "progress" in signature(decoder.sample).parameters:
        told["progress"] = progress
    n = len(noise) if h is None else None
    return decoder.sample(h, n, noise=noise, temperature=temperature, engine=engine, **told).cpu()


def choose_engine(decoder: "Decoder", engine: str) -> str:
    """The engine that "auto" stands for where the decoder is; any other name as it is.

    A decoder that inherits nothing may know no engines: then the name as it is too. Raises
    ValueError for one that the decoder lacks, or that does not work here.
    """
    choose: Callable[[str], str] | None = getattr(decoder, "choose_engine", None)
    return engine if choose is None else choose(engine)


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
        common_noise(n, decoder.image_shape, seed),
        temperature=decoder.reconstruction_temperature if temperature is None else temperature,
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
