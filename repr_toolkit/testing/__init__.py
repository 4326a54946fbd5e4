"""Conformance checks for anyone's encoder or decoder: `repr-toolkit check CLASS_PATH`.

Each check states a sentence of the contract and raises `ContractError` where it does not hold. They
run in float64 on random parameters, since a layer whose weights are zero would hide a leak.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from repr_toolkit.decoders import Decoder
from repr_toolkit.encoders.networks import accepted
from repr_toolkit.testing.contract import ContractError, Remark, randomised
from repr_toolkit.testing.decoder import check_decoder
from repr_toolkit.testing.encoder import check_encoder
from repr_toolkit.testing.enumeration import check_enumerated

__all__ = ["ContractError", "Remark", "check", "check_decoder", "check_encoder", "randomised"]

OF_DATA = {"image_shape": (3, 32, 32), "levels": 256, "h_dim": 10, "num_classes": 10}
"""The arguments that data would give to an encoder that takes them."""


def check(class_path: str, *, channels: int | None = None, **init_args: Any) -> list[str]:
    """Check the class of an import path, and return the sentences that hold.

    A decoder is built for each of its `check_shapes`, of those with `channels` if that is stated,
    with and without h, and for h that is a map if it takes `h_shape`; then all images of a tiny
    space are listed. Any other class is an encoder. `init_args` are its further arguments;
    image_shape, h_dim or h_shape among them take the place of the sizes above. A `Remark` says
    what could not be checked.

    Raises ContractError for the first sentence that does not hold, and ValueError where the class
    cannot be imported or built.
    """
    from repr_toolkit.config.build import import_class

    cls = import_class(class_path, nn.Module, "the class to check")
    if not issubclass(cls, Decoder):
        if hasattr(cls, "log_prob"):
            raise ContractError("does not hold: a decoder inherits repr_toolkit's Decoder")
        return check_encoder(_built(cls, class_path, accepted(cls, OF_DATA) | init_args))
    shapes = [shape for shape in cls.check_shapes if channels in (None, shape[0])]
    if "image_shape" in init_args:
        shapes = [tuple(init_args["image_shape"])]
    if not shapes:
        raise ValueError(f"{class_path} states no check_shapes of {channels} channels")
    kinds: list[dict[str, Any]] = [{"h_dim": 0}, {"h_dim": 4}]
    if {"h_dim", "h_shape"} & init_args.keys():
        kinds = [{}]
    variants = [(shape, kind) for shape in shapes for kind in kinds]
    if len(kinds) > 1 and (h_shape := accepted(cls, {"h_shape": (2, 2, 3)})):
        variants.append((shapes[0], h_shape))

    def build(kind: Mapping[str, Any], shape: tuple[int, int, int], levels: int) -> Decoder:
        sizes = {"image_shape": shape, "levels": levels}
        decoder: Decoder = _built(cls, class_path, {**kind, **init_args, **sizes})
        return decoder

    sentences = []
    for shape, kind in variants:
        decoder = build(kind, shape, init_args.get("levels", 5))
        passed = [*check_decoder(decoder), *check_enumerated(partial(build, kind), shape)]
        sentences += [type(sentence)(f"{_name(decoder)}: {sentence}") for sentence in passed]
    return sentences


def _name(decoder: Decoder) -> str:
    """What was built, in words."""
    channels = decoder.image_shape[0]
    h = f"h_dim={decoder.h_dim}" if len(decoder.h_shape) == 1 else "h a map"
    return f"{ {1: 'grey', 3: 'RGB'}.get(channels, f'{channels} channels') }, {h}"


def _built(cls: type, class_path: str, arguments: Mapping[str, Any]) -> Any:
    """The class built as of a recipe, so that arguments may be class specs."""
    from repr_toolkit.config.build import parse

    spec = {"class_path": class_path, "init_args": dict(arguments)}
    try:
        return parse(spec, class_path, {}, cls)[2]()
    except TypeError as error:
        raise ValueError(f"{class_path} cannot be built: {error}") from error
