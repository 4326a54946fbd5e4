"""Runs side by side on the same held-out images: bits/dim, reconstructions, labels."""

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from repr_toolkit.analyses.calibration import of_softmaxes
from repr_toolkit.analyses.classification.classes import (
    class_samples,
    classify_if_few,
    shown_classes,
)
from repr_toolkit.analyses.classification.pixel_classifiers import PixelClassifier, pixel_baselines
from repr_toolkit.analyses.comparison.blocks import blocks, heading, sample_names
from repr_toolkit.analyses.comparison.notes import notes
from repr_toolkit.analyses.comparison.probes import LabelProbes
from repr_toolkit.analyses.comparison.rows import csv_rows
from repr_toolkit.analyses.judge import obstacle, train_judge
from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import effective_dimension, encode_split
from repr_toolkit.models.temperatures import scales_noise
from repr_toolkit.page.blocks import Notes
from repr_toolkit.page.terminal import as_text
from repr_toolkit.runs.bits import (
    TRAINING_IMAGES,
    bits_given,
    own_and_other,
    refitted_bits,
    training_bits,
)
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run, load_with_decoder, require_same_data
from repr_toolkit.sampling.draw import decode
from repr_toolkit.support.choose import choose_evenly, choose_originals
from repr_toolkit.support.console import say
from repr_toolkit.support.files import as_bytes, csv_text, json_text
from repr_toolkit.support.pictures import Group, paper_figure, png_of
from repr_toolkit.support.stats import Groups, Number, as_json, difference, mean, share

if TYPE_CHECKING:
    import numpy.typing as npt

    from repr_toolkit.analyses.classification.bayes import Classification, Floats

PROTOCOL = 7
"""A number, to be raised whenever the same question comes to have another answer."""

LAYOUT = 4
"""The side of the image, in pixels, at which a scene's layout is compared."""


def measure(
    runs: Mapping[str, Run],
    split: str = "test",
    *,
    reconstructed: int = 128,
    draws: int = 16,
    rows: int = 10,
    columns: int = 5,
    seed: int = 0,
) -> Result:
    """Measure finished runs, by variant name, on a split of their common data.

    Every variant's bits/dim are also compared to those of the first, image by image; those that are
    conditional on labels classify the images by Bayes' rule, beside classifiers of pixels. The
    reconstruction error is measured on `reconstructed` images, `draws` samples each. Everything
    random follows from `seed`.

    The arrays are the bytes of files by their names: comparison.json, comparison.csv and
    comparison.md; where a variant's h is of labels figure3.png (samples of each class), where it is
    of anything else figure6.png (`rows` originals; one reconstruction by each variant that
    reconstructs by its mean, `columns` samples of each other), and where a variant has no encoder
    samples.png (`rows` times `columns` samples, or, where temperatures scale the noise, `rows` at
    `columns` temperatures each).

    Raises FileNotFoundError where a finished run is missing, and ValueError without runs, for a
    split that the data lacks, and for runs trained on different images.
    """
    if not runs:
        raise ValueError("there are no runs to compare")
    require_same_data(runs)
    asked: dict[str, Any] = {
        "split": split,
        "reconstructed": reconstructed,
        "draws": draws,
        "rows": rows,
        "columns": columns,
        "seed": seed,
    }
    first = next(iter(runs.values()))
    comparison = _Comparison(first.load_data(), **asked)
    for number, (name, run) in enumerate(runs.items(), 1):
        say(f"[{number}/{len(runs)}] comparing {name}")
        comparison.measure(name, run)
    files = comparison.figures()
    numbers = as_json({**comparison.numbers(), "figures": [*files]})
    numbers["notes"] = notes(numbers, runs)
    files |= text_files(numbers, first.path.resolve().parent.name)
    arrays = {name: np.frombuffer(content, np.uint8) for name, content in files.items()}
    return Result({**asked, "protocol": PROTOCOL}, numbers, arrays)


def text_files(numbers: Mapping[str, Any], study: str) -> dict[str, bytes]:
    """The numbers as JSON, as CSV, and as Markdown under the name of the study."""
    title = f"# {study}: {numbers['data']}, {numbers['split']} images\n\n"
    text = title + as_text([*blocks(numbers), Notes(numbers["notes"])])
    return {
        "comparison.json": as_bytes(json_text(dict(numbers))),
        "comparison.csv": as_bytes(csv_text(csv_rows(numbers))),
        "comparison.md": as_bytes(text),
    }


