"""Classifiers of raw pixels, to stand beside what a model knows of the label."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from repr_toolkit.analyses.probing.classifiers import ends
from repr_toolkit.analyses.probing.linear import Labels
from repr_toolkit.data import ImageData
from repr_toolkit.data.images import intensities
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.stats import Number, share
from repr_toolkit.training.trainer import quiet_lightning

Floats = npt.NDArray[np.float32]  # intensities in [0, 1]

BASELINE_IMAGES = 10_000  # the SVM keeps the distances between all
NEIGHBOURS = 3
PENALTIES = tuple(10.0**power for power in range(-2, 5))  # the C of a support vector machine
WIDTHS = tuple(2.0**power for power in range(-4, 7))  # its γ · d · variance of a pixel
START = (PENALTIES.index(10), WIDTHS.index(1))  # where the search for the best begins
FEATURES = (16, 32, 64)  # of the small network's convolutions
BATCH = 64  # images of a step
EPOCHS, SHOWN = 10, 20_000  # passes through the images, and images shown, at the least


@dataclass(frozen=True, eq=False)
class Baseline:
    """Accuracy of a classifier of pixels on the images of a split."""

    name: str
    how: str  # what was chosen, and whether it was fitted to these images or chosen on them
    accuracy: Number
    train_images: int
    hits: npt.NDArray[np.bool_] = field(repr=False)  # which images are right, (N,)

    def as_dict(self) -> dict[str, Any]:
        """All but the hits, ready for JSON."""
        kept = ("name", "how", "train_images")
        return {**{k: getattr(self, k) for k in kept}, "accuracy": self.accuracy.as_dict()}


def pixel_baselines(data: ImageData, split: str, *, seed: int = 0) -> Iterator[Baseline]:
    """A nearest-neighbour classifier, a support vector machine and a small network, in this order.

    All see intensities in [0, 1] and are fitted to training images alone, at most
    `BASELINE_IMAGES`, spread evenly, and scored on all images of the split:

    - 3-NN by Euclidean distance;
    - an SVM with a Gaussian kernel, one against one, with C and γ of `PENALTIES` and `WIDTHS` than
      which no neighbours are more accurate on validation images, as many;
    - the network of `fit_small_network`, by `seed`.

    Classes that the training images lack count as errors. Raises ValueError for fewer than two.
    """
    from sklearn.neighbors import KNeighborsClassifier

    pairs = []
    for name, most in (("train", BASELINE_IMAGES), ("val", BASELINE_IMAGES), (split, None)):
        images = data.splits[name]
        batch = images[choose_evenly(len(images), most or len(images))]
        pairs.append((batch["image"], batch["label"].numpy()))
    (train, labels), (_, checked), (test, truth) = pairs
    if len(np.unique(labels)) < 2:
        raise ValueError("the training labels name only one class; a classifier needs two")
    flat = [intensities(images, data.levels).reshape(len(images), -1) for images, _ in pairs]

    def baseline(name: str, how: str, predicted: Labels) -> Baseline:
        if split == "train":
            how += "; fitted to these very images"
        hits = predicted == truth
        accuracy = share(hits, data.splits[split].groups())
        return Baseline(name, how, accuracy, len(labels), hits)

    nearest = KNeighborsClassifier(NEIGHBOURS).fit(flat[0], labels)
    yield baseline(f"{NEIGHBOURS}-NN", "Euclidean distance", nearest.predict(flat[2]))
    predicted, penalty, width = support_vectors(flat, labels, checked)
    how = f"C = {penalty:g}, γ = {width:g}/(d·var)"
    if ends({"C": penalty, "γ": width}, {"C": PENALTIES, "γ": WIDTHS}):
        how += ", at an end of what was tried"
    if split == "val":
        how += "; chosen on these very images"
    yield baseline("RBF-SVM", how, predicted)
    network = fit_small_network(train, labels, data.levels, seed=seed)
    how = f"three convolutions, {_epochs(len(labels))} epochs"
    yield baseline("small CNN", how, network.classify(test))


def support_vectors(
    flat: Sequence[Floats], labels: Labels, checked: Labels
) -> tuple[Labels, float, float]:
    """The test images' labels by the best machine on the validation images, its C and its γ.

    From `START` all neighbours of the best so far are tried, until they are known; of equals the
    one that was tried first is the best. `flat` is (N, d) of each split, `labels` those of the
    training and `checked` those of the validation images. γ is in units of 1 / (d · variance of a
    pixel). Needs memory for two N×N matrices of float64.
    """
    from sklearn.metrics.pairwise import euclidean_distances
    from sklearn.svm import SVC

    train, validation, test = (values.astype(np.float64) for values in flat)
    unit = 1 / (train.shape[1] * max(train.var(), 1e-12))
    # The distances once, by one product of matrices, in place of each kernel value by itself.
    distances = [
        euclidean_distances(values, train, squared=True) for values in (train, validation, test)
    ]

    def judged(penalty: float, width: float) -> tuple[int, Labels]:
        """How many of the validation images are right, and the test images' labels."""
        kernels = [-width * unit * squares for squares in distances]
        for kernel in kernels:
            np.exp(kernel, out=kernel)
        machine = SVC(C=penalty, kernel="precomputed").fit(kernels[0], labels)
        correct = int((machine.predict(kernels[1]) == checked).sum())
        return correct, machine.predict(kernels[2])

    tried: dict[tuple[int, int], tuple[int, Labels]] = {}
    ahead = [START]
    while ahead:
        tried |= {(c, w): judged(PENALTIES[c], WIDTHS[w]) for c, w in ahead}
        best = max(tried, key=lambda place: tried[place][0])
        c, w = best
        ahead = [
            (c, w)
            for c, w in ((c, w - 1), (c, w + 1), (c - 1, w), (c + 1, w))
            if c in range(len(PENALTIES)) and w in range(len(WIDTHS)) and (c, w) not in tried
        ]
    return tried[best][1], PENALTIES[best[0]], WIDTHS[best[1]]


