"""What h says of an image, in bits, by decoders with exact likelihoods."""

from repr_toolkit.analyses.information.bounds import Bound, candidate_bound, label_bound
from repr_toolkit.analyses.information.code_lengths import CodeLengths, Reading, code_lengths
from repr_toolkit.analyses.information.controls import coordinate_bits, sensitivity
from repr_toolkit.analyses.information.usable import Usable

__all__ = [
    "Bound",
    "CodeLengths",
    "Reading",
    "Usable",
    "candidate_bound",
    "code_lengths",
    "coordinate_bits",
    "label_bound",
    "sensitivity",
]
