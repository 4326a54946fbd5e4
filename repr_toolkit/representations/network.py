"""h of any network by its import path: an encoder's class, or a layer of a torch network."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from repr_toolkit.data import ImageData
from repr_toolkit.encoders import Encoder, activations, networks
from repr_toolkit.representations.encode import encode_data, identity
from repr_toolkit.representations.representation import RANDOM, Representation


@dataclass(frozen=True)
class Network:
    """A network by its import path, as the arguments of the function `represent` describe it."""

    path: str
    untrained: bool
    layer: str | None
    pool: str
    weights: str | None
    seed: int
    init_args: Mapping[str, Any] | None
    size: int | None

    def __post_init__(self) -> None:
        networks.import_callable(self.path)  # an error at once, and not after loading data

    def represent(self, data: ImageData, how: Mapping[str, Any]) -> Representation:
        """h of the data, with weights as they are given, or random ones."""
        path, untrained = self.path, self.untrained
        weights = self.weights or _default_weights(path)
        init_args = dict(self.init_args or {})
        shape: dict[str, Any] = {"image_shape": data.image_shape, "levels": data.levels}
        encoder = self._encoder(weights, shape)
        weighted = any(True for _ in cast(nn.Module, encoder).parameters())
        if untrained and not weighted:
            raise ValueError(f"{path} has no weights, so untrained it is the same")
        if untrained and weights is not None:
            self._draw_weights(cast(nn.Module, encoder), shape)
        known = {key: value for key, value in shape.items() if hasattr(encoder, key)}
        made_by = identity(encoder, {**known, **init_args}, data)
        name = str(init_args.get("model_name", path.rpartition(".")[2]))
        if self.layer is not None:
            name = f"{name}.{self.layer}"
        if weighted and (untrained or weights is None):
            name = f"{name}, {'untrained' if untrained else 'random'}"
            made_by = f"{made_by}{RANDOM}{self.seed}"
        return encode_data(name, encoder, data, made_by, **how)

    def _encoder(self, weights: str | None, shape: Mapping[str, Any]) -> Encoder:
        """The class itself where it is an encoder, or else what a layer of the network gives."""
        path, init_args = self.path, dict(self.init_args or {})
        if self.layer is None:
            net, _ = networks.build_network(
                path, init_args, weights, seed=self.seed, provided=shape
            )
            if hasattr(net, "source") and hasattr(net, "h_dim"):
                if self.size is not None:
                    raise ValueError(
                        f"{path} is an encoder, which takes images as they are: no size"
                    )
                return cast(Encoder, net)
        return activations.LayerActivations(
            path,
            self.layer,
            self.pool,
            init_args=init_args,
            weights=weights,
            seed=self.seed,
            size=self.size,
            **shape,
        )

    def _draw_weights(self, encoder: nn.Module, shape: Mapping[str, Any]) -> None:
        """Replace the weights that a network was given by those that it starts with.

        All else stays, such as how the weights want images scaled.
        """
        path, init_args = self.path, dict(self.init_args or {})
        net = encoder.net if isinstance(encoder, activations.LayerActivations) else encoder
        try:
            fresh, _ = networks.build_network(path, init_args, None, seed=self.seed, provided=shape)
            net.load_state_dict(fresh.state_dict())
        except Exception as error:  # anyone's class, built as nobody may ever have built it
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{path} cannot be built without its weights ({reason})") from error


def _default_weights(path: str) -> str | None:
    """The weights that a class such as FaceNet takes by itself, by their name."""
    parameter = inspect.signature(networks.import_callable(path)).parameters.get("weights")
    default = None if parameter is None else parameter.default
    return default if isinstance(default, str) else None
