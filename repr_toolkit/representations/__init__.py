"""Any representation: h of a data set by whatever makes it, from a run to a layer of a network."""

from repr_toolkit.representations.representation import Representation
from repr_toolkit.representations.sources import Source, options_for, represent
from repr_toolkit.representations.write import write_embedding

__all__ = ["Representation", "Source", "options_for", "represent", "write_embedding"]
