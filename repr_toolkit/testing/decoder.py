"""The contract of a decoder, checked: its likelihood, its samples, what it prepares."""

from copy import deepcopy
from inspect import signature
from itertools import product
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders import AutoregressiveDecoder, Decoder
from repr_toolkit.testing.autoregression import check_autoregression
from repr_toolkit.testing.contract import raises, require
from repr_toolkit.testing.randomised import randomised

BATCH = 4
JOINT = 4096
"""The most joint levels of a pixel's channels that are enumerated."""


def check_decoder(decoder: Decoder) -> list[str]:
    """Check a decoder: its likelihood, its samples and, if it is autoregressive, its field.

    Meant for a small image_shape, wider than the first kernel reaches, and few levels. The decoder
    itself is left as it is. Returns the sentences that hold; raises ContractError for the first
    that does not.
    """
    decoder = randomised(decoder)
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, *decoder.image_shape)
    x = torch.randint(0, decoder.levels, shape, generator=generator).to(torch.uint8)
    h = None
    if decoder.h_dim:
        h = torch.randn(BATCH, *decoder.h_shape, generator=generator, dtype=torch.float64)
    passed = _check_preparation(decoder, x, h)
    passed += _check_likelihood(decoder, x, h, generator)
    if isinstance(decoder, AutoregressiveDecoder):
        passed += check_autoregression(decoder, x, h)
    return passed + _check_sampling(decoder, x, h, generator)


def _check_preparation(decoder: Decoder, x: Tensor, h: Tensor | None) -> list[str]:
    """Prepare a decoder that initialises something from data, and check how."""
    if type(decoder).prepare is Decoder.prepare:
        return []
    twin = deepcopy(decoder)
    state = torch.random.get_rng_state()
    with torch.no_grad():
        decoder.prepare([(x, h)])
        took = not torch.equal(state, torch.random.get_rng_state())
        prepared = deepcopy(twin)
        prepared.prepare([(x, h)])
    twin.load_state_dict(decoder.state_dict())
    bits = [_mean_log_prob(model, x, h) for model in (decoder, prepared, twin)]
    return [
        require(not took, "prepare draws no random number"),
        require(bits[0] == bits[1], "the same batches prepare a decoder alike", bits),
        require(bits[0] == bits[2], "what prepare makes is saved with the weights", bits),
    ]


def _check_likelihood(
    decoder: Decoder, x: Tensor, h: Tensor | None, generator: torch.Generator
) -> list[str]:
    by_name = "noise" in signature(decoder.log_prob).parameters
    require(by_name, "log_prob(x, h, *, noise=None) takes noise by its name")
    law = decoder.likelihood_noise
    noise = None if law is None else _noise(law, x.shape, generator)
    log_prob = decoder.log_prob(x, h, noise=noise)
    loss = decoder.loss(x, h)
    loss.backward()
    untrained = [
        name for name, p in decoder.named_parameters() if p.requires_grad and p.grad is None
    ]
    alone = decoder.log_prob(
        x[:1], None if h is None else h[:1], noise=None if noise is None else noise[:1]
    )
    passed = [
        require(tuple(log_prob.shape) == (BATCH,), "log_prob has shape (B,)", log_prob.shape),
        require(loss.shape == () and bool(loss.isfinite()), "loss is a finite scalar"),
        require(not untrained, "every parameter gets a gradient from the loss", untrained),
        require(
            torch.allclose(log_prob[:1], alone, rtol=1e-9),
            "log_prob of an image does not depend on the others of its batch",
        ),
        require(decoder.is_bound or not decoder.bound, "only a bound is named as one"),
        *(
            require(raises(TypeError, method, x.double(), h), f"{name} refuses floats: TypeError")
            for name, method in (("log_prob", decoder.log_prob), ("loss", decoder.loss))
        ),
    ]
    if law is None:
        uniform = _noise("uniform", x.shape, generator)
        passed += [
            require(bool((log_prob <= 0).all()), "log_prob is that of a discrete image, ≤ 0"),
            require(
                raises(ValueError, decoder.log_prob, x, h, noise=uniform),
                "a likelihood without noise refuses some: ValueError",
            ),
        ]
    else:
        again = decoder.log_prob(x, h, noise=noise)
        passed.append(require(torch.equal(log_prob, again), "the same noise, the same log_prob"))
    if decoder.has_subpixel_log_prob:
        terms = decoder.subpixel_log_prob(x, h)
        passed.append(
            require(
                torch.allclose(terms.flatten(1).sum(1), log_prob, rtol=1e-9),
                "the terms of the sub-pixels sum to log_prob",
            )
        )
    return passed


