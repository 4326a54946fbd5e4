"""What h says of an image, in bits, by decoders with exact likelihoods."""

from repr_toolkit.analyses.base import Analysis, needs_encoder_and_decoder
from repr_toolkit.analyses.information.blocks import blocks
from repr_toolkit.analyses.information.bounds import Bound, candidate_bound, label_bound
from repr_toolkit.analyses.information.code_lengths import Reading, code_lengths
from repr_toolkit.analyses.information.controls import coordinate_bits, sensitivity
from repr_toolkit.analyses.information.measure import measure
from repr_toolkit.analyses.information.usable import Usable

__all__ = [
    "ANALYSIS",
    "Bound",
    "Reading",
    "Usable",
    "blocks",
    "candidate_bound",
    "code_lengths",
    "coordinate_bits",
    "label_bound",
    "measure",
    "sensitivity",
]

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
)