@dataclass(frozen=True, eq=False)
class PixelClassifier:
    """A small convolutional network that tells the codes of images."""

    network: "SmallNetwork"
    classes: Labels  # (K,), ascending
    levels: int

    def classify(self, images: Tensor) -> Labels:
        """The codes of uint8 images (N, C, H, W) with values 0…levels−1: int64 (N,)."""
        codes: Labels = self.classes[self.network.classify(intensities(images, self.levels))]
        return codes


def fit_small_network(images: Tensor, codes: Labels, levels: int, *, seed: int) -> PixelClassifier:
    """Fit a `SmallNetwork` to uint8 images (N, C, H, W) and their codes (N,).

    After a fixed number of epochs of Adam. It follows `seed` (on a GPU up to the order of its
    sums).
    """
    classes, targets = np.unique(codes, return_inverse=True)
    with torch.random.fork_rng(), quiet_lightning():
        torch.manual_seed(seed)
        network = SmallNetwork(images.shape[1:], len(classes))
        pairs = TensorDataset(
            torch.from_numpy(intensities(images, levels)), torch.from_numpy(targets)
        )
        trainer = Trainer(
            max_epochs=_epochs(len(targets)),
            accelerator="auto",
            devices=1,
            # A process that torchrun started trains this by itself all the same.
            plugins=[LightningEnvironment()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        # A rest may be of one image, which has no variance to be normalised by.
        rest = len(pairs) > BATCH
        trainer.fit(network, DataLoader(pairs, batch_size=BATCH, shuffle=True, drop_last=rest))
    return PixelClassifier(network.eval(), classes, levels)


def _epochs(images: int) -> int:
    return max(EPOCHS, -(-SHOWN // images))


class SmallNetwork(LightningModule):
    """Three normalised convolutions with pooling, dropout, and a linear map to the classes."""

    def __init__(self, image_shape: Sequence[int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        positions = -(-height // 8) * -(-width // 8)
        layers: list[nn.Module] = []
        for before, after in pairwise((channels, *FEATURES)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        head = nn.Linear(FEATURES[-1] * positions, classes)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5), head)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, classes) of images (B, C, H, W) in [0, 1]."""
        scores: Tensor = self.layers(x)
        return scores

    @torch.inference_mode()
    def classify(self, images: Floats) -> Labels:
        """The class 0…K−1 of highest score of each image (N, C, H, W) in [0, 1]: int64 (N,)."""
        batches = torch.from_numpy(images).split(256)
        best = [self(batch.to(self.device)).argmax(1) for batch in batches]
        classes: Labels = torch.cat(best).cpu().numpy()
        return classes

    def training_step(self, batch: list[Tensor]) -> Tensor:
        images, targets = batch
        return F.cross_entropy(self(images), targets)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=2e-3)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
