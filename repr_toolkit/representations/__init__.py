"""Any representation: h of a data set by whatever makes it, from a run to a layer of a network."""

from repr_toolkit.representations.representation import Representation
from repr_toolkit.representations.sources import UNTRAINED, is_random, represent
from repr_toolkit.representations.write import write_embedding

__all__ = ["UNTRAINED", "Representation", "is_random", "represent", "write_embedding"]
