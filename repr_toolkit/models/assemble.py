"""From a configuration to a model of the kind that it describes."""

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
    """The parts of a model.

    Attributes:
        encoder: The encoder, or None.
        join: Makes the model from the parts and the keyword arguments of `Learner`.
        config: The complete configuration, which alone rebuilds the model.
    """

    encoder: "Encoder | None"
    join: Callable[..., Learner]
    config: Config


def assemble(config: Mapping[str, Any], data: HasShape | None = None) -> Assembly:
    """The parts of a configuration's model: an encoder with a decoder, or with a metric loss.

    `data` gives the image shape and the number of levels, unless the configuration states them.
    Raises as `build` does.
    """
    if "metric" in config["model"]:
        encoder, loss, miner, resolved = build_metric(config, data)
        return Assembly(encoder, partial(MetricLearner, encoder, loss, miner), resolved)
    built = build(config, data)
    return Assembly(built.encoder, partial(EncoderDecoder, *built[:2]), built.config)
