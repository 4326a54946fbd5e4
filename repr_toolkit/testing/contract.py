"""The sentences of a contract, and the randomised decoders that they are checked on."""

from collections.abc import Callable
from copy import deepcopy
from math import prod
from typing import Any, TypeVar

import torch

from repr_toolkit.decoders import Decoder

AnyDecoder = TypeVar("AnyDecoder", bound=Decoder)


class ContractError(ValueError):
    """A sentence of the contract that does not hold for a class."""


class Remark(str):
    """A sentence that says what was seen, or what could not be checked, and certifies nothing."""


class Contract:
    """The sentences that hold, in `sentences`; ContractError for the first that does not."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def require(self, holds: object, sentence: str, seen: object = None) -> None:
        """State a sentence; the error, if it does not hold, names what was `seen` instead."""
        if not holds:
            raise ContractError(f"does not hold: {sentence}" + (f"; found {seen}" if seen else ""))
        self.sentences.append(sentence)

    def require_error(
        self,
        error: type[Exception],
        sentence: str,
        method: Callable[..., object],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """State that a method refuses these arguments by this error."""
        try:
            method(*args, **kwargs)
        except error:
            refuses = True
        else:
            refuses = False
        self.require(refuses, f"{sentence}: {error.__name__}")


def randomised(decoder: AnyDecoder, seed: int = 0) -> AnyDecoder:
    """A copy in float64 and eval mode whose parameters are all drawn from a normal distribution.

    Weights are scaled by their fan-in, so that no gate saturates until its gradient rounds to 0.
    """
    decoder = deepcopy(decoder).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in decoder.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            fan_in = prod(parameter.shape[1:])
            parameter.copy_(drawn / fan_in**0.5 if parameter.ndim > 1 else 0.5 * drawn)
    return decoder
