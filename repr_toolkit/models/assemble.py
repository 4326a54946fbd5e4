"""From a configuration to a model that can be trained, of whichever kind it describes."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from repr_toolkit.config.build import HasShape, build, build_metric
from repr_toolkit.config.recipe import Config
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.learner import Learner
from repr_toolkit.models.metric import MetricLearner

if TYPE_CHECKING:
    from repr_toolkit.encoders import Encoder


class Assembly(NamedTuple):
    """A model's parts, still to be joined, and the configuration that alone rebuilds them.

    `join` takes the keyword arguments of `Learner`.
    """

    encoder: "Encoder | None"
    join: Callable[..., Learner]
    config: Config


def assemble(config: Mapping[str, Any], data: HasShape | None = None) -> Assembly:
    """The model of a configuration: an encoder with a decoder, or with a metric-learning loss.

    Raises as `build` does.
    """
    if "metric" in config["model"]:
        encoder, loss, miner, resolved = build_metric(config, data)
        return Assembly(encoder, partial(MetricLearner, encoder, loss, miner), resolved)
    built = build(config, data)
    return Assembly(built.encoder, partial(EncoderDecoder, *built[:2]), built.config)
