"""The comparison of a study's variants on held-out images: Figures 3 and 6, and a table."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.analyses.classification.classes import (
    baselines,
    class_samples,
    classify_if_few,
    shown_classes,
)
from repr_toolkit.analyses.comparison.blocks import blocks, heading
from repr_toolkit.analyses.comparison.notes import Circumstances, notes
from repr_toolkit.analyses.comparison.result import Classifier, Comparison, Variant
from repr_toolkit.analyses.probing import Features, Labels, Probe, linear_probe
from repr_toolkit.config.build import build
from repr_toolkit.data import ImageData
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import encode_split
from repr_toolkit.page.blocks import Notes
from repr_toolkit.page.terminal import as_text
from repr_toolkit.runs.bits import bits_given
from repr_toolkit.runs.run import Run, load_with_decoder, require_same_data
from repr_toolkit.sampling.draw import decode
from repr_toolkit.support.choose import choose_evenly, choose_originals, other_images
from repr_toolkit.support.console import say
from repr_toolkit.support.files import atomic_write, csv_text, write_json
from repr_toolkit.support.pictures import DPI, Group, paper_figure
from repr_toolkit.support.processes import fastest_device
from repr_toolkit.support.stats import Number, mean_and_error

if TYPE_CHECKING:
    from repr_toolkit.analyses.classification.bayes import Classification, Floats

PROBE_IMAGES = 10_000


def outputs(sources: Iterable[str | None]) -> tuple[str, ...]:
    """The files that `compare` writes of models whose encoders read these keys of a batch.

    None stands for a model without encoder. Figure 3 shows what is drawn given labels, Figure 6
    what is drawn given anything else.
    """
    sources = set(sources) - {None}
    figure3 = ["figure3.png"] if "label" in sources else []
    figure6 = ["figure6.png"] if sources - {"label"} else []
    return (*figure3, *figure6, "comparison.json", "comparison.csv", "comparison.md")


def compare(
    study_dir: Path,
    runs: Mapping[str, Path],
    *,
    split: str = "test",
    batch_size: int = 256,
    reconstructed: int = 128,
    draws: int = 16,
    rows: int = 10,
    columns: int = 5,
    seed: int = 0,
) -> Path:
    """Measure finished runs, by variant name, on a split of their common data.

    Writes into `study_dir` comparison.json, and from it comparison.csv and comparison.md, whose
    path is returned; where a
    variant's h is of labels figure3.png (samples of each class), and where it is of anything else
    figure6.png (`rows` originals; one reconstruction by each variant that reconstructs by its
    mean, `columns` samples of each other). An earlier comparison is replaced. Every variant's
    bits/dim are also compared to those of the first, image by image; those that are conditional on
    labels classify the images by Bayes' rule, beside classifiers of pixels. The reconstruction
    error is measured on `reconstructed` images, `draws` samples each. At most `batch_size`
    images are worked on at a time. Everything random follows from `seed`.

    Raises FileNotFoundError where the folder or a finished run is missing, and ValueError without
    runs, for a split that the data lacks, and for runs trained on different images.
    """
    if not runs:
        raise ValueError("there are no runs to compare")
    if not study_dir.is_dir():
        raise FileNotFoundError(f"no folder {study_dir} to write a comparison to")
    by_name = {name: Run(path) for name, path in runs.items()}
    require_same_data(by_name)
    data = next(iter(by_name.values())).load_data()
    data.split(split)
    comparison = _Comparison(data, split, batch_size, reconstructed, draws, rows, columns, seed)
    for number, (name, run) in enumerate(by_name.items(), 1):
        say(f"[{number}/{len(by_name)}] comparing {name}")
        comparison.measure(name, run)
    comparison.write(study_dir, by_name)
    return study_dir / "comparison.md"


class _Comparison:
    """What is measured of every variant, on images and noise that are the same for all."""

    def __init__(
        self,
        data: ImageData,
        split: str,
        batch_size: int,
        reconstructed: int,
        draws: int,
        rows: int,
        columns: int,
        seed: int,
    ) -> None:
        self.data = data
        self.split_name, self.split = split, data.splits[split]
        self.batch_size = batch_size
        self.draws = draws
        self.seed = seed
        self.columns = columns
        count = len(self.split)
        self.measured = choose_evenly(count, reconstructed)
        labelled = "label" in self.split.keys
        labels = self.split.column("label") if labelled else None
        self.shown = choose_originals(count, rows, labels)
        self.others = other_images(count, seed)
        self.probe_indices = {
            name: choose_evenly(len(part), PROBE_IMAGES) for name, part in data.splits.items()
        }
        self.probed = labelled and len(np.unique(self.probe_labels("train"))) > 1
        self.untrained: dict[str, Number] = {}  # by the encoder's configuration
        self.classification: Classification | None = None  # of the last variant that classifies
        self.first: Floats | None = None  # bits/dim of each image under the first variant
        self.variants: dict[str, Variant] = {}
        self.reconstructions: list[Group] = []  # the columns of Figure 6
        self.samples: list[Group] = []  # the columns of Figure 3

    def measure(self, name: str, run: Run) -> None:
        """The numbers of a variant, and its columns of a figure where it has an encoder."""
        model = load_with_decoder(run).to(fastest_device())
        size = self.batch_size
        h = encode_split(model, self.split, batch_size=size)
        tables = [h] if h is None else [h, h[self.others]]
        bits, *others = bits_given(model, self.split, tables, batch_size=size, progress=True)
        numbers = {"bits_per_dim": mean_and_error(bits)}
        marginal = None
        if model.encoder is not None and model.encoder.source == "label":
            classes, _ = shown_classes(self.data)
            self.samples.append(
                class_samples(model, classes, heading(name)[0], seed=self.seed, batch_size=size)
            )
            classification = classify_if_few(model, self.data, self.split_name, batch_size=size)
            if classification is not None:
                self.classification, marginal = classification, classification.bits_marginal
                numbers |= {
                    "bits_per_dim_marginal": mean_and_error(marginal),
                    "true_posterior_bits": mean_and_error(classification.true_posterior_bits),
                    "information_bits": mean_and_error(classification.information_bits),
                    "bayes": classification.accuracy,
                }
        elif h is not None:
            numbers |= self.squared_errors(model, h)
            self.reconstructions.append(self.group(name, model, h))
        if others:
            numbers["bits_per_dim_other_h"] = mean_and_error(others[0])
            numbers["difference"] = mean_and_error(bits - others[0])
        if self.first is None:
            self.first = bits
        else:
            numbers["bits_per_dim_minus_first"] = mean_and_error(bits - self.first)
            if marginal is not None:
                less = mean_and_error(marginal - self.first)
                numbers["bits_per_dim_marginal_minus_first"] = less
        info = run.info
        self.variants[name] = Variant(
            h_dim=model.decoder.h_dim,
            likelihood=model.decoder.likelihood_label,
            encoder_parameters=info["parameters"].get("encoder", 0),
            decoder_parameters=info["parameters"]["decoder"],
            seconds=info["seconds"],
            steps=info["step"],
            numbers=numbers | self.probes(model, run),
        )

    def write(self, study_dir: Path, runs: Mapping[str, Run]) -> None:
        """The figures and the table of all that was measured."""
        levels, figures = self.data.levels, {}
        if self.samples:
            _, names = shown_classes(self.data)
            figures["figure3.png"] = paper_figure(self.samples, names, levels=levels)
        if self.reconstructions:
            originals = Group(self.split[self.shown]["image"][:, None], "Original")
            groups = [originals, *self.reconstructions]
            figures["figure6.png"] = paper_figure(groups, levels=levels)
        for name, figure in figures.items():
            with atomic_write(study_dir / name) as file:
                figure.savefig(file, dpi=DPI, format="png")
        pixels, classifiers, fitted = self.of_pixels()
        if pixels is not None and any("probe" in v.numbers for v in self.variants.values()):
            self.variants = {
                name: replace(variant, numbers={**variant.numbers, "probe_pixels": pixels})
                for name, variant in self.variants.items()
            }
        circumstances = Circumstances(
            split=self.split_name,
            images=len(self.split),
            train=len(self.data.splits["train"]),
            levels=levels,
            measured=len(self.measured),
            draws=self.draws,
            probed={s: len(i) for s, i in self.probe_indices.items()} if self.probed else {},
            fitted=fitted,
            classification=self.classification,
            seed=self.seed,
        )
        comparison = Comparison(
            data=self.data.name,
            split=self.split_name,
            images=len(self.split),
            levels=levels,
            draws=self.draws,
            variants=self.variants,
            classifiers=classifiers,
            figures=[*figures],
            notes=notes(self.variants, runs, [*figures], circumstances),
        )
        write_json(study_dir / "comparison.json", comparison.as_dict())
        with atomic_write(study_dir / "comparison.csv") as file:
            file.write(csv_text(comparison.rows()).encode())
        title = f"# {study_dir.resolve().name}: {self.data.name}, {self.split_name} images\n\n"
        text = title + as_text([*blocks(comparison), Notes(comparison.notes)])
        with atomic_write(study_dir / "comparison.md") as file:
            file.write(text.encode())

    def of_pixels(self) -> tuple[Number | None, list[Classifier], int]:
        """The probe of pixels; where Bayes' rule classifies, other classifiers of them too.

        Last, the number of images that those were fitted to.
        """
        probe = self.probe_pixels()
        if probe is None or self.classification is None:
            return None if probe is None else probe.accuracy, [], 0
        fitted, classifiers = 0, []
        for classifier in baselines(self.data, self.split_name):
            say(f"  {classifier.name} on pixels: {classifier.accuracy.value:.3f}")
            classifiers.append(Classifier(classifier.name, classifier.how, classifier.accuracy))
            fitted = classifier.train_images
        how = f"C = {probe.strength:g}"
        classifiers.append(Classifier("logistic regression", how, probe.accuracy))
        return probe.accuracy, classifiers, fitted

    def squared_errors(self, model: EncoderDecoder, h: Tensor) -> dict[str, Number]:
        """The error of a single reconstruction (its mean over the draws), and of the draws' mean.

        Mean squares of intensities in [0, 1], with the standard error over images. One
        draw suffices where the reconstruction ignores the noise.
        """
        decoder = model.decoder
        draws = self.draws if decoder.reconstruction_temperature > 0 else 1
        count = len(self.measured)
        noise = common_noise(decoder, count * draws, self.seed + 1)
        drawn = decode(
            decoder,
            h[self.measured],
            noise.unflatten(0, (count, draws)),  # of its own for each image
            temperature=decoder.reconstruction_temperature,
            batch_size=self.batch_size,
            progress=True,
        )
        images = self.split[self.measured]["image"][:, None].double()
        offset = (drawn.double() - images) / (decoder.levels - 1)  # (count, draws, C, H, W)
        single = offset.square().mean((1, 2, 3, 4))
        of_mean = offset.mean(1).square().mean((1, 2, 3))
        return {
            "mse_one": mean_and_error(single.numpy()),
            "mse_of_mean": mean_and_error(of_mean.numpy()),
        }

    def group(self, name: str, model: EncoderDecoder, h: Tensor) -> Group:
        decoder = model.decoder
        count = self.columns if decoder.reconstruction_temperature > 0 else 1
        images = decode(
            decoder,
            h[self.shown],
            common_noise(decoder, self.columns, self.seed)[:count],
            temperature=decoder.reconstruction_temperature,
            batch_size=self.batch_size,
            progress=True,
        )
        return Group(images, *heading(name, decoder.h_dim))

    def probes(self, model: EncoderDecoder, run: Run) -> dict[str, Number]:
        """How well h gives the label, and how well h of the same encoder before training does."""
        if not self.probed or model.encoder is None or model.encoder.source == "label":
            return {}
        spec = json.dumps(run.config["model"]["encoder"], sort_keys=True)
        if spec not in self.untrained:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(run.config["seed"])
                encoder, decoder, _ = build(run.config)
            fresh = EncoderDecoder(encoder, decoder).eval().to(model.device)
            self.untrained[spec] = self.probe_encoder(fresh).accuracy
        probe = self.probe_encoder(model).accuracy
        return {"probe": probe, "probe_untrained": self.untrained[spec]}

    def probe_encoder(self, model: EncoderDecoder) -> Probe:
        features = {}
        for name, indices in self.probe_indices.items():
            part = self.data.splits[name]
            h = encode_split(model, part, indices=indices, batch_size=self.batch_size)
            assert h is not None
            features[name] = h.numpy()
        return self.probe(features)

    def probe_pixels(self) -> Probe | None:
        """How well the pixels themselves give the label; None where there are no labels."""
        if not self.probed:
            return None
        say("probing the pixels")
        images = {
            name: self.data.splits[name][i]["image"] for name, i in self.probe_indices.items()
        }
        return self.probe({name: image.flatten(1).numpy() for name, image in images.items()})

    def probe(self, features: Mapping[str, Features]) -> Probe:
        pairs = {name: (values, self.probe_labels(name)) for name, values in features.items()}
        return linear_probe(pairs["train"], pairs["val"], pairs["test"])

    def probe_labels(self, name: str) -> Labels:
        labels: Labels = self.data.splits[name].column("label").numpy()[self.probe_indices[name]]
        return labels
