"""Conformance checks for anyone's encoder or decoder: `repr-toolkit check CLASS_PATH`.

Each check states one sentence of the contract and raises `ContractError` where it does not hold.
The checks run in float64 on random parameters, since zero-initialised layers would hide a leak.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import nn

from repr_toolkit.decoders import Decoder
from repr_toolkit.testing.contract import ContractError
from repr_toolkit.testing.decoder import check_decoder
from repr_toolkit.testing.encoder import check_encoder
from repr_toolkit.testing.randomised import randomised

__all__ = ["ContractError", "check", "check_decoder", "check_encoder", "randomised"]


def check(class_path: str, **init_args: Any) -> list[str]:
    """Check the class of that import path, and return the sentences that hold.

    A decoder is built for the image shapes that it states in `check_shapes`, with and without h,
    and for h that is a map if it takes one; any other class is an encoder. `init_args` are its
    further arguments.

    Raises ContractError for the first sentence that does not hold, ValueError where the class
    cannot be imported or built.
    """
    from repr_toolkit.config.build import import_class

    cls = import_class(class_path, nn.Module, "the class to check")
    try:
        if not issubclass(cls, Decoder):
            if hasattr(cls, "log_prob"):
                raise ContractError("does not hold: a decoder inherits repr_toolkit's Decoder")
            return check_encoder(cls(**_with_defaults(cls, init_args)))
        conditions: dict[str, dict[str, Any]] = {"h_dim=0": {}, "h_dim=4": {"h_dim": 4}}
        passed = []
        for shape in cls.check_shapes:
            kind = "RGB" if shape[0] == 3 else "grey"
            for name, condition in conditions.items():
                given = {"image_shape": shape, "levels": 5, **condition}
                model = cls(**(given | init_args))
                passed += [f"{kind}, {name}: {sentence}" for sentence in check_decoder(model)]
        if "h_shape" in signature(cls).parameters:
            given = {"image_shape": cls.check_shapes[0], "levels": 5, "h_shape": (2, 2, 3)}
            model = cls(**(given | init_args))
            passed += [f"h a map: {sentence}" for sentence in check_decoder(model)]
    except TypeError as error:
        raise ValueError(f"{class_path} cannot be built: {error}") from error
    return passed


def _with_defaults(cls: type, init_args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that data would give, where the class asks for them and none is given."""
    given = {"image_shape": (3, 32, 32), "levels": 256, "h_dim": 10, "num_classes": 10}
    wanted = signature(cls).parameters
    return {name: value for name, value in given.items() if name in wanted} | dict(init_args)
