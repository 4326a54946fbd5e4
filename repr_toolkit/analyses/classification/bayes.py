"""Classification by Bayes' rule: a model of p(x|y) and the labels' frequencies give p(y|x).

A decoder with an exact likelihood, conditional on the label, is a classifier that nobody trained to
be one: argmax_y log p(x|y) + log p(y).
"""

from dataclasses import dataclass
from functools import cached_property
from math import log, prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import logsumexp
from torch import Tensor

from repr_toolkit.analyses.calibration import Calibration, calibration
from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.runs.bits import bits_given
from repr_toolkit.support.stats import Groups, Number, as_json, mean, share

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Classification:
    """Every image of a split under every class: log p(x|y), log p(y), and what follows.

    Attributes:
        classes: The K labels that there are, ascending, int64 (K,).
        log_likelihood: log p(x|y) in nats, float64 (N, K), for the classes in their order.
        log_prior: log p(y) in nats, float64 (K,).
        labels: The true label of each image, int64 (N,), each one of the classes.
        image_shape: (C, H, W) of the images.
        groups: Which images belong together (see `ImageSplit.groups`).
    """

    classes: Codes
    log_likelihood: Floats
    log_prior: Floats
    labels: Codes
    image_shape: tuple[int, int, int]
    groups: Groups | None = None

    @cached_property
    def log_marginal(self) -> Floats:
        """log Σ_y p(y) p(x|y) in nats, (N,): the likelihood of an image without its label.

        This is what may be held against an unconditional model; p(x|y) is given the label.
        """
        marginal: Floats = logsumexp(self.log_likelihood + self.log_prior, axis=1)
        return marginal

    @cached_property
    def log_posterior(self) -> Floats:
        """log p(y|x) in nats, (N, K); the probabilities of each row sum to one."""
        return self.log_likelihood + self.log_prior - self.log_marginal[:, None]

    @property
    def predictions(self) -> Codes:
        """The most probable label of each image, (N,); the first among equals."""
        best: Codes = self.classes[self.log_posterior.argmax(1)]
        return best

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """Which images' true label is predicted, (N,)."""
        right: npt.NDArray[np.bool_] = self.predictions == self.labels
        return right

    @property
    def calibration(self) -> Calibration:
        """That of the posterior of the predicted label."""
        return calibration([(np.exp(self.log_posterior.max(1)), self.hits)], self.groups)

    @property
    def accuracy(self) -> Number:
        """The share of images whose true label is predicted."""
        return share(self.hits, self.groups)

    @property
    def confusion(self) -> Codes:
        """How many images of class i are taken for class j, int64 (K, K)."""
        count = len(self.classes)
        predicted = np.searchsorted(self.classes, self.predictions)
        pairs = np.bincount(self._true * count + predicted, minlength=count * count)
        return pairs.reshape(count, count).astype(np.int64)

    @property
    def true_posterior_bits(self) -> Floats:
        """log₂ p(y|x) of each image's true label, (N,): 0 is certainty."""
        return self._of_truth(self.log_posterior) / log(2)

    @property
    def information_bits(self) -> Floats:
        """log₂ p(x|y) − log₂ Σ_y' p(y') p(x|y') of each image and its true label, (N,).

        Its mean over held-out images estimates E[log₂ q(y|x) − log₂ p(y)] for the posterior q. If
        p(y) are the labels' true frequencies, this expectation is H(y) + E[log₂ q(y|x)], a lower
        bound of the mutual information I(x; y), and short of it by the mean divergence of q(y|x)
        from the true posterior. Frequencies counted on n images are not quite the true ones, and
        add their own divergence, about (K − 1)/(2n·ln 2) bits.
        """
        return (self._of_truth(self.log_likelihood) - self.log_marginal) / log(2)

    @property
    def bits_given_label(self) -> Floats:
        """Bits/dim of each image under p(x|y), given its true label, (N,)."""
        return -self._of_truth(self.log_likelihood) / (self.subpixels * log(2))

    @property
    def bits_marginal(self) -> Floats:
        """Bits/dim of each image under Σ_y p(y) p(x|y), without its label, (N,)."""
        return -self.log_marginal / (self.subpixels * log(2))

    @property
    def prior_entropy(self) -> float:
        """H(y) of the prior, in bits: the most that images can tell of their labels on average."""
        return float(-(np.exp(self.log_prior) * self.log_prior).sum() / log(2))

    @property
    def subpixels(self) -> int:
        """C·H·W, the dimensions of an image."""
        return prod(self.image_shape)

    def as_dict(self) -> dict[str, Any]:
        """The numbers, ready for JSON.

        Beside `accuracy` the means over images of `true_posterior_bits`, `information_bits`,
        `bits_per_dim` (given the label) and `bits_per_dim_marginal`. The rows of `confusion` are
        the true classes.
        """
        means = {
            "true_posterior_bits": self.true_posterior_bits,
            "information_bits": self.information_bits,
            "bits_per_dim": self.bits_given_label,
            "bits_per_dim_marginal": self.bits_marginal,
        }
        return {
            "images": len(self.labels),
            "dims": self.subpixels,
            "classes": self.classes.tolist(),
            "accuracy": self.accuracy.as_dict(),
            "calibration": as_json(self.calibration),
            "prior_entropy_bits": self.prior_entropy,
            **{key: mean(values, self.groups).as_dict() for key, values in means.items()},
            "confusion": self.confusion.tolist(),
        }

    @property
    def _true(self) -> Codes:
        return np.searchsorted(self.classes, self.labels).astype(np.int64)

    def _of_truth(self, values: Floats) -> Floats:
        """Of values (N, K) those of each image's true class, (N,)."""
        return np.take_along_axis(values, self._true[:, None], 1)[:, 0]


