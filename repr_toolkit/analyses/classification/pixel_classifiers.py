"""Classifiers of raw pixels, to stand beside what a model knows of the label."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from repr_toolkit.analyses.probing.linear import Labels
from repr_toolkit.support.stats import Number, wilson
from repr_toolkit.training.trainer import quiet_lightning

Images = npt.NDArray[np.uint8]  # (N, C, H, W)
Floats = npt.NDArray[np.float32]  # intensities in [0, 1]

NEIGHBOURS = 3
PENALTIES = (1.0, 10.0)  # the C of a support vector machine
WIDTHS = (0.5, 1.0, 2.0, 4.0)  # its γ, in units of 1 / (d · variance of a pixel)
EPOCHS, SHOWN = 10, 20_000  # passes through the images, and images shown, at the least


@dataclass(frozen=True)
class Baseline:
    """Accuracy of a classifier of pixels on test images it was neither fitted nor chosen on."""

    name: str
    how: str  # what was chosen, and by what
    accuracy: Number
    train_images: int

    def as_dict(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return {**vars(self), "accuracy": self.accuracy.as_dict()}


def pixel_baselines(
    train: tuple[Images, Labels],
    validation: tuple[Images, Labels],
    test: tuple[Images, Labels],
    *,
    levels: int = 256,
    seed: int = 0,
) -> Iterator[Baseline]:
    """A nearest-neighbour classifier, a support vector machine and a small network, in this order.

    Each pair holds images uint8 (N, C, H, W) with values 0…levels−1, seen as intensities in
    [0, 1], and integer labels (N,). All are fitted to the training images alone:

    - 3-NN by Euclidean distance;
    - an SVM with a Gaussian kernel, one against one, with the C and γ among `PENALTIES` and
      `WIDTHS` that are most accurate on `validation` (the smallest among equals);
    - a network of two convolutions and one linear map, after a fixed number of epochs of Adam;
      it follows `seed` (on a GPU up to the order of its sums).

    The SVM needs memory for two N×N matrices of float64. Classes that the training images lack
    count as errors. Raises ValueError for fewer than two classes, an empty set, or images and
    labels of different number.
    """
    sets = {"training": train, "validation": validation, "test": test}
    for name, (images, labels) in sets.items():
        if len(labels) == 0 or len(images) != len(labels):
            raise ValueError(
                f"the {name} set has {len(images)} images and {len(labels)} labels; a classifier "
                "needs as many of each, at least one"
            )
    if len(np.unique(train[1])) < 2:
        raise ValueError("the training labels name only one class; a classifier needs two")
    scaled: list[Floats] = [
        images.astype(np.float32) / np.float32(levels - 1) for images, _ in sets.values()
    ]
    flat = [images.reshape(len(images), -1) for images in scaled]
    labels, checked, truth = (pair[1] for pair in sets.values())

    def baseline(name: str, how: str, predicted: Labels) -> Baseline:
        accuracy = wilson(int((predicted == truth).sum()), len(truth))
        return Baseline(name, how, accuracy, len(labels))

    yield baseline(f"{NEIGHBOURS}-NN", "Euclidean distance", neighbours(flat, labels))
    predicted, penalty, width = support_vectors(flat, labels, checked)
    how = f"C = {penalty:g}, γ = {width:g}/(d·var)"
    yield baseline("RBF-SVM", how, predicted)
    epochs = max(EPOCHS, -(-SHOWN // len(labels)))
    predicted = small_network(scaled[0], labels, scaled[2], epochs=epochs, seed=seed)
    yield baseline("small CNN", f"two convolutions, {epochs} epochs", predicted)


def neighbours(flat: Sequence[Floats], labels: Labels) -> Labels:
    """The vote of the nearest training images on each test image; `flat` is (N, d) a split."""
    from sklearn.neighbors import KNeighborsClassifier

    train, _, test = flat
    predicted: Labels = KNeighborsClassifier(NEIGHBOURS).fit(train, labels).predict(test)
    return predicted


def support_vectors(
    flat: Sequence[Floats], labels: Labels, checked: Labels
) -> tuple[Labels, float, float]:
    """The test images' labels by the best machine on the validation images, its C and its γ.

    `flat` is (N, d) of each split, `labels` those of the training and `checked` those of the
    validation images. γ is in units of 1 / (d · variance of a pixel).
    """
    from sklearn.metrics.pairwise import euclidean_distances
    from sklearn.svm import SVC

    train, validation, test = (values.astype(np.float64) for values in flat)
    unit = 1 / (train.shape[1] * max(train.var(), 1e-12))
    # The distances once, by one product of matrices, in place of each kernel value by itself.
    distances = [
        euclidean_distances(values, train, squared=True) for values in (train, validation, test)
    ]
    best = -1
    for width in WIDTHS:
        kernels = [-width * unit * squares for squares in distances]
        for kernel in kernels:
            np.exp(kernel, out=kernel)
        for penalty in PENALTIES:
            machine = SVC(C=penalty, kernel="precomputed").fit(kernels[0], labels)
            correct = int((machine.predict(kernels[1]) == checked).sum())
            if correct > best:
                best, chosen = correct, (machine.predict(kernels[2]), penalty, width)
        del kernels  # before the next ones are made, so that memory holds two N×N matrices
    return chosen


def small_network(train: Floats, labels: Labels, test: Floats, *, epochs: int, seed: int) -> Labels:
    """The test images' labels by a small convolutional network; images are (N, C, H, W)."""
    classes, targets = np.unique(labels, return_inverse=True)
    network = fit_small_network(train, targets, epochs=epochs, seed=seed)
    predicted: Labels = classes[network.classify(test)]
    return predicted


def fit_small_network(train: Floats, targets: Labels, *, epochs: int, seed: int) -> "SmallNetwork":
    """The network of `small_network`, for targets (N,) in which each of 0…K−1 occurs."""
    with torch.random.fork_rng(), quiet_lightning():
        torch.manual_seed(seed)
        network = SmallNetwork(train.shape[1:], int(targets.max()) + 1)
        pairs = TensorDataset(torch.from_numpy(train), torch.from_numpy(targets))
        trainer = Trainer(
            max_epochs=epochs,
            accelerator="auto",
            devices=1,
            # A process that torchrun started trains this by itself all the same.
            plugins=[LightningEnvironment()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(network, DataLoader(pairs, batch_size=64, shuffle=True))
    return network.eval()


class SmallNetwork(LightningModule):
    """Two convolutions with pooling, dropout, and a linear map to the classes."""

    def __init__(self, image_shape: Sequence[int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        positions = -(-height // 4) * -(-width // 4)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(64 * positions, classes),
        )

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
