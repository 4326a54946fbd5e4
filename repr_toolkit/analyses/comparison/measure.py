"""The comparison of a study's variants on held-out images: Figures 3 and 6, and a table."""

import json
from collections.abc import Iterable, Mapping
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
from repr_toolkit.analyses.comparison.notes import Circumstances, notes
from repr_toolkit.analyses.comparison.table import (
    Result,
    classifier_table,
    csv_text,
    markdown_table,
)
from repr_toolkit.analyses.probing import Features, Labels, Probe, linear_probe
from repr_toolkit.config.build import build
from repr_toolkit.data import ImageData
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.bits import bits_given
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.sampling.draw import decode
from repr_toolkit.support.choose import choose_evenly, choose_originals, other_images
from repr_toolkit.support.console import say
from repr_toolkit.support.files import atomic_write
from repr_toolkit.support.pictures import DPI, Group, figure3, figure6
from repr_toolkit.support.processes import fastest_device
from repr_toolkit.support.stats import Estimate
from repr_toolkit.support.tables import notes_text

if TYPE_CHECKING:
    from repr_toolkit.analyses.classification.bayes import Floats
    from repr_toolkit.analyses.classification.pixel_classifiers import Baseline

PROBE_IMAGES = 10_000
HEADINGS = {"mse": "MSE", "pixelcnn": "PixelCNN"}


