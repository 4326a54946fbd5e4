"""From an encoder and a data set to a Representation."""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast

from torch import Tensor, nn

from repr_toolkit.data import ImageData
from repr_toolkit.encoders import Encoder
from repr_toolkit.encoders.state import weights_digest
from repr_toolkit.models.code import named_by
from repr_toolkit.models.encode import encode_by, require_readable
from repr_toolkit.representations.parts import require_part
from repr_toolkit.representations.representation import Representation
from repr_toolkit.support.console import say
from repr_toolkit.support.processes import fastest_device
from repr_toolkit.support.speech import either

OF_RUN = "of the run "  # in `weights` of those that a run trained
BATCH_PIXELS = 2**21  # of the images that a network sees at a time


@dataclass(frozen=True)
class Maker:
    """An encoder that makes h, its name for tables, its identity, and where its weights are from.

    `weights` is "" for an encoder that has none.
    """

    name: str
    encoder: Encoder
    made_by: str
    weights: str

    @property
    def input(self) -> str:
        """How its images are processed, in words; "" for an encoder that takes them as they are."""
        return str(getattr(self.encoder, "input", ""))

    def told(self) -> Iterator[str]:
        """What to know before the work: weights, size and scaling, and what may be wrong."""
        parts = [self.weights and f"weights {self.weights}", self.input]
        if any(parts) and not self.weights.startswith(OF_RUN):
            yield f"{self.name}: {'; '.join(filter(None, parts))}"
        if caution := getattr(self.encoder, "caution", ""):
            yield f"warning: {caution}; {either('--image-size', 'image_size')} sets another"


def encode_data(
    data: ImageData,
    maker: Maker,
    *,
    batch_size: int = 256,
    progress: bool = False,
    parts: Sequence[str] = (),
    tell: Callable[[str], None] = say,
) -> Representation:
    """h of all images by an encoder, on the fastest device, in eval mode and full precision.

    `tell` gets lines on its weights and on its input before the work. Raises ValueError as
    `require_readable` does, for `parts` that h will not have, and what the encoder says of images
    that do not fit it.
    """
    name, encoder = maker.name, maker.encoder
    require_readable(encoder, data, name, mend="")
    slices: Mapping[str, slice] = getattr(encoder, "parts", {})
    for part in parts:
        require_part(part, name, slices, encoder.h_dim, len(data.splits["train"]))
    for line in maker.told():
        tell(line)
    # An encoder that enlarges its images needs memory for as many pixels.
    size = getattr(encoder, "size", None)
    if isinstance(size, tuple):
        batch_size = max(1, min(batch_size, BATCH_PIXELS // prod(size)))

    def encode(batch: Mapping[str, Tensor]) -> Tensor:
        return encoder(batch[encoder.source]).flatten(1).float()

    device = fastest_device()
    cast(nn.Module, encoder).eval().to(device)
    h = {
        key: encode_by(encode, split, None, batch_size, device, f"h of {name}", progress).numpy()
        for key, split in data.splits.items()
    }
    return Representation(
        name,
        maker.made_by,
        data.fingerprint,
        data.levels,
        h,
        slices,
        weights=maker.weights,
        input=maker.input,
    )


def identity(encoder: Encoder, arguments: Mapping[str, Any], data: ImageData) -> str:
    """Which encoder this is: its own `identity`, or its class with a digest of what makes it.

    That is its class's path, its arguments with their defaults (but for where weights came from),
    and its weights, whatever file they came from; of a flow's z, those of the flow.
    """
    kind = type(named_by(encoder))
    stated = getattr(encoder, "identity", None)
    if not isinstance(stated, str):
        digest = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__}".encode())
        known = _with_defaults(kind, arguments)
        digest.update(json.dumps(known, sort_keys=True, default=str).encode())
        digest.update(weights_digest(cast(nn.Module, encoder)).encode())
        stated = f"{kind.__name__} {digest.hexdigest()[:12]}"
    if encoder.source == "image":
        return f"{stated} of {'×'.join(map(str, data.image_shape))} images"
    maker = getattr(encoder, "made_by", None) or data.encoder
    return f"{stated} of {maker}" if encoder.source == "embedding" and maker else stated


def _with_defaults(kind: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters
    defaults = {
        key: parameter.default
        for key, parameter in parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    known = {**defaults, **arguments}
    return {key: value for key, value in known.items() if key != "weights"}
