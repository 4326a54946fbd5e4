"""Bits per dimension of held-out images, one number per image, with standard errors."""

from collections.abc import Iterator, Sequence
from math import inf, log, prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit import decoders
from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.decoders.noise import likelihood_noise
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import batches, encode_split, to_device
from repr_toolkit.models.precision import exactly
from repr_toolkit.models.side_by_side import side_by_side
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.support.choose import choose_evenly, other_h
from repr_toolkit.support.stats import Groups, Number, mean

LOGITS = 2**27  # values of a likelihood that a batch may fill, half a gigabyte of float32
FITTED_IMAGES, FITTED_SUBPIXELS = 4096, 2**23  # the most that a likelihood is fitted to anew
TRAINING_IMAGES = 1_000  # at most, whose bits stand beside those of other images
CPU_PIXELS = 2**14  # of a batch on the CPU; a larger one leaves the caches and takes twice the time


def bits_per_dim(
    model: EncoderDecoder,
    split: ImageSplit,
    *,
    batch_size: int = 256,
    seed: int = 0,
    progress: bool = False,
) -> npt.NDArray[np.float64]:
    """−log₂ p(x|h) / (C·H·W) of every image x of a split given its h, in order: float64 (N,).

    See `bits_given` for the arguments and errors.
    """
    options: dict[str, Any] = {"batch_size": batch_size, "progress": progress}
    h = None if model.encoder is None else encode_split(model, split, **options)
    return bits_given(model, split, [h], seed=seed, **options)[0]


def bits_given(
    model: EncoderDecoder,
    split: ImageSplit,
    tables: Sequence[Tensor | None],
    **how: Any,
) -> list[npt.NDArray[np.float64]]:
    """Bits/dim of the images of a split, in order, given each table of h: float64 (N,) for each.

    See `log_likelihoods` for the further arguments and errors.
    """
    log_prob = log_likelihoods(model, split, tables, **how)
    return [*decoders.bits_per_dim(log_prob, model.decoder.image_shape).numpy()]


def own_and_other(
    model: EncoderDecoder,
    split: ImageSplit,
    h: Tensor | None,
    seed: int = 0,
    own: npt.NDArray[np.float64] | None = None,
    **how: Any,
) -> tuple[npt.NDArray[np.float64], dict[str, Number]]:
    """Bits/dim of a split's images given their h, float64 (N,), and what is made of them.

    They are `own` where they have been measured before.
    The numbers are `bits_per_dim`, of images of two levels `nats` an image, and, where there are
    two images that `other_h` gives another h by `seed`, over those images `bits_per_dim_other_h`
    and `difference`: own less the other's. See `log_likelihoods` for the further arguments and
    errors.
    """
    tables, differ = [h] if own is None else [], None
    if h is not None:
        others, differ = other_h(h, seed)
        tables.append(h[others])
    measured = bits_given(model, split, tables, seed=seed, **how) if tables else []
    bits, *other = measured if own is None else [own, *measured]
    numbers = {"bits_per_dim": mean(bits, split.groups())}
    if (nats := model.decoder.nats_for_a_bit) is not None:
        numbers["nats"] = mean(nats * bits, split.groups())
    if differ is None:
        return bits, numbers
    counted = differ.numpy()
    if counted.sum() > 1:
        groups = split.groups(np.flatnonzero(counted))
        numbers["bits_per_dim_other_h"] = mean(other[0][counted], groups)
        numbers["difference"] = mean((bits - other[0])[counted], groups)
    return bits, numbers


def training_bits(model: EncoderDecoder, data: ImageData, count: int, **how: Any) -> Number:
    """Bits/dim of training images, `count` of them spread evenly: what is fitted, not what holds.

    See `log_likelihoods` for the further arguments and errors.
    """
    train = data.splits["train"]
    chosen = choose_evenly(len(train), count)
    h = None if model.encoder is None else encode_split(model, train, indices=chosen)
    [bits] = bits_given(model, train, [h], indices=chosen, **how)
    return mean(bits, train.groups(chosen))


