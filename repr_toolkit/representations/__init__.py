"""Any representation: h of a data set by whatever makes it, from a run to a layer of a network."""

from repr_toolkit.representations.parts import part_of
from repr_toolkit.representations.representation import Representation
from repr_toolkit.representations.sources import Source, options_for, represent
from repr_toolkit.representations.write import write_embedding

__all__ = ["Representation", "Source", "options_for", "part_of", "represent", "write_embedding"]
