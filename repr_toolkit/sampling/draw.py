"""Images drawn from a trained model: samples and reconstructions."""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from repr_toolkit.decoders import Decoder, Flow
from repr_toolkit.decoders.engines.draw import rounded
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.code import FlowImages
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.models.precision import exactly
from repr_toolkit.runs.bits import likelihood_batch
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.support.console import bar, say, span


def sample(
    model: str | Path | Run | EncoderDecoder,
    h: Tensor | None = None,
    *,
    n: int = 1,
    seed: int = 0,
    temperature: float | None = 1.0,
    engine: str = "auto",
    batch_size: int = 256,
    progress: bool = False,
) -> Tensor:
    """n images from p(x|h) for each row of h, or from p(x): uint8, values 0…levels−1, on the CPU.

    Of a flow without encoder h is z, which alone makes the image.

    Args:
        model: A run's folder, whose model is loaded onto the fastest device, or a model.
        h: float (N, h_dim), or (N, *h_shape), or of a flow z (N, C·H·W); None to draw from p(x).
        n: The number of images for each h.
        seed: That of the noise. Image j of every h has the noise of draw j (see `common_noise`), so
            that images differ by h alone; the same call gives the same images.
        temperature: 0 or more: of the distributions drawn from, whose modes 0 takes; a flow's noise
            is scaled by it. None for that of the decoder's reconstructions.
        engine: One of the decoder's `engines`, or "auto" for the fastest that works here.
        batch_size: The most images that are drawn at once, which bounds the memory.
        progress: Whether a bar is shown on a terminal.

    Returns:
        (N, n, C, H, W), or (n, C, H, W) without h.

    Raises:
        FileNotFoundError: For a folder that is no run, or one still in training.
        ValueError: For h of another shape, h where the model takes none (and the reverse), n or
            batch_size below 1, a temperature below 0, and an engine that the decoder lacks or that
            cannot run here.

    >>> from repr_toolkit.decoders import GatedPixelCNN
    >>> decoder = GatedPixelCNN((1, 4, 4), h_dim=2, levels=4, features=4, layers=2)
    >>> images = sample(EncoderDecoder(None, decoder), torch.randn(3, 2), n=5, engine="naive")
    >>> images.shape, images.dtype, int(images.max()) < 4
    (torch.Size([3, 5, 1, 4, 4]), torch.uint8, True)
    """
    _require_counts(n, batch_size)
    if not isinstance(model, EncoderDecoder):
        model = load_with_decoder(model)
    if h is not None:
        model = model.coded
    images = decode(
        model.decoder,
        h,
        common_noise(model.decoder, n, seed),
        temperature=temperature,
        engine=engine,
        batch_size=batch_size,
        progress=progress,
    )
    return images[0] if h is None else images


def reconstruct(
    model: EncoderDecoder,
    batch: dict[str, Tensor],
    *,
    n: int = 1,
    seed: int = 0,
    temperature: float | None = None,
    engine: str = "auto",
    batch_size: int = 256,
    progress: bool = False,
) -> Tensor:
    """n reconstructions of every image of a batch, from its code: uint8 (B, n, C, H, W) on the CPU.

    As `sample` of the h of the batch, by default at the decoder's `reconstruction_temperature`. A
    flow without encoder gives the images back, those that float32 misses by float64. Raises
    ValueError for a model without code, and as `sample` does.
    """
    if isinstance(model.coded.decoder, FlowImages):
        _require_counts(n, batch_size)
        images = _reconstructed(model, batch["image"], batch_size)
        return images[:, None].expand(-1, n, -1, -1, -1)
    return sample(
        model,
        encode_batch(model, batch),
        n=n,
        seed=seed,
        temperature=temperature,
        engine=engine,
        batch_size=batch_size,
        progress=progress,
    )


def _require_counts(n: int, batch_size: int) -> None:
    """Raise ValueError unless both are 1 or more."""
    if n < 1:
        raise ValueError(f"n, the number of images for each h, is at least 1, not {n}")
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1, not {batch_size}")


def _reconstructed(model: EncoderDecoder, x: Tensor, batch_size: int) -> Tensor:
    """decode(encode(x)), images uint8 (B, C, H, W) on the CPU, and a word on float32's misses."""
    flow, x = cast("Flow", model.decoder), x.cpu()
    with exactly():
        images, again = flow.reconstruct(x, batch_size=likelihood_batch(model, batch_size))
    if missed := int(again.sum()):
        wrong = int((images != x).flatten(1).any(1).sum())
        say(
            f"float32 did not give back {missed} of {len(x)} images; float64 did"
            + (f", but for {wrong}" if wrong else "")
        )
    return images.clone()  # an ordinary tensor, no longer one of inference mode


def decode(
    decoder: Decoder,
    h: Tensor | None,
    noise: Tensor,
    *,
    temperature: float | None = 1.0,
    engine: str = "auto",
    batch_size: int = 256,
    progress: bool = False,
    known: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Images drawn from p(x|h) by given noise: uint8 (N, n, C, H, W) on the CPU.

    `h` is float (N, h_dim), or None for an unconditional decoder (N = 1). `noise` is (n, C, H, W),
    shared by all N, or (N, n, C, H, W). A `temperature` of None is the decoder's
    `reconstruction_temperature`. `known`, uint8 (N, C, H, W), are images of which the pixels of
    `mask`, bool (H, W), are kept; then without h N is their number. At most `batch_size` images are
    drawn at once, which bounds the memory. Raises ValueError where the decoder's `sample` does.
    """
    temperature = reconstruction_temperature(decoder, temperature)
    count = next((len(t) for t in (h, known) if t is not None), 1)
    noise = noise.expand(count, *noise.shape[-4:])
    draws = noise.shape[1]
    images: list[Tensor] = []
    done = 0
    with bar("sampling", count * draws, shown=progress) as show:
        for chunk in torch.arange(count * draws).split(batch_size):
            row, column = chunk // draws, chunk % draws
            drawn = decoder.sample(
                None if h is None else h[row.to(h.device)],
                len(chunk) if h is None else None,
                noise=noise[row, column],
                temperature=temperature,
                engine=engine,
                progress=span(show, done, len(chunk)),
                known=None if known is None else known[row],
                mask=mask,
            )
            images.append(drawn.cpu())
            done += len(chunk)
            show(done)
    stacked: Tensor = torch.cat(images).unflatten(0, (count, draws))
    return stacked


def reconstruction_temperature(decoder: Decoder, temperature: float | None) -> float:
    """A temperature, or that of the decoder's reconstructions for None, as the decoder takes it.

    It is that of the reconstructions, whatever is asked, where no temperature changes anything.
    """
    if temperature is None or decoder.deterministic:
        return decoder.reconstruction_temperature
    return rounded(temperature, next(decoder.parameters()).dtype)


def draws_that_differ(decoder: Decoder, n: int, temperature: float | None) -> int:
    """How many of n draws from one h can differ: all, or one at temperature 0, or of a flow's z."""
    return n if reconstruction_temperature(decoder, temperature) > 0 else 1
