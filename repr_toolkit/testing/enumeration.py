"""A decoder's likelihood and draws over all images of a space so small that they can be listed."""

from collections.abc import Callable
from math import prod

import numpy as np
import torch
from scipy.stats import chi2
from torch import Tensor

from repr_toolkit.decoders import AutoregressiveDecoder, Decoder
from repr_toolkit.testing.contract import Contract, Remark, randomised

Shape = tuple[int, int, int]

MOST_IMAGES = 1 << 16
CONDITIONS = 2  # values of h
NOISES = 64  # draws of a stochastic bound's noise for each image
DRAWS = 4000
TEMPERATURE = 0.6  # the other one that is drawn at
LEAST_EXPECTED = 5.0  # draws in a cell of the χ² test
RARE = 1e-6  # the p value below which draws are not of the likelihood


def tiny_spaces(shape: Shape) -> list[tuple[Shape, int]]:
    """Sizes and levels whose images can be listed, the best first, for images of `shape`."""
    channels = shape[0]
    first: list[tuple[Shape, int]] = [((1, 2, 2), 4)] if channels == 1 else [((channels, 1, 2), 3)]
    # Three pixels in a row are the least that can be halved twice.
    spaces = [*first, ((channels, 2, 2), 2), ((channels, 3, 3), 2), ((channels, 1, 3), 2)]
    spaces.append((shape, 2))
    return [(size, levels) for size, levels in spaces if levels ** prod(size) <= MOST_IMAGES]


def check_enumerated(build: Callable[[Shape, int], Decoder], shape: Shape) -> list[str]:
    """Check the class that `build` builds, in the first tiny space that it takes.

    Returns the sentences that hold; raises ContractError for the first that does not. A class that
    takes no tiny space is not checked, which a `Remark` says.
    """
    for size, levels in tiny_spaces(shape):
        try:
            decoder = randomised(build(size, levels))
            images = all_images(size, levels)
            h = _conditions(decoder)
            with torch.no_grad():  # which a size may not pass that can be built
                decoder.log_prob(images[:1], None if h is None else h[:1])
        except (ValueError, RuntimeError):
            continue
        contract, space = Contract(), "×".join(map(str, size[1:]))
        name = f"{len(images):,} images of {space} in {levels} levels"
        with torch.no_grad():
            for one in [None] if h is None else h:
                _check(decoder, images, one, name, contract)
        return [*dict.fromkeys(contract.sentences)]
    return [Remark(f"it takes no space of at most {MOST_IMAGES:,} images: no sum is checked")]


def all_images(shape: Shape, levels: int) -> Tensor:
    """All images of a size, uint8 (levels^(C·H·W), C, H, W), the last sub-pixel changing first."""
    values = np.indices((levels,) * prod(shape), np.uint8).reshape(prod(shape), -1).T
    return torch.from_numpy(np.ascontiguousarray(values)).view(-1, *shape)


def _conditions(decoder: Decoder) -> Tensor | None:
    if not decoder.h_dim:
        return None
    generator = torch.Generator().manual_seed(1)
    return torch.randn(CONDITIONS, *decoder.h_shape, generator=generator, dtype=torch.float64)


def _check(
    decoder: Decoder, images: Tensor, h: Tensor | None, name: str, contract: Contract
) -> None:
    """Check one h, or none."""
    given = None if h is None else h.expand(len(images), *h.shape)
    if decoder.likelihood_noise is not None:
        total, error = _stochastic_sum(decoder, images, given)
        sentence = f"what the bound says of the {name} sums to at most one"
        contract.require(total <= 1 + error, sentence, f"{total:.6g} ± {error:.2g}")
        return
    probabilities = decoder.log_prob(images, given).exp()
    total = float(probabilities.sum())
    if decoder.is_bound:
        sentence = f"what the bound says of the {name} sums to at most one"
        contract.require(total <= 1 + 1e-9, sentence, f"{total:.9g}")
        return
    sentence = f"the probabilities of all {name} sum to one"
    contract.require(abs(total - 1) < 1e-9, sentence, f"{total:.9g}")
    p = probabilities.numpy()
    laws = {1.0: p}
    if decoder.has_subpixel_log_prob:  # whose temperature is that of each sub-pixel
        laws[TEMPERATURE] = _tempered(p, decoder, TEMPERATURE)
    for temperature, law in laws.items():
        condition = None if h is None else h[None]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            drawn = decoder.sample(condition, n=DRAWS, temperature=temperature)
        drawn = drawn.flatten(1).long()
        places = decoder.levels ** torch.arange(drawn.shape[1] - 1, -1, -1)
        counts = np.bincount((drawn * places).sum(1).numpy(), minlength=len(law))
        value = _p_value(counts, law)
        sentence = f"{DRAWS:,} draws at T = {temperature:g} are of the likelihood of the {name}"
        contract.require(value > RARE, sentence, f"p = {value:.1g}")


def _stochastic_sum(decoder: Decoder, images: Tensor, h: Tensor | None) -> tuple[float, float]:
    """The sum over images of exp(mean of log p over noises), and how far chance may raise it."""
    generator = torch.Generator().manual_seed(2)
    draw = torch.rand if decoder.likelihood_noise == "uniform" else torch.randn
    logs = torch.stack(
        [
            decoder.log_prob(
                images, h, noise=draw(images.shape, generator=generator, dtype=torch.float64)
            )
            for _ in range(NOISES)
        ]
    )
    mean, variance = logs.mean(0), logs.var(0) / NOISES
    terms = mean.exp()
    bias = float((terms * variance).sum() / 2)  # of the exponential of a mean
    return float(terms.sum()), bias + 4 * float((terms.square() * variance).sum().sqrt()) + 1e-9


def _tempered(p: np.ndarray, decoder: Decoder, temperature: float) -> np.ndarray:
    """The law of images whose sub-pixels are drawn in turn, each from pmf^(1/T) renormalised."""
    count = prod(decoder.image_shape)
    order = (
        decoder.order.numpy()
        if isinstance(decoder, AutoregressiveDecoder)
        else np.arange(count)  # of independent sub-pixels
    )
    joint = p.reshape((decoder.levels,) * count).transpose(order)
    law = np.ones_like(joint)
    for place in range(count):
        upto = joint.sum(tuple(range(place + 1, count)), keepdims=True)
        powers = (upto / upto.sum(place, keepdims=True)) ** (1 / temperature)
        law = law * (powers / powers.sum(place, keepdims=True))
    flat: np.ndarray = law.transpose(np.argsort(order)).reshape(-1)
    return flat


def _p_value(counts: np.ndarray, law: np.ndarray) -> float:
    """Of the χ² test, with rare images in one cell until enough draws are expected in it."""
    expected, seen = [0.0], [0]
    for image in np.argsort(law):
        if expected[-1] >= LEAST_EXPECTED:
            expected.append(0.0)
            seen.append(0)
        expected[-1] += float(law[image] * counts.sum())
        seen[-1] += int(counts[image])
    # The last image is the most frequent one, so that its cell alone may lack some.
    statistic = sum((k - e) ** 2 / max(e, 1e-300) for e, k in zip(expected, seen, strict=True))
    return float(chi2.sf(statistic, max(1, len(expected) - 1)))