def squared_errors(
    drawn: Tensor, images: Tensor, levels: int, groups: Groups | None = None
) -> dict[str, Number]:
    """The squared errors of reconstructions (N, n, C, H, W), n of each image uint8 (N, C, H, W).

    Of intensities in [0, 1], the mean over sub-pixels, with the standard error over images:
    `mse_one` of a single reconstruction and, for n > 1, `mse_posterior_mean` of the mean of the
    distribution that they are drawn from; `mse_layout` is the latter at `LAYOUT`×`LAYOUT` pixels.
    The error of the n draws' own mean exceeds that by an n-th of their variance;
    (n·M_n − M_1)/(n − 1), of the errors M of that mean and of single draws, does not, image by
    image. So it may be below 0.
    """
    offset = (drawn.double() - images[:, None].double()) / (levels - 1)
    single, count = offset.square().mean((1, 2, 3, 4)), drawn.shape[1]
    errors = {"mse_one": mean(single.numpy(), groups)}
    coarse = F.adaptive_avg_pool2d(offset.flatten(0, 1), LAYOUT).unflatten(0, drawn.shape[:2])
    for name, error in {"mse_posterior_mean": offset, "mse_layout": coarse}.items():
        if count > 1:
            single = error.square().mean((1, 2, 3, 4))
            of_mean = (count * error.mean(1).square().mean((1, 2, 3)) - single) / (count - 1)
            errors[name] = mean(of_mean.numpy(), groups)
    return errors


def bits_of_draws(
    model: EncoderDecoder, h: Tensor | None, count: int, seed: int = 0
) -> "npt.NDArray[np.float64]":
    """Bits/dim of `count` images drawn from p(x|h), under that p(x|h): float64 (count,).

    One image for each row of h (count, h_dim), or from p(x) for None, at temperature 1. If
    held-out images were draws of the model, theirs would be the same in the mean.
    """
    decoder = model.decoder
    noise = common_noise(decoder, count, seed)
    drawn = decode(decoder, h, noise if h is None else noise.unflatten(0, (count, 1)))
    split = ImageSplit({"image": drawn.flatten(0, 1).numpy()}, np.arange(count), decoder.levels)
    return bits_given(model, split, [h], seed=seed)[0]