def _check_sampling(
    decoder: Decoder, x: Tensor, h: Tensor | None, generator: torch.Generator
) -> list[str]:
    noise = _noise(decoder.sampling_noise, x.shape, generator)
    n = None if decoder.h_dim else BATCH
    options: dict[str, Any] = {"n": n, "noise": noise}
    drawn = decoder.sample(h, **options)
    passed = [
        require(
            drawn.dtype == torch.uint8
            and drawn.shape == x.shape
            and int(drawn.max()) < decoder.levels,
            "sample gives uint8 images (B, C, H, W) with values 0…levels−1",
        )
    ]
    if decoder.has_subpixel_log_prob and decoder.sampling_noise == "uniform":
        passed += _check_levels(decoder, drawn, h, noise, generator)
    mask = noise > 0.5
    if decoder.completes:
        options |= {"known": x, "mask": mask}
    else:
        refused = raises(ValueError, decoder.sample, h, **options, known=x, mask=mask)
        passed.append(require(refused, "what it cannot complete it refuses: ValueError"))
    engines = [name for name in decoder.engines if decoder.obstacle(name) is None]
    images = [decoder.sample(h, **options, temperature=0.7, engine=name) for name in engines]
    passed.append(
        require(
            all(torch.equal(images[0], other) for other in images),
            f"all engines ({', '.join(engines)}) give one image for one noise",
        )
    )
    if decoder.completes:
        kept = torch.equal(images[0][mask], x[mask])
        passed.append(require(kept, "completion keeps the known sub-pixels"))
    return passed


def _check_levels(
    decoder: Decoder, drawn: Tensor, h: Tensor | None, noise: Tensor, generator: torch.Generator
) -> list[str]:
    """Hold images that were drawn by uniforms against the likelihood, at some of their pixels."""
    channels, height, width = decoder.image_shape
    coupled = decoder.subpixel_log_prob(drawn, h).shape[1] < channels
    count = decoder.levels**channels if coupled else decoder.levels
    if count > JOINT:
        return []
    values = torch.tensor([*product(range(decoder.levels), repeat=channels if coupled else 1)])
    sums, right = True, True
    for _ in range(min(32, max(3, 256 // count))):
        b, c, row, column = (
            int(torch.randint(size, (), generator=generator))
            for size in (BATCH, 1 if coupled else channels, height, width)
        )
        images = drawn[b].repeat(count, 1, 1, 1)
        some = slice(None) if coupled else slice(c, c + 1)
        images[:, some, row, column] = values.to(torch.uint8)
        given = None if h is None else h[b].expand(count, *h[b].shape)
        with torch.no_grad():
            pmf = decoder.subpixel_log_prob(images, given)[:, c, row, column].exp()
        sums &= abs(float(pmf.sum()) - 1) < 1e-9
        # One channel after the other: the levels of all that agree with the earlier ones.
        level, u = drawn[b, some, row, column].long(), noise[b, some, row, column]
        for k in range(len(level)):
            agreeing = (values[:, :k] == level[:k]).all(1)
            share = pmf * agreeing / (pmf * agreeing).sum()
            below = share[values[:, k] < level[k]].sum()
            right &= bool(below <= u[k] + 1e-9)
            right &= bool(u[k] < below + share[values[:, k] == level[k]].sum() + 1e-9)
    return [
        require(sums, "the probabilities of a sub-pixel's levels (or a pixel's) sum to one"),
        require(right, "a sample's level is the smallest whose CDF exceeds the noise"),
    ]


def _noise(law: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    draw = torch.rand if law == "uniform" else torch.randn
    return draw(shape, generator=generator, dtype=torch.float64)


def _mean_log_prob(model: Decoder, x: Tensor, h: Tensor | None) -> float:
    law = model.likelihood_noise
    noise = None if law is None else _noise(law, x.shape, torch.Generator().manual_seed(0))
    with torch.no_grad():
        return float(model.log_prob(x, h, noise=noise).mean())