def log_likelihoods(
    model: EncoderDecoder,
    split: ImageSplit,
    tables: Sequence[Tensor | None],
    *,
    indices: Sequence[int] | None = None,
    batch_size: int = 256,
    seed: int = 0,
    draws: int = 1,
    progress: bool = False,
) -> Tensor:
    """log p(x|h) of a split's images, or of `indices`, in order, by K tables of h: float64 (K, n).

    A table is float32 (n, h_dim), or None for an unconditional decoder; one reading of the images
    serves all tables. The likelihoods are float32 without autocast, on the model's device, and
    exact unless `model.decoder.is_bound`. A batch has at most `batch_size` images
    (`likelihood_batch`). A stochastic likelihood takes an image's noise by `seed` and its number in
    the split, the same for every table; with several `draws` of it there are as many rows for each
    table, (draws·K, n), all tables by the first draw before all by the next. Raises ValueError
    where a likelihood is not finite.
    """
    numbers = range(len(split)) if indices is None else indices
    batch_size = likelihood_batch(model, batch_size)
    at_a_time = max(1, LOGITS // (batch_size * model.decoder.values_per_image))
    read = batches(split, indices, batch_size, model.device, "bits/dim", progress)

    def measured(part: tuple[dict[str, Tensor], int]) -> Tensor:  # (K, b)
        batch, start = part
        rows = slice(start, start + len(batch["image"]))
        every = [
            None if table is None else to_device(table[rows], model.device) for table in tables
        ]
        noises = (likelihood_noise(model.decoder, numbers[rows], seed, j) for j in range(draws))
        return torch.stack([model.log_prob(batch, h, noise) for noise in noises for h in every])

    with exactly():
        parts = zip(read, range(0, len(numbers), batch_size), strict=True)
        nats = torch.cat([*side_by_side(measured, parts, model.device, at_a_time)], 1)
    # Only now: reading a result earlier would wait for the device.
    log_prob = nats.cpu().double()
    require_finite(log_prob, numbers)
    return log_prob


def refitted_bits(
    model: EncoderDecoder, data: ImageData, split: str
) -> tuple[dict[str, Number], list[str]]:
    """Bits/dim of a split by other fits of a model's likelihood, if its decoder has any.

    They are `Decoder.refitted`, fitted on training images spread evenly; then their remarks.
    """
    train, decoder = data.splits["train"], model.decoder
    count = max(1, min(FITTED_IMAGES, FITTED_SUBPIXELS // prod(data.image_shape)))
    size = likelihood_batch(model, 256)

    def read(
        images: ImageSplit, indices: list[int] | None
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        for batch in batches(images, indices, size, model.device):
            yield batch["image"], model.encode(batch)

    with exactly():
        fits = decoder.refitted(read(train, choose_evenly(len(train), count)))
        nats: dict[str, list[Tensor]] = {name: [] for name in fits}
        for x, h in read(data.split(split), None) if fits else ():
            for name, fit in fits.items():
                nats[name].append(fit.log_prob(x, h))
    log_probs = {name: torch.cat(parts).cpu().double() for name, parts in nats.items()}
    groups = data.split(split).groups()
    numbers = {
        name: mean(decoders.bits_per_dim(log_prob, decoder.image_shape).numpy(), groups)
        for name, log_prob in log_probs.items()
    }
    return numbers, [fit.remark for fit in fits.values() if fit.remark]


def require_finite(log_prob: Tensor, numbers: Sequence[int]) -> None:
    """Raise ValueError where one of log p (K, n) is not finite; `numbers` are the images'."""
    wrong = (~log_prob.isfinite()).nonzero()
    if len(wrong):
        image = numbers[int(wrong[0, 1])]
        raise ValueError(
            f"the log-likelihood of image {image} of the split is not finite: training diverged, "
            f"or model.safetensors is damaged"
        )


def likelihood_batch(model: EncoderDecoder, most: int) -> int:
    """The number of images to take at a time for their likelihood, 1…`most`.

    Fewer than `most` where that is faster (on the CPU), or where the logits would fill more than
    half a gigabyte.
    """
    _, height, width = model.decoder.image_shape
    most = min(most, LOGITS // model.decoder.values_per_image)
    if model.device.type == "cpu":
        most = min(most, CPU_PIXELS // (height * width))
    return max(1, most)


def evaluate(
    run: str | Path | Run,
    split: str = "test",
    *,
    batch_size: int = 256,
    seed: int = 0,
    dequantisations: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Bits/dim of a finished run on a split of its data, ready for JSON.

    With `dequantisations` k a stochastic likelihood is drawn k times, and a tighter bound stated
    (`over_draws`).

    Keys: `run`, `split`, `images`, `levels`, `dims`, `likelihood` ("exact" or "upper bound", of the
    bits), `remark` (what else there is to know of them, or ""), `bits_per_dim`, `nats` an image
    where levels = 2, where there is an encoder `bits_per_dim_other_h` (given another image's h, see
    `other_h`) and `difference` (given its h minus given another's, paired by image), and
    `bits_per_dim_train`, of training images. The last five are `Number`s as dicts. With
    `dequantisations` also `over_draws`, a list of dicts. Raises ValueError for a split that the
    data lacks, and for `dequantisations` below 1 or of a likelihood that draws nothing.
    """
    run = run if isinstance(run, Run) else Run(run)
    model = load_with_decoder(run)
    if dequantisations is not None and model.decoder.likelihood_noise is None:
        raise ValueError(
            f"the likelihood of {type(model.decoder).__name__} is not dequantised: it draws no "
            f"noise, so that there is nothing to draw again"
        )
    if dequantisations is not None and dequantisations < 1:
        raise ValueError(f"dequantisations is at least 1, not {dequantisations}")
    data = run.load_data()
    images = data.split(split)
    options: dict[str, Any] = {"batch_size": batch_size, "progress": progress}
    h = None if model.encoder is None else encode_split(model, images, **options)
    own, drawn = None, []
    if dequantisations is not None:
        log_prob = log_likelihoods(model, images, [h], seed=seed, draws=dequantisations, **options)
        own = decoders.bits_per_dim(log_prob[0], model.decoder.image_shape).numpy()
        drawn = over_draws(log_prob, model.decoder.image_shape, images.groups())
    bits, numbers = own_and_other(model, images, h, seed, own, **options)
    if split != "train":
        count = min(len(images), TRAINING_IMAGES)
        numbers["bits_per_dim_train"] = training_bits(model, data, count, seed=seed, **options)
    return {
        "run": str(run.path),
        "split": split,
        "images": len(bits),
        "levels": model.decoder.levels,
        "dims": prod(model.decoder.image_shape),
        "likelihood": model.decoder.likelihood_label,
        "remark": model.decoder.remark,
        **{key: number.as_dict() for key, number in numbers.items()},
        **({"over_draws": drawn} if drawn else {}),
    }


def over_draws(
    log_prob: Tensor, image_shape: tuple[int, int, int], groups: Groups | None = None
) -> list[dict[str, Any]]:
    """Bits/dim by the mean likelihood of the first 1, 4, 16, … of k draws, and all: log p (k, n).

    log p(x) ≥ E log (Σ p_j / m) over m draws of the noise, and the more draws, the nearer
    (arXiv:1509.00519). Each dict has `draws`, m; `bits_per_dim`, whose error is over images, draws
    included; `draws_error`, the standard error by the draws alone, with the images fixed;
    `less`, the bits of the row before less these, paired by image (absent from the first);
    and `counting`, (Σ p_j)² / Σ p_j², how many of the draws the mean rests on, averaged over
    images. `draws_error` is the jackknife's; for m = 1 it is by the spread of all draws, and absent
    where k = 1.
    """
    k, count = log_prob.shape
    to_bits = float(decoders.bits_per_dim(torch.tensor(-1.0, dtype=torch.float64), image_shape))
    rows: list[dict[str, Any]] = []
    before = None
    for m in sorted({4**power for power in range(k.bit_length()) if 4**power < k} | {k}):
        total = log_prob[:m].logsumexp(0)
        bits = -to_bits * (total - log(m)).numpy()
        counting = (2 * total - (2 * log_prob[:m]).logsumexp(0)).exp()
        row: dict[str, Any] = {"draws": m, "bits_per_dim": mean(bits, groups).as_dict()}
        if k > 1:
            variance = _jackknife(log_prob[:m]) if m > 1 else log_prob.var(0)
            row["draws_error"] = to_bits * float(variance.sum().sqrt()) / count
        if before is not None:
            row["less"] = mean(before - bits, groups).as_dict()
        rows.append(row | {"counting": float(counting.mean())})
        before = bits
    return rows


def _jackknife(log_p: Tensor) -> Tensor:
    """The variance of log Σ p_j over m draws, log p (m, n), by leaving out one at a time: (n,).

    Unlike that of the linearised logarithm it holds where one draw outweighs all others.
    """
    m, total = len(log_p), log_p.logsumexp(0)
    without = total + (-(log_p - total).exp()).log1p()
    # Without the largest, which may be all but the whole sum, the difference has no digits left.
    largest = log_p.argmax(0, keepdim=True)
    others = log_p.scatter(0, largest, -inf).logsumexp(0, keepdim=True)
    without = without.scatter(0, largest, others)
    return (m - 1) / m * (without - without.mean(0)).square().sum(0)
