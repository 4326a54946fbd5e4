"""The sections of a recipe that hold plain values, as dataclasses. Nothing here imports torch."""

from dataclasses import dataclass, field
from typing import Any, Literal

_SHAPES = ("levels", "size", "mode", "fold", "folds", "inner", "binarise")
DATA_ARGUMENTS = ("source", "root", "place", "download", *_SHAPES)
"""The settings of data that say which images there are, and how they are read."""

ELSEWHERE = ("root", "place", "download", "workers")
"""The settings of data that change no result, but say where the images lie and who reads them."""


@dataclass(frozen=True)
class About:
    """What a reader of a recipe wants to know before running it."""

    what: str = ""
    data: str = ""
    hardware: str = ""
    time: str = ""
    expect: str = ""


@dataclass(frozen=True)
class Data:
    """Which images, and how they reach the model.

    Attributes:
        source: Name of a data set, an .npz file, a folder of images, or the import path of a
            function that returns an ImageData.
        root: Folder in which a file is looked up first; then in $REPR_TOOLKIT_DATA.
        levels: Number of intensity levels, 2…256; null keeps those of the data.
        size: Side of the images in pixels, for data whose side can be chosen.
        mode: RGB or grey, to which the images of a folder are converted; null takes them as they
            are, all 8-bit RGB or all 8-bit grey.
        download: Whether missing data may be fetched from the network.
        fold: Number, 0…folds−1, of the fold of a cross-validation by identity whose splits are
            used; null keeps those of the data.
        folds: Folds of such a cross-validation.
        inner: Number, 0…folds−1, of the fold of an inner cross-validation of the people whom `fold`
            does not test; those whom it tests are in no split.
        binarise: Two levels of intensity: threshold cuts at half; fixed samples each image once,
            the published protocol of binarised MNIST; dynamic samples training images anew at
            every step, by seed, step and image, and all others once.
        batch_size: Images in one training step, over all devices together.
        flips: Whether training images are mirrored from left to right, each at random at each step.
            Never those of the other splits; letters, digits and what has a left side are no longer
            themselves then.
        shifts: Pixels by which training images are moved at most, in both directions, each at
            random at each step. What moves in is the image's own mirror image at that edge.
        crops: Smallest side of the random part of a training image that is enlarged to take its
            place, as a share of the image's side, in (0, 1]; 1 leaves it whole.
        images_per_identity: K, for batches of P = batch_size / K people with K images of each;
            null takes the images in random order.
        workers: Processes that load data beside the training process.
        place: Absolute path of the folder in which the source was found, which a run or a recipe's
            file states; it is looked up there before the current folder, so that it means the same
            from anywhere.
        fingerprint: Digest of the images. A run states that of its training images, and is
            resumed only on these.
    """

    source: str
    root: str | None = None
    levels: int | None = None
    size: int | None = None
    mode: Literal["RGB", "grey"] | None = None
    download: bool = False
    fold: int | None = None
    folds: int = 4
    inner: int | None = None
    binarise: Literal["threshold", "fixed", "dynamic"] | None = None
    batch_size: int = 32
    flips: bool = False
    shifts: int = 0
    crops: float = 1.0
    images_per_identity: int | None = None
    workers: int = 0
    place: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class Training:
    """How the model is fitted.

    Attributes:
        optimizer: Import path (class_path) and arguments (init_args) of the optimizer, and groups,
            a list of {match, options}: the parameters with such names (patterns with *) or
            numbers of dimensions take the options instead of the arguments.
        schedule: The learning rate after warm-up: constant, or a cosine to 0 at the last step.
        warmup: Steps over which the learning rate rises linearly.
        steps: Optimizer steps of the whole run.
        validate_every: Steps between validations; each writes a picture and a checkpoint.
        start: Run directory whose weights training starts from, instead of drawing them.
        start_weights: SHA-256 of these weights, which a run states.
        weights: Which weights are the result, as they are averaged: the last, or the best, which
            are those of the validation with the fewest bits/dim (of an encoder alone, the highest
            AUC). For few images, which a model soon knows by heart.
        patience: Validations without a better one after which training ends; null never ends it
            before the last step.
        ema_decay: Decay of the weights' exponential moving average, in [0, 1); 0 for none.
        compile: Whether torch.compile is applied to the training loss.
        channels_last: Whether convolutions run on channels-last memory.
        micro_batch: Images that one thread computes at a time, when a model with a decoder trains
            on a CPU: parts of a batch are computed side by side, one thread each. null shares a
            batch among the threads that there are, and the run states how. A model that draws
            random numbers in training, or keeps statistics of batches, takes them whole.
        keep: What is kept of a finished run beside its results: the last checkpoint, from which it
            can go on with more steps, or its weights alone.
        pictures: Images in each row of a validation's picture; 0 draws none, for decoders without
            a fast sampling engine. Training by triplets draws a ROC, or none at 0.
    """

    optimizer: dict[str, Any] = field(
        default_factory=lambda: {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}}
    )
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    steps: int = 1000
    validate_every: int = 500
    start: str | None = None
    start_weights: str | None = None
    weights: Literal["last", "best"] = "last"
    patience: int | None = None
    ema_decay: float = 0.0
    compile: bool = False
    channels_last: bool = True
    micro_batch: int | None = None
    keep: Literal["checkpoint", "weights"] = "checkpoint"
    pictures: int = 8


SECTIONS: dict[str, type] = {"about": About, "data": Data, "training": Training}
METRIC = ("model.metric.loss", "model.metric.miner")
CLASSES = ("model.encoder", "model.decoder", *METRIC, "training.optimizer")
"""The settings that are a class and its arguments: class_path and init_args."""