def outputs(sources: Iterable[str | None]) -> tuple[str, ...]:
    """The files that `compare` writes of models whose encoders read these keys of a batch.

    None stands for a model without encoder. Figure 3 shows what is drawn given labels, Figure 6
    what is drawn given anything else.
    """
    sources = set(sources) - {None}
    figure3 = ["figure3.png"] if "label" in sources else []
    figure6 = ["figure6.png"] if sources - {"label"} else []
    return (*figure3, *figure6, "comparison.csv", "comparison.md")


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

    Writes into ``study_dir`` comparison.csv and comparison.md, whose path is returned; where a
    variant's h is of labels figure3.png (samples of each class), and where it is of anything else
    figure6.png (``rows`` originals; one reconstruction by each variant that reconstructs by its
    mean, ``columns`` samples of each other). An earlier comparison is replaced. Every variant's
    bits/dim are also compared to those of the first, image by image; those that are conditional on
    labels classify the images by Bayes' rule, beside classifiers of pixels. The reconstruction
    error is measured on ``reconstructed`` images, ``draws`` samples each. At most ``batch_size``
    images are worked on at a time. Everything random follows from ``seed``.

    Raises FileNotFoundError where the folder or a finished run is missing, and ValueError without
    runs, for a split that the data lacks, and for runs trained on different images.
    """
    if not runs:
        raise ValueError("there are no runs to compare")
    if not study_dir.is_dir():
        raise FileNotFoundError(f"no folder {study_dir} to write a comparison to")
    found = {name: Run(path) for name, path in runs.items()}
    data = _common_data(found)
    data.split(split)
    comparison = _Comparison(data, split, batch_size, reconstructed, draws, rows, columns, seed)
    for number, (name, run) in enumerate(found.items(), 1):
        say(f"[{number}/{len(found)}] comparing {name}")
        comparison.measure(name, run)
    comparison.write(study_dir, found)
    return study_dir / "comparison.md"


def _common_data(runs: Mapping[str, Run]) -> ImageData:
    """The data of the first run, once it is known that all runs were trained on it."""
    seen = {
        name: (run.info["data"]["fingerprint"], run.info["levels"]) for name, run in runs.items()
    }
    first = next(iter(seen))
    for name, images in seen.items():
        if images != seen[first]:
            raise ValueError(
                f"{name} was trained on other images, or other levels of them, than {first}: "
                "their numbers cannot stand in one table"
            )
    return runs[first].load_data()


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
        self.untrained: dict[str, Probe] = {}  # by the encoder's configuration
        self.first: Floats | None = None  # bits/dim of each image under the first variant
        self.results: list[Result] = []
        self.reconstructions: list[Group] = []  # the columns of Figure 6
        self.samples: list[Group] = []  # the columns of Figure 3

    def measure(self, name: str, run: Run) -> None:
        """The numbers of a variant, and its columns of a figure where it has an encoder."""
        model = load_with_decoder(run).to(fastest_device())
        size = self.batch_size
        codes = encode_split(model, self.split, batch_size=size)
        tables = [codes] if codes is None else [codes, codes[self.others]]
        own, *others = bits_given(model, self.split, tables, batch_size=size, progress=True)
        other = others[0] if others else None
        mse = mse_of_mean = classification = None
        if model.encoder is not None and model.encoder.source == "label":
            classes, _ = shown_classes(self.data)
            self.samples.append(
                class_samples(model, classes, heading(name)[0], seed=self.seed, batch_size=size)
            )
            classification = classify_if_few(model, self.data, self.split_name, batch_size=size)
        elif codes is not None:
            mse, mse_of_mean = self.squared_errors(model, codes)
            self.reconstructions.append(self.group(name, model, codes))
        versus = marginal_versus = None
        if self.first is None:
            self.first = own
        else:
            versus = Estimate.of(own - self.first)
            if classification is not None:
                marginal_versus = Estimate.of(classification.bits_marginal - self.first)
        info = run.info
        probe, untrained = self.probes(model, run)
        result = Result(
            name=name,
            h_dim=model.decoder.h_dim,
            likelihood=model.decoder.likelihood_label,
            bits=Estimate.of(own),
            bits_other_h=None if other is None else Estimate.of(other),
            difference=None if other is None else Estimate.of(own - other),
            mse=mse,
            mse_of_mean=mse_of_mean,
            probe=probe,
            probe_untrained=untrained,
            encoder_parameters=info["parameters"].get("encoder", 0),
            decoder_parameters=info["parameters"]["decoder"],
            seconds=info["seconds"],
            steps=info["step"],
            versus_first=versus,
            classification=classification,
            marginal_versus_first=marginal_versus,
        )
        self.results.append(result)

    def write(self, study_dir: Path, runs: Mapping[str, Run]) -> None:
        """The figures and the table of all that was measured."""
        levels, figures = self.data.levels, {}
        if self.samples:
            _, names = shown_classes(self.data)
            figures["figure3.png"] = figure3(self.samples, names, levels=levels)
        if self.reconstructions:
            originals = Group(self.split[self.shown]["image"][:, None], "Original")
            figures["figure6.png"] = figure6([originals, *self.reconstructions], levels=levels)
        for name, figure in figures.items():
            with atomic_write(study_dir / name) as file:
                figure.savefig(file, dpi=DPI, format="png")
        results = self.results
        pixels = self.probe_pixels()
        classifiers = self.classifiers()
        constants = {
            "data": self.data.name,
            "split": self.split_name,
            "images": str(len(self.split)),
            "levels": str(levels),
        }
        with atomic_write(study_dir / "comparison.csv") as file:
            file.write(csv_text(results, pixels, constants, classifiers).encode())
        circumstances = Circumstances(
            split=self.split_name,
            images=len(self.split),
            train=len(self.data.splits["train"]),
            levels=levels,
            measured=len(self.measured),
            draws=self.draws,
            probed={s: len(i) for s, i in self.probe_indices.items()} if self.probed else {},
            seed=self.seed,
        )
        fitted = classifiers[0].train_images if classifiers else 0
        remarks = notes(results, runs, [*figures], circumstances, fitted=fitted)
        parts = [
            f"# {study_dir.resolve().name}: {self.data.name}, {self.split_name} images\n",
            markdown_table(results, pixels, self.draws),
            classifier_table(results, pixels, classifiers) if classifiers else "",
            notes_text(remarks),
        ]
        with atomic_write(study_dir / "comparison.md") as file:
            file.write("\n".join(filter(None, parts)).encode())

    def classifiers(self) -> "list[Baseline]":
        """Classifiers of pixels, where a variant classifies by Bayes' rule."""
        found: list[Baseline] = []
        if self.probed and any(result.classification for result in self.results):
            for classifier in baselines(self.data, self.split_name):
                say(f"  {classifier.name} on pixels: {classifier.accuracy:.3f}")
                found.append(classifier)
        return found

    def squared_errors(self, model: EncoderDecoder, codes: Tensor) -> tuple[Estimate, Estimate]:
        """The error of a single reconstruction (its mean over the draws), and of the draws' mean.

        Mean squares of intensities in [0, 1], with the standard error over images. Where the
        reconstruction does not vary with the noise one draw tells all.
        """
        decoder = model.decoder
        draws = self.draws if decoder.reconstruction_temperature > 0 else 1
        count = len(self.measured)
        noise = common_noise(decoder, count * draws, self.seed + 1)
        drawn = decode(
            decoder,
            codes[self.measured],
            noise.unflatten(0, (count, draws)),  # of its own for each image
            temperature=decoder.reconstruction_temperature,
            batch_size=self.batch_size,
            progress=True,
        )
        images = self.split[self.measured]["image"][:, None].double()
        offset = (drawn.double() - images) / (decoder.levels - 1)  # (count, draws, C, H, W)
        single = offset.square().mean((1, 2, 3, 4))
        of_mean = offset.mean(1).square().mean((1, 2, 3))
        return Estimate.of(single.numpy()), Estimate.of(of_mean.numpy())

    def group(self, name: str, model: EncoderDecoder, codes: Tensor) -> Group:
        decoder = model.decoder
        count = self.columns if decoder.reconstruction_temperature > 0 else 1
        images = decode(
            decoder,
            codes[self.shown],
            common_noise(decoder, self.columns, self.seed)[:count],
            temperature=decoder.reconstruction_temperature,
            batch_size=self.batch_size,
            progress=True,
        )
        return Group(images, *heading(name, decoder.h_dim))

    def probes(self, model: EncoderDecoder, run: Run) -> tuple[Probe | None, Probe | None]:
        """How well h gives the label, and how well h of the same encoder before training does."""
        if not self.probed or model.encoder is None or model.encoder.source == "label":
            return None, None
        spec = json.dumps(run.config["model"]["encoder"], sort_keys=True)
        if spec not in self.untrained:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(run.config["seed"])
                encoder, decoder, _ = build(run.config)
            fresh = EncoderDecoder(encoder, decoder).eval().to(model.device)
            self.untrained[spec] = self.probe_encoder(fresh)
        return self.probe_encoder(model), self.untrained[spec]

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


def heading(name: str, h_dim: int | None = None) -> tuple[str, str]:
    """What a figure writes over a variant's columns, in two lines: "pixelcnn_m10" is PixelCNN,
    m = 10.
    """
    stem = name if h_dim is None else name.removesuffix(f"_m{h_dim}")
    title = f"$m$ = {h_dim}" if stem != name else ""
    return HEADINGS.get(stem, stem.replace("_", " ")), title
