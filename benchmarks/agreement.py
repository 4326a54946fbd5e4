"""The agreement of the native engine with the full forward in float32, on a trained run.

python -m benchmarks.agreement RUN [--images N] [--split NAME]
"""

import argparse
from dataclasses import dataclass

import torch
from torch import Tensor

from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.decoders.precision import full_precision
from repr_toolkit.decoders.walks import gated_pixelcnn_native as native
from repr_toolkit.runs.run import Run, load_with_decoder


@dataclass
class Agreement:
    """The native engine beside the full forward: sub-pixel by sub-pixel, and on its own samples.

    Attributes:
        decisions: The sub-pixels that both decide, given the same earlier ones.
        largest_difference: The largest difference of two logits in these decisions.
        largest_logit: The largest logit, for comparison: float32 has seven digits.
        other_choices: The decisions in which the two choose different levels.
        images: The images.
        images_parted: Those in which the engine's own sample departs from the forward's choices.
        widest_tie: The largest |F − u| of all other choices and of all first departures. F is the
            nearest edge of the CDF, u the noise.
    """

    decisions: int
    largest_difference: float
    largest_logit: float
    other_choices: int
    images: int
    images_parted: int
    widest_tie: float


@torch.inference_mode()
def agreement(model: GatedPixelCNN, x: Tensor, h: Tensor | None, u: Tensor) -> Agreement:
    """Compare the two on images x, uint8 (B, C, H, W), their h (B, h_dim), and noise u like x.

    The engine's own sample departs from the forward's at the first sub-pixel for which the two
    choose different levels, given the sample's earlier ones.
    """
    model.eval()
    with full_precision(x.device):
        params = x.new_empty(*x.shape, model.levels, dtype=u.dtype)
        choices = torch.empty_like(x)
        everywhere = torch.ones_like(x, dtype=torch.bool)
        forced = Draw(h, u, known=x, mask=everywhere)
        native.sample(model, forced, params=params, choices=choices)
        expected = model.params(x, h)
        differs = choices != model.likelihood.draw(expected, u)
        gaps = [_gaps(expected, u)[differs]]
        drawn = native.sample(model, Draw(h, u))
        under_its_past = model.params(drawn, h)
        parts = drawn != model.likelihood.draw(under_its_past, u)
        # In the order of generation: raster, then R, G, B.
        in_order = parts.permute(0, 2, 3, 1).flatten(1)
        parted = in_order.any(1)
        first = in_order[parted].to(torch.uint8).argmax(1, keepdim=True)
        gap = _gaps(under_its_past, u).permute(0, 2, 3, 1).flatten(1)[parted]
        gaps.append(gap.gather(1, first).flatten())
    return Agreement(
        decisions=x.numel(),
        largest_difference=float((params - expected).abs().max()),
        largest_logit=float(expected.abs().max()),
        other_choices=int(differs.sum()),
        images=len(x),
        images_parted=int(parted.sum()),
        widest_tie=float(torch.cat([*gaps, torch.zeros(1)]).max()),
    )


def _gaps(logits: Tensor, u: Tensor) -> Tensor:
    """The distance of u (…) to the nearest edge of the CDF of logits (…, K)."""
    cdf = logits.softmax(-1).cumsum(-1)
    return (cdf - u.unsqueeze(-1)).abs().amin(-1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("run", help="a finished run with a Gated PixelCNN")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    model = load_with_decoder(options.run)
    decoder = model.decoder
    if not isinstance(decoder, GatedPixelCNN):
        parser.error(f"the decoder of {options.run} is a {type(decoder).__name__}")
    batch = Run(options.run).load_data().splits[options.split][range(options.images)]
    with torch.no_grad():
        h = model.encode(batch)
    u = torch.rand(batch["image"].shape, generator=torch.Generator().manual_seed(0))
    result = agreement(decoder, batch["image"], h, u)
    same = 1 - result.other_choices / result.decisions
    print(
        f"given the same past: logits up to {result.largest_logit:.0f} within "
        f"{result.largest_difference:.1e}, {same:.4%} of {result.decisions:,} decisions "
        f"equal ({result.other_choices} other)\n"
        f"own samples: {result.images_parted} of {result.images} images depart somewhere\n"
        f"every first difference has |F − u| ≤ {result.widest_tie:.1e}"
    )


if __name__ == "__main__":
    main()
