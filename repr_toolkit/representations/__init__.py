"""Any representation: h of a data set by whatever makes it, from a run to a layer of a network."""

from typing import TYPE_CHECKING

from repr_toolkit.support.importing import names_in

if TYPE_CHECKING:
    from repr_toolkit.representations.names import Source, options_for
    from repr_toolkit.representations.parts import part_of
    from repr_toolkit.representations.representation import Representation
    from repr_toolkit.representations.sources import represent
    from repr_toolkit.representations.write import write_embedding

__all__ = ["Representation", "Source", "options_for", "part_of", "represent", "write_embedding"]

__getattr__ = names_in(
    __name__,
    {
        "Representation": "representation",
        "Source": "names",
        "options_for": "names",
        "part_of": "parts",
        "represent": "sources",
        "write_embedding": "write",
    },
)