class _Comparison:
    """What is measured of every variant, on images and noise that are the same for all."""

    def __init__(
        self,
        data: ImageData,
        split: str,
        reconstructed: int,
        draws: int,
        rows: int,
        columns: int,
        seed: int,
    ) -> None:
        self.data = data
        self.split_name, self.split = split, data.split(split)
        self.draws = draws
        self.columns = columns
        self.seed = seed
        count = len(self.split)
        self.measured = choose_evenly(count, reconstructed)
        labels = self.split.column("label") if "label" in self.split.keys else None
        self.shown = choose_originals(count, rows, labels)
        self.probes = LabelProbes(data)
        self.classification: Classification | None = None  # of the last variant that classifies
        self.first: Floats | None = None  # bits/dim of each image under the first variant
        self.judge: dict[str, Any] = {}  # of the classifier that read reconstructions' labels
        self.variants: dict[str, dict[str, Any]] = {}
        self.reconstructions: list[Group] = []  # the columns of Figure 6
        self.samples: list[Group] = []  # the columns of Figure 3
        self.unconditional: list[Group] = []  # samples of variants without encoder
        self.scaled: list[bool] = []  # of each of these, whether temperatures scale its noise

    def measure(self, name: str, run: Run) -> None:
        """The numbers of a variant, and its columns of a figure where it has a code.

        The code of a flow without encoder is z, which its likelihood is not given.
        """
        model = load_with_decoder(run)
        coded = model.coded
        code = None if coded.encoder is None else encode_split(coded, self.split)
        h = None if model.encoder is None else code
        bits, numbers = own_and_other(model, self.split, h, self.seed, progress=True)
        refitted, remarks = refitted_bits(model, self.data, self.split_name)
        numbers |= refitted
        groups = self.split.groups()
        if self.split_name != "train":
            count = min(len(bits), TRAINING_IMAGES)
            numbers["bits_per_dim_train"] = training_bits(model, self.data, count, seed=self.seed)
        h_measured = None if h is None else h[self.measured]
        if model.decoder.reconstruction_temperature > 0:
            drawn = bits_of_draws(model, h_measured, len(self.measured), self.seed + 1)
            of_measured = self.split.groups(self.measured)
            numbers["bits_per_dim_draws"] = mean(drawn, None if h is None else of_measured)
            numbers["draws_minus_images"] = mean(drawn - bits[self.measured], of_measured)
        softmax = of_softmaxes(model, self.split, h_measured, self.measured)
        if self.first is not None:
            numbers["bits_per_dim_minus_first"] = mean(bits - self.first, groups)
        if model.encoder is not None and model.encoder.source == "label":
            classes, _ = shown_classes(self.data)
            self.samples.append(class_samples(model, classes, *heading(name), seed=self.seed))
            numbers |= self._of_labels(model)
        elif code is not None:
            numbers |= self._of_reconstructions(coded, code)
            self.reconstructions.append(self._group(name, coded, code))
            if self.probes.images:
                numbers |= self.probes.of_h(name, coded, run)
        if model.encoder is None:
            self.unconditional.append(self._samples(name, model))
        if self.first is None:
            self.first = bits
        info = run.info
        self.variants[name] = {
            "h_dim": coded.decoder.h_dim,
            "code": "" if code is None else "z" if h is None else "h",
            "effective_dimension": None if code is None else effective_dimension(code),
            "softmax": softmax,
            "likelihood": model.decoder.likelihood_label,
            "remark": "; ".join(filter(None, [model.decoder.remark, *remarks])),
            "encoder_parameters": info["parameters"].get("encoder", 0),
            "decoder_parameters": info["parameters"]["decoder"],
            "seconds": info["seconds"],
            "steps": info["step"],
            "numbers": numbers,
        }

    def numbers(self) -> dict[str, Any]:
        """What all variants have in common, and their numbers, once they are measured."""
        classifiers, fitted = self._of_pixels()
        one = self.classification
        of_labels = {"prior_entropy_bits": one.prior_entropy} if one else {}
        return {
            "data": self.data.name,
            "split": self.split_name,
            "images": len(self.split),
            "train_images": len(self.data.splits["train"]),
            "levels": self.data.levels,
            "dims": prod(self.data.image_shape),
            "reconstructed": len(self.measured),
            "draws": self.draws,
            "seed": self.seed,
            "probed": self.probes.images,
            "judge": self.judge,
            "at_ends": self.probes.at_ends,
            **of_labels,
            "variants": self.variants,
            "classifiers": classifiers,
            "classifier_images": fitted,
        }

    def figures(self) -> dict[str, bytes]:
        """The figures that there are, as PNG."""
        levels, figures = self.data.levels, {}
        if self.samples:
            _, names = shown_classes(self.data)
            figures["figure3.png"] = paper_figure(self.samples, names, levels=levels)
        if self.reconstructions:
            originals = Group(self.split[self.shown]["image"][:, None], "Original")
            groups = [originals, *self.reconstructions]
            names = [f"{self.split_name} {index}" for index in self.shown]
            figures["figure6.png"] = paper_figure(groups, names, levels=levels)
        if self.unconditional:
            names = sample_names(len(self.shown), self.columns, self.scaled)
            figures["samples.png"] = paper_figure(self.unconditional, names, levels=levels)
        return {file: png_of(figure) for file, figure in figures.items()}

    def _of_labels(self, model: EncoderDecoder) -> dict[str, Number]:
        """What Bayes' rule says of the images, if they and the classes are few."""
        one = classify_if_few(model, self.data, self.split_name)
        if one is None:
            return {}
        self.classification = one
        numbers = {
            "posterior_too_sure": one.calibration.too_sure,
            "bits_per_dim_marginal": mean(one.bits_marginal, one.groups),
            "true_posterior_bits": mean(one.true_posterior_bits, one.groups),
            "information_bits": mean(one.information_bits, one.groups),
            "bayes": one.accuracy,
        }
        if self.first is not None:
            less = mean(one.bits_marginal - self.first, one.groups)
            numbers["bits_per_dim_marginal_minus_first"] = less
        return numbers

    def _of_pixels(self) -> tuple[list[dict[str, Any]], int]:
        """Classifiers of pixels, where Bayes' rule classifies, and how many images they fit.

        The probe of pixels is one of them, and stands beside the probes of h.
        """
        every = [variant["numbers"] for variant in self.variants.values()]
        probed = any("probe" in numbers for numbers in every)
        if not self.probes.images or not (probed or self.classification):
            return [], 0
        say("probing the pixels")
        probe = self.probes.of_pixels()
        groups = self.data.splits["test"].groups(self.probes.indices["test"])
        for name, numbers in zip(self.variants, every, strict=True):
            if probed:
                numbers["probe_pixels"] = probe.accuracy
            if (hits := self.probes.hits.get(name)) is not None:
                numbers["probe_minus_pixels"] = difference(hits, probe.hits, groups)
                first = next(iter(self.probes.hits.values()))
                if hits is not first:
                    numbers["probe_minus_first"] = difference(hits, first, groups)
        if self.classification is None:
            return [], 0
        bayes = self.classification.hits
        fitted, classifiers = 0, []
        for classifier in pixel_baselines(self.data, self.split_name):
            say(f"  {classifier.name} on pixels: {classifier.accuracy.value:.3f}")
            named: dict[str, Any] = {"name": classifier.name, "how": classifier.how}
            minus = difference(classifier.hits, bayes, self.classification.groups)
            named |= {"accuracy": classifier.accuracy, "minus_bayes": minus}
            classifiers.append(named)
            fitted = classifier.train_images
        named = {"name": "logistic regression", "how": f"C = {probe.strength:g}"}
        return [*classifiers, {**named, "accuracy": probe.accuracy}], fitted

    @cached_property
    def _judge(self) -> tuple[PixelClassifier, dict[str, Any]] | None:
        """The classifier that reads labels of reconstructions; None where no label can be read."""
        if obstacle(self.data, "label", self.split_name) is not None:
            return None
        say("training a classifier of images")
        return train_judge(self.data, "label", self.split_name, seed=self.seed)

    def _of_reconstructions(self, model: EncoderDecoder, h: Tensor) -> dict[str, Number]:
        """How near reconstructions are to the images, and how often they have their label.

        One draw suffices where reconstructions ignore the noise.
        """
        decoder = model.decoder
        draws = self.draws if decoder.reconstruction_temperature > 0 else 1
        count = len(self.measured)
        noise = common_noise(decoder, count * draws, self.seed + 1)
        drawn = decode(
            decoder,
            h[self.measured],
            noise.unflatten(0, (count, draws)),  # of its own for each image
            temperature=None,
            progress=True,
        )
        images = self.split[self.measured]["image"]
        # One that ignores the noise stands for two, which are their own mean.
        random = decoder.reconstruction_temperature > 0
        several = drawn if random else drawn.expand(-1, 2, -1, -1, -1)
        errors = squared_errors(several, images, decoder.levels, self.split.groups(self.measured))
        return {**errors, **self._labels_of(drawn)}

    def _labels_of(self, drawn: Tensor) -> dict[str, Number]:
        """In how many of reconstructions (count, draws, C, H, W) the original's label is read."""
        if self._judge is None:
            return {}
        network, self.judge = self._judge
        labels = self.split.column("label").numpy()[self.measured]
        read = network.classify(drawn.flatten(0, 1)).reshape(drawn.shape[:2])
        shares = (read == labels[:, None]).mean(1)
        judged = share(shares, self.split.groups(self.measured), each=drawn.shape[1])
        return {"judged": judged, "judged_real": self.judge["accuracy"]}

    def _group(self, name: str, model: EncoderDecoder, h: Tensor) -> Group:
        decoder = model.decoder
        count = self.columns if decoder.reconstruction_temperature > 0 else 1
        noise = common_noise(decoder, self.columns, self.seed)[:count]
        images = decode(decoder, h[self.shown], noise, temperature=None, progress=True)
        return Group(images, *heading(name, decoder.h_dim))

    def _samples(self, name: str, model: EncoderDecoder) -> Group:
        """Samples of p(x), a row of them, or one at several temperatures where these scale it."""
        decoder, rows = model.decoder, len(self.shown)
        family, title = heading(name)
        self.scaled.append(scales_noise(decoder))
        if self.scaled[-1]:
            noise = common_noise(decoder, rows, self.seed)[None]
            steps = torch.linspace(0, 1, self.columns).tolist()
            images = [decode(decoder, None, noise, temperature=t)[0] for t in steps]
            return Group(torch.stack(images, 1), family, f"{title} $T$ = 0 to 1".strip())
        noise = common_noise(decoder, rows * self.columns, self.seed)[None]
        images = decode(decoder, None, noise, progress=True)[0].unflatten(0, (rows, self.columns))
        return Group(images, family, title)
