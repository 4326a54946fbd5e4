"""What h says of an image, in bits, by decoders with exact likelihoods."""

from repr_toolkit.analyses.base import Analysis, needs_encoder_and_decoder
from repr_toolkit.analyses.information.blocks import blocks
from repr_toolkit.analyses.information.measure import measure

__all__ = ["ANALYSIS", "blocks", "measure"]

ANALYSIS = Analysis(
    name="information",
    command="information",
    title="Information in h",
    lead="How many bits of an image h saves its decoder, and where in the image. The decoder is "
    "given less than the image’s own h, and the bits that it then needs more are counted.",
    tells="the bits in h",
    measure=measure,
    blocks=blocks,
    obstacle=needs_encoder_and_decoder,
    protocol=2,
)
