"""How far the native engine agrees with the full forward in float32, on a trained run.

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
    """Of the native engine with the full forward: decision by decision, and left to itself."""

    decisions: int
    largest_difference: float
    """Of the logits, under the same past."""
    largest_logit: float
    """The size of what the difference stands beside: float32 has seven digits."""
    other_choices: int
    """Decisions that fall otherwise under the same past."""
    images: int
    images_parted: int
    """Images that, drawn by the engine alone, part somewhere from the forward's."""
    widest_tie: float
    """|F − u| at the sub-pixel where an image first parts, the largest: F is the nearest edge of
    the CDF, u the noise. Also over all decisions that fall otherwise under the same past."""


@torch.inference_mode()
def agreement(model: GatedPixelCNN, x: Tensor, h: Tensor | None, u: Tensor) -> Agreement:
    """Compare for images x (uint8 (B, C, H, W)), their h (B, h_dim), and noise u like x.

    Left to itself the engine draws other images than x; where it first parts from what the full
    forward would draw by the same noise is where their choices first differ under its own past.
    """
    model.eval()
    with full_precision(x.device):
        logits = x.new_empty(*x.shape, model.levels, dtype=u.dtype)
        choices = torch.empty_like(x)
        everywhere = torch.ones_like(x, dtype=torch.bool)
        forced = Draw(h, u, known=x, mask=everywhere)
        native.sample(model, forced, logits=logits, choices=choices)
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
        largest_difference=float((logits - expected).abs().max()),
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
    found = agreement(decoder, batch["image"], h, u)
    same = 1 - found.other_choices / found.decisions
    print(
        f"under the same past: logits up to {found.largest_logit:.0f} within "
        f"{found.largest_difference:.1e}, {same:.4%} of {found.decisions:,} decisions "
        f"equal ({found.other_choices} other)\n"
        f"left to itself: {found.images_parted} of {found.images} images part somewhere\n"
        f"every first difference has |F − u| ≤ {found.widest_tie:.1e}"
    )


if __name__ == "__main__":
    main()
