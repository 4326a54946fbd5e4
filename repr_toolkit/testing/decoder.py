"""The contract of a decoder: its likelihood, its samples, what it prepares."""

from copy import deepcopy
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders import AutoregressiveDecoder, Decoder
from repr_toolkit.testing.autoregression import check_autoregression
from repr_toolkit.testing.contract import Contract, randomised

BATCH = 4


def check_decoder(decoder: Decoder) -> list[str]:
    """Check a decoder: its likelihood, its samples and, if it is autoregressive, its field.

    Meant for few levels and a small image_shape, wider than the first kernel reaches. The decoder
    itself stays as it is. Returns the sentences that hold; raises ContractError for the first that
    does not.
    """
    check = _Check(decoder)
    by_name = "noise" in signature(decoder.log_prob).parameters
    check.contract.require(by_name, "log_prob(x, h, *, noise=None) takes noise by its name")
    check.preparation()
    check.likelihood()
    if isinstance(check.decoder, AutoregressiveDecoder):
        check_autoregression(check.decoder, check.x, check.h, check.contract)
    check.sampling()
    return check.contract.sentences


class _Check:
    """A randomised copy of a decoder, random images x and h, and the sentences so far."""

    def __init__(self, decoder: Decoder) -> None:
        self.contract = Contract()
        self.decoder = decoder = randomised(decoder)
        self.generator = torch.Generator().manual_seed(0)
        shape = (BATCH, *decoder.image_shape)
        x = torch.randint(0, decoder.levels, shape, generator=self.generator)
        self.x = x.to(torch.uint8)
        self.h: Tensor | None = None
        if decoder.h_dim:
            shape_of_h = (BATCH, *decoder.h_shape)
            self.h = torch.randn(shape_of_h, generator=self.generator, dtype=torch.float64)

    def preparation(self) -> None:
        """Prepare a decoder that initialises something from data."""
        decoder, require = self.decoder, self.contract.require
        if not decoder.has_preparation:
            return
        again, loaded = deepcopy(decoder), deepcopy(decoder)
        state = torch.random.get_rng_state()
        noise = self._noise(decoder.likelihood_noise)
        with torch.no_grad():
            before = deepcopy(decoder.state_dict())
            decoder.train().prepare([(self.x, self.h)])
            draws = not torch.equal(state, torch.random.get_rng_state())
            again.train().prepare([(self.x, self.h)])
            after = decoder.state_dict()
            changes = any(not torch.equal(before[key], after[key]) for key in before)
            loaded.load_state_dict(decoder.state_dict())
            bits = [
                float(model.eval().log_prob(self.x, self.h, noise=noise).mean())
                for model in (decoder, again, loaded)
            ]
        require(not draws, "prepare draws no random number")
        require(bits[0] == bits[1], "the same batches prepare a decoder alike", bits)
        require(bits[0] == bits[2], "what prepare makes is saved with the weights", bits)
        require(changes, "prepare changes what is saved with the weights")

    def likelihood(self) -> None:
        decoder, x, h, require = self.decoder, self.x, self.h, self.contract.require
        noise = self._noise(decoder.likelihood_noise)
        log_prob = decoder.log_prob(x, h, noise=noise)
        given = {} if noise is None else {"noise": noise}
        loss = decoder.loss(x, h, **given)
        loss.backward()
        parameters = decoder.named_parameters()
        untrained = [name for name, p in parameters if p.requires_grad and p.grad is None]
        first = decoder.log_prob(
            x[:1], None if h is None else h[:1], noise=None if noise is None else noise[:1]
        )
        require(tuple(log_prob.shape) == (BATCH,), "log_prob has shape (B,)", log_prob.shape)
        require(loss.shape == () and loss.isfinite(), "loss is a finite scalar")
        require(
            torch.allclose(log_prob[:1], first, rtol=1e-9),
            "log_prob of an image does not depend on the others of its batch",
        )
        whole, *halves = (  # as training may compute the loss of a batch
            decoder.eval()
            .loss(
                x[part],
                None if h is None else h[part],
                **{name: value[part] for name, value in given.items()},
            )
            .detach()
            for part in (slice(None), slice(BATCH // 2), slice(BATCH // 2, None))
        )
        mean = torch.stack(halves).mean()
        require(torch.allclose(whole, mean, rtol=1e-9), "loss is a mean over images")
        require(not untrained, "every parameter gets a gradient from the loss", untrained)
        require(decoder.is_bound or not decoder.bound, "only a bound is named as one")
        for name in ("log_prob", "loss"):
            method = getattr(decoder, name)
            self.contract.require_error(TypeError, f"{name} refuses floats", method, x.double(), h)
        if noise is None:
            require((log_prob <= 0).all(), "log_prob is that of a discrete image, ≤ 0")
            sentence = "a likelihood without noise refuses some"
            uniform = self._noise("uniform")
            self.contract.require_error(ValueError, sentence, decoder.log_prob, x, h, noise=uniform)
        else:
            again = decoder.log_prob(x, h, noise=noise)
            require(torch.equal(log_prob, again), "the same noise, the same log_prob")
        if decoder.has_subpixel_log_prob:
            terms = decoder.subpixel_log_prob(x, h).flatten(1).sum(1)
            require(
                torch.allclose(terms, log_prob, rtol=1e-9),
                "the terms of the sub-pixels sum to log_prob",
            )

    def sampling(self) -> None:
        decoder, x, h, require = self.decoder, self.x, self.h, self.contract.require
        noise = self._noise(decoder.sampling_noise)
        assert noise is not None
        options: dict[str, Any] = {"n": None if decoder.h_dim else BATCH, "noise": noise}
        drawn = decoder.sample(h, **options)
        require(
            drawn.dtype == torch.uint8 and drawn.shape == x.shape and drawn.max() < decoder.levels,
            "sample gives uint8 images (B, C, H, W) with values 0…levels−1",
        )
        if decoder.has_subpixel_log_prob and decoder.sampling_noise == "uniform":
            self.levels(drawn, noise)
        completion = {"known": x, "mask": noise > 0.5}
        if decoder.completes:
            options |= completion
        else:
            sentence = "what it cannot complete it refuses"
            self.contract.require_error(
                ValueError, sentence, decoder.sample, h, **options, **completion
            )
        engines = [name for name in decoder.engines if decoder.obstacle(name) is None]
        images = [decoder.sample(h, **options, temperature=0.7, engine=name) for name in engines]
        require(
            all(torch.equal(images[0], other) for other in images),
            f"all engines ({', '.join(engines)}) give one image for one noise",
        )
        if decoder.completes:
            same = torch.equal(images[0][noise > 0.5], x[noise > 0.5])
            require(same, "completion keeps the known sub-pixels")

    def levels(self, drawn: Tensor, noise: Tensor) -> None:
        """Compare images drawn by uniforms with the likelihood, at some of their pixels."""
        decoder, count = self.decoder, self.decoder.levels
        levels = torch.arange(count)
        sums, right, alone = True, True, True
        for _ in range(min(32, max(3, 256 // count))):
            b, c, row, column = (
                int(torch.randint(size, (), generator=self.generator))
                for size in (BATCH, *decoder.image_shape)
            )
            images = drawn[b].repeat(count, 1, 1, 1)
            images[:, c, row, column] = levels.to(torch.uint8)
            h = None if self.h is None else self.h[b].expand(count, *self.h[b].shape)
            with torch.no_grad():
                terms = decoder.subpixel_log_prob(images, h)[:, :, row, column]
            pmf, level = terms[:, c].exp(), int(drawn[b, c, row, column])
            u = float(noise[b, c, row, column])
            sums &= abs(float(pmf.sum()) - 1) < 1e-9
            below = float(pmf[levels < level].sum())
            right &= below <= u + 1e-9 and u < below + float(pmf[level]) + 1e-9
            alone &= torch.allclose(terms[:, :c], terms[:1, :c], rtol=1e-9)
        require = self.contract.require
        require(sums, "the probabilities of a sub-pixel's levels sum to one")
        require(right, "a sample's level is the smallest whose CDF exceeds the noise")
        require(alone, "the term of a channel does not depend on the pixel's later channels")

    def _noise(self, law: str | None) -> Tensor | None:
        """Noise of a law, float64 like x; None for None."""
        if law is None:
            return None
        draw = torch.rand if law == "uniform" else torch.randn
        return draw(self.x.shape, generator=self.generator, dtype=torch.float64)
