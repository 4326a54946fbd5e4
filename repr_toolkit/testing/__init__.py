"""Conformance checks for anyone's encoder or decoder: `repr-toolkit check CLASS_PATH`.

Each check states a sentence of the contract and raises `ContractError` where it does not hold. They
run in float64 on random parameters, since a layer whose weights are zero would hide a leak.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from repr_toolkit.decoders import Decoder
from repr_toolkit.encoders.networks import accepted
from repr_toolkit.testing.contract import ContractError, randomised
from repr_toolkit.testing.decoder import check_decoder
from repr_toolkit.testing.encoder import check_encoder

__all__ = ["ContractError", "check", "check_decoder", "check_encoder", "randomised"]

OF_DATA = {"image_shape": (3, 32, 32), "levels": 256, "h_dim": 10, "num_classes": 10}
"""The arguments that data would give to an encoder that takes them."""


def check(class_path: str, **init_args: Any) -> list[str]:
    """Check the class of an import path, and return the sentences that hold.

    A decoder is built for each of its `check_shapes`, with and without h, and for h that is a map
    if it takes `h_shape`; any other class is an encoder. `init_args` are its further arguments.

    Raises ContractError for the first sentence that does not hold, and ValueError where the class
    cannot be imported or built.
    """
    from repr_toolkit.config.build import import_class

    cls = import_class(class_path, nn.Module, "the class to check")
    if not issubclass(cls, Decoder):
        if hasattr(cls, "log_prob"):
            raise ContractError("does not hold: a decoder inherits repr_toolkit's Decoder")
        return check_encoder(_built(cls, class_path, accepted(cls, OF_DATA) | init_args))
    variants: list[tuple[str, dict[str, Any]]] = [
        (
            f"{'RGB' if shape[0] == 3 else 'grey'}, h_dim={h_dim}",
            {"image_shape": shape, "h_dim": h_dim},
        )
        for shape in cls.check_shapes
        for h_dim in (0, 4)
    ]
    if h_shape := accepted(cls, {"h_shape": (2, 2, 3)}):
        variants.append(("h a map", {"image_shape": cls.check_shapes[0], **h_shape}))
    return [
        f"{name}: {sentence}"
        for name, arguments in variants
        for sentence in check_decoder(
            _built(cls, class_path, {"levels": 5} | arguments | init_args)
        )
    ]


def _built(cls: type, class_path: str, arguments: Mapping[str, Any]) -> Any:
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ValueError(f"{class_path} cannot be built: {error}") from error