def classify(
    model: "EncoderDecoder",
    data: ImageData,
    split: str = "test",
    *,
    batch_size: int = 256,
    progress: bool = False,
) -> Classification:
    """Classify the images of a split by a model whose encoder reads labels.

    The classes and p(y) are those of the training images' labels. The images are read once, and
    have a likelihood for each class, in float32 without autocast, on the model's device. Raises
    ValueError for a model whose encoder reads anything else, for data without labels, for a split
    that they lack, and for a label of the split that no training image has (its p(y) would be 0).
    """
    require_label_encoder(model)
    images = data.split(split)
    classes, log_prior = label_prior(data)
    labels: Codes = images.column("label").numpy()
    unseen = np.setdiff1d(labels, classes)
    if len(unseen):
        raise ValueError(
            f"no training image of {data.name} has the label {unseen[0]}, but one of the {split} "
            f"images has: its prior probability would be 0; leave such images out of the split"
        )
    likelihood = class_log_likelihoods(
        model, images, torch.from_numpy(classes), batch_size=batch_size, progress=progress
    )
    return Classification(
        classes, likelihood, log_prior, labels, model.decoder.image_shape, images.groups()
    )


def class_log_likelihoods(
    model: "EncoderDecoder",
    split: ImageSplit,
    classes: Tensor,
    *,
    batch_size: int = 256,
    progress: bool = False,
) -> Floats:
    """log p(x|y) in nats of every image of a split, in order, for each of K labels: float64 (N, K).

    `classes` is int64 (K,). Raises ValueError where the encoder refuses a label, and when a
    likelihood is not finite.
    """
    h = encode_batch(model, {"label": classes})
    tables = [one.expand(len(split), *one.shape) for one in h.cpu()]  # no copies
    bits = bits_given(model, split, tables, batch_size=batch_size, progress=progress)
    return -np.stack(bits, axis=1) * (prod(model.decoder.image_shape) * log(2))


def label_prior(data: ImageData) -> tuple[Codes, Floats]:
    """The labels of the training images, ascending, and the logarithms of their frequencies.

    int64 (K,) and float64 (K,). Raises ValueError for data without labels.
    """
    train = data.splits["train"]
    if "label" not in train.keys:
        raise ValueError(
            f"{data.name} has no labels to classify by; it has {', '.join(train.keys)}"
        )
    classes, counts = np.unique(train.column("label").numpy(), return_counts=True)
    return classes.astype(np.int64), np.log(counts / counts.sum())


def require_label_encoder(model: "EncoderDecoder") -> None:
    """Raise ValueError, saying what it is, unless a model is conditional on labels."""
    if model.encoder is None:
        raise ValueError(
            "the model has no encoder, so p(x|y) is the same for every class; train one with "
            "model.encoder.class_path repr_toolkit.encoders.OneHot to classify by it"
        )
    if model.encoder.source != "label":
        raise ValueError(
            f"the model's encoder reads {model.encoder.source!r}, not labels, so there is no "
            f"p(x|y) to classify by; probe its h instead, or train one with OneHot"
        )
