"""Models that are conditional on labels in a comparison: samples of classes, and Bayes' rule."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from repr_toolkit.analyses.classification.bayes import Classification, classify, label_prior
from repr_toolkit.data import ImageData
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.sampling.draw import decode
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.console import say
from repr_toolkit.support.pictures import Group

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder

CLASS_ROWS = 20  # classes in a figure
SAMPLES = 10  # images of each class in a figure
LIKELIHOODS = 100_000  # images × classes that a comparison computes unasked


def shown_classes(data: ImageData) -> tuple[list[int], list[str]]:
    """The codes and the names of a figure's classes, `CLASS_ROWS` spread evenly over more.

    A code without a name is its own name. Raises ValueError for data without labels.
    """
    codes = label_prior(data)[0].tolist()
    chosen = [codes[index] for index in choose_evenly(len(codes), CLASS_ROWS)]
    return chosen, [data.name_of("label", code) for code in chosen]


def class_samples(
    model: "EncoderDecoder",
    classes: Sequence[int],
    heading: str,
    title: str = "",
    *,
    seed: int = 0,
) -> Group:
    """`SAMPLES` images of each class, a row a class; a column has the same noise in every row.

    `heading` and `title` stand over them.
    """
    h = encode_batch(model, {"label": torch.tensor(classes)})
    noise = common_noise(model.decoder, SAMPLES, seed)
    images = decode(model.decoder, h, noise, progress=True)
    return Group(images, heading, title)


def classify_if_few(model: "EncoderDecoder", data: ImageData, split: str) -> Classification | None:
    """The split's images by Bayes' rule; None for more than `LIKELIHOODS` images × classes.

    None also where the split has a class that no training image has. A line says why.
    """
    images = data.splits[split]
    known = label_prior(data)[0]
    if len(images) * len(known) > LIKELIHOODS:
        say(
            f"  {len(images):,} images × {len(known):,} classes are many: Bayes' rule is left to "
            "`repr-toolkit classify`"
        )
        return None
    if not np.isin(images.column("label").numpy(), known).all():
        say(f"  no Bayes' rule: the {split} images have classes that no training image has")
        return None
    return classify(model, data, split, progress=True)
