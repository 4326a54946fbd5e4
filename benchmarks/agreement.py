"""The agreement of an engine with the full forward in float32, on a trained run.

python -m benchmarks.agreement RUN [--images N] [--split NAME] [--engine NAME]
"""

import argparse
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders import AutoregressiveDecoder
from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.decoders.likelihoods import Bernoulli
from repr_toolkit.decoders.precision import full_precision
from repr_toolkit.decoders.walks import gated_pixelcnn_native as native
from repr_toolkit.runs.run import Run, load_with_decoder

ENGINES = ("native", "cached")
"""Those whose decisions under a given past can be told, the faster one first."""


@dataclass
class Agreement:
    """An engine beside the full forward: sub-pixel by sub-pixel, and on its own samples.

    Attributes:
        decisions: The sub-pixels that both decide, given the same earlier ones.
        largest_difference: The largest difference of two parameters in these decisions.
        largest_parameter: The largest parameter, for comparison: float32 has seven digits.
        other_choices: The decisions in which the two choose different levels.
        images: The images.
        images_parted: Those in which the engine's own sample departs from the forward's choices.
        widest_tie: The largest |F − u| of all other choices and of all first departures. F is the
            nearest edge of the CDF, u the noise.
    """

    decisions: int
    largest_difference: float
    largest_parameter: float
    other_choices: int
    images: int
    images_parted: int
    widest_tie: float


@dataclass(frozen=True, kw_only=True)
class Recording(Draw):
    """A draw that keeps the parameters that an engine decides by, and what they decide."""

    params: Tensor
    """(B, C or 1, H, W, K)"""
    choices: Tensor
    """uint8 (B, C, H, W)"""

    def level(
        self, likelihood: Any, params: Tensor, at: Any, before: Tensor | None = None
    ) -> Tensor:
        if at[1] < self.params.shape[1]:
            self.params[at] = params
        level: Tensor = likelihood.draw(params, self.noise[at], self.temperature, before)
        self.choices[at] = level.to(torch.uint8)
        return self.keep(level, at)


@torch.inference_mode()
def agreement(
    model: AutoregressiveDecoder, x: Tensor, h: Tensor | None, u: Tensor, engine: str
) -> Agreement:
    """Compare the two on images x, uint8 (B, C, H, W), their h (B, h_dim), and noise u like x.

    The engine is one of `ENGINES`. Its own sample departs from the forward's at the first sub-pixel
    for which the two choose different levels, given the sample's earlier ones.
    """
    model.eval()
    with full_precision(x.device):
        expected = model.params(x, h)
        choices = torch.empty_like(x)
        forced: dict[str, Any] = {"known": x, "mask": torch.ones_like(x, dtype=torch.bool)}
        if engine == "native":
            # One logit of a Bernoulli is two to it, of which the first is 0.
            size = 2 if isinstance(model.likelihood, Bernoulli) else expected.shape[-1]
            filled = expected.new_empty(*expected.shape[:-1], size)
            native.sample(model, Draw(h, u, **forced), params=filled, choices=choices)
            params = filled[..., -expected.shape[-1] :]
        else:
            params = torch.empty_like(expected)
            recording = Recording(h, u, **forced, params=params, choices=choices)
            model.engines[engine].sample(model, recording)
        differs = choices != _levels(model, expected, x, u)
        gaps = [_gaps(model, expected, x, u, differs)]
        drawn = model.engines[engine].sample(model, Draw(h, u))
        under_its_past = model.params(drawn, h)
        parts = drawn != _levels(model, under_its_past, drawn, u)
        # In the order of generation: raster, then R, G, B.
        in_order = parts.permute(0, 2, 3, 1).flatten(1)
        first = (in_order & (in_order.cumsum(1) == 1)).view(len(x), *x.shape[2:], -1)
        gaps.append(_gaps(model, under_its_past, drawn, u, first.permute(0, 3, 1, 2)))
    return Agreement(
        decisions=x.numel(),
        largest_difference=float((params - expected).abs().max()),
        largest_parameter=float(expected.abs().max()),
        other_choices=int(differs.sum()),
        images=len(x),
        images_parted=int(in_order.any(1).sum()),
        widest_tie=float(torch.cat([*gaps, torch.zeros(1, dtype=torch.float64)]).max()),
    )


def _levels(model: AutoregressiveDecoder, params: Tensor, x: Tensor, u: Tensor) -> Tensor:
    """The levels (B, C, H, W) that parameters and noise u decide, given the past in images x."""
    decided = torch.empty_like(x)
    for c in range(x.shape[1]):
        before = x[:, :c].movedim(1, -1).long()
        of_channel = params[:, min(c, params.shape[1] - 1)]
        decided[:, c] = model.likelihood.draw(of_channel, u[:, c], 1.0, before).to(torch.uint8)
    return decided


def _gaps(
    model: AutoregressiveDecoder, params: Tensor, x: Tensor, u: Tensor, chosen: Tensor
) -> Tensor:
    """The distance of u to the nearest edge of the CDF, (N,), at the N sub-pixels chosen.

    `chosen` is bool (B, C, H, W), and a pixel's earlier channels are those of images x.
    """
    image, channel, row, column = chosen.nonzero(as_tuple=True)
    pixels = params[image, :, row, column, None, None].double()  # (N, C or 1, 1, 1, K)
    every = torch.arange(len(image), device=x.device)
    log_pmf = []
    for level in range(model.levels):
        levels = x[image, :, row, column, None, None]  # (N, C, 1, 1)
        levels[every, channel] = level
        log_pmf.append(model.likelihood.log_prob(pixels, levels)[every, channel, 0, 0])
    cdf = torch.stack(log_pmf, -1).exp().cumsum(-1)
    return (cdf - u[chosen].double().unsqueeze(-1)).abs().amin(-1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("run", help="a finished run whose decoder has one of the engines")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--split", default="test")
    parser.add_argument("--engine", choices=ENGINES, help="default: the fastest that works here")
    options = parser.parse_args()
    model = load_with_decoder(options.run)
    decoder = model.decoder
    works = [name for name in ENGINES if name in decoder.engines and not decoder.obstacle(name)]
    if not isinstance(decoder, AutoregressiveDecoder) or not works:
        parser.error(f"the decoder of {options.run} is a {type(decoder).__name__}")
    engine = options.engine or works[0]
    if engine not in works:
        parser.error(f"of the engines {', '.join(works)} works here")
    batch = Run(options.run).load_data().splits[options.split][range(options.images)]
    with torch.no_grad():
        h = model.encode(batch)
    u = torch.rand(batch["image"].shape, generator=torch.Generator().manual_seed(0))
    print(in_words(engine, agreement(decoder, batch["image"], h, u, engine)))


def in_words(engine: str, result: Agreement) -> str:
    same = 1 - result.other_choices / result.decisions
    return (
        f"{engine}, given the same past: parameters up to {result.largest_parameter:.0f} within "
        f"{result.largest_difference:.1e}, {same:.4%} of {result.decisions:,} decisions "
        f"equal ({result.other_choices} other)\n"
        f"own samples: {result.images_parted} of {result.images} images depart somewhere\n"
        f"every first difference has |F − u| ≤ {result.widest_tie:.1e}"
    )


if __name__ == "__main__":
    main()
