"""Bits per dimension of held-out images, one number per image, with standard errors."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit import decoders
from repr_toolkit.data import ImageSplit
from repr_toolkit.decoders.noise import likelihood_noise
from repr_toolkit.models.encode import batches, encode_split, to_device
from repr_toolkit.models.precision import exactly
from repr_toolkit.support.choose import other_images
from repr_toolkit.support.processes import fastest_device
from repr_toolkit.support.stats import mean_and_error

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder

CPU = torch.device("cpu")
LOGITS = 2**27  # float32 values that a batch may fill
CPU_PIXELS = 2**14  # of a batch on the CPU, where larger ones leave its caches for twice the time


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
    codes = encode_split(model, split, batch_size=batch_size, progress=progress)
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
    likelihood takes an image's noise by `seed` and its number, the same for every table. Raises
    ValueError when a likelihood is not finite.
    """
    batch_size = likelihood_batch(model, batch_size)
    nats: list[list[Tensor]] = [[] for _ in tables]
    start = 0
    with exactly():
        for batch in batches(split, None, batch_size, model.device, "bits/dim", progress):
            stop = start + len(batch["image"])
            noise = likelihood_noise(model.decoder, range(start, stop), seed)
            for codes, of_table in zip(tables, nats, strict=True):
                h = None if codes is None else to_device(codes[start:stop], model.device)
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
    image's h) and `difference` (own minus other, paired by image). The last three are `Number`s as
    dicts. Raises ValueError for a split that the data lacks.
    """
    from repr_toolkit.runs.run import Run, load_with_decoder

    model = load_with_decoder(run).to(fastest_device())
    images = Run(run).load_data().split(split)
    codes = encode_split(model, images, batch_size=batch_size, progress=progress)
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
        "bits_per_dim": mean_and_error(own).as_dict(),
    }
    for other in others:
        result["bits_per_dim_other_h"] = mean_and_error(other).as_dict()
        result["difference"] = mean_and_error(own - other).as_dict()
    return result
