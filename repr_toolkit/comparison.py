"""The comparison of a study's variants on held-out images: Figure 6, and a table."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.build import build
from repr_toolkit.comparison_table import Result, csv_text, markdown_table, notes_text
from repr_toolkit.data import ImageData
from repr_toolkit.evaluation import (
    Estimate,
    bits_given,
    choose_split,
    fastest_device,
    other_images,
    representations,
)
from repr_toolkit.figures import DPI, Group, choose_evenly, choose_originals, figure6
from repr_toolkit.model import EncoderDecoder
from repr_toolkit.probing import Features, Labels, Probe, linear_probe
from repr_toolkit.processes import say
from repr_toolkit.runs import Run, atomic_write, load
from repr_toolkit.sampling import common_noise, decode

PROBE_IMAGES = 10_000
OUTPUTS = ("figure6.png", "comparison.csv", "comparison.md")
HEADINGS = {"mse": "MSE", "pixelcnn": "PixelCNN"}


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

    Writes into ``study_dir`` figure6.png (``rows`` originals; one reconstruction by each variant
    that reconstructs by its mean, ``columns`` samples of each other), comparison.csv and
    comparison.md, whose path is returned; an earlier comparison is replaced. The reconstruction
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
    choose_split(data, split)
    comparison = _Comparison(data, split, batch_size, reconstructed, draws, rows, columns, seed)
    results, groups = [], [comparison.originals()]
    for number, (name, run) in enumerate(found.items(), 1):
        say(f"[{number}/{len(found)}] comparing {name}")
        result, group = comparison.measure(name, run)
        results.append(result)
        groups += [group] if group else []
    pixels = comparison.probe_pixels()
    with atomic_write(study_dir / "figure6.png") as file:
        figure6(groups, levels=data.levels).savefig(file, dpi=DPI, format="png")
    constants = {
        "data": data.name,
        "split": split,
        "images": str(len(data.splits[split])),
        "levels": str(data.levels),
    }
    with atomic_write(study_dir / "comparison.csv") as file:
        file.write(csv_text(results, pixels, constants).encode())
    table = study_dir / "comparison.md"
    text = "\n".join(
        (
            f"# {study_dir.resolve().name}: {data.name}, {split} images\n",
            markdown_table(results, pixels, draws),
            notes_text(comparison.notes(found)),
        )
    )
    with atomic_write(table) as file:
        file.write(text.encode())
    return table


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

    def originals(self) -> Group:
        return Group(self.split[self.shown]["image"][:, None], "Original")

    def measure(self, name: str, run: Run) -> tuple[Result, Group | None]:
        """The numbers of a variant, and its columns of the figure where it can reconstruct."""
        model = load(run).to(fastest_device())
        size = self.batch_size
        codes = representations(model, self.split, batch_size=size)
        tables = [codes] if codes is None else [codes, codes[self.others]]
        own, *others = bits_given(model, self.split, tables, batch_size=size, progress=True)
        other = others[0] if others else None
        mse = mse_of_mean = group = None
        if codes is not None:
            mse, mse_of_mean = self.squared_errors(model, codes)
            group = self.group(name, model, codes)
        info = run.info
        probe, untrained = self.probes(model, run)
        result = Result(
            name=name,
            h_dim=model.decoder.h_dim,
            likelihood="upper bound" if model.decoder.is_bound else "exact",
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
        )
        return result, group

    def squared_errors(self, model: EncoderDecoder, codes: Tensor) -> tuple[Estimate, Estimate]:
        """The error of a single reconstruction (its mean over the draws), and of the draws' mean.

        Mean squares of intensities in [0, 1], with the standard error over images. Where the
        reconstruction does not vary with the noise one draw tells all.
        """
        decoder = model.decoder
        draws = self.draws if decoder.reconstruction_temperature > 0 else 1
        count = len(self.measured)
        noise = common_noise(count * draws, decoder.image_shape, self.seed + 1)
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
            common_noise(self.columns, decoder.image_shape, self.seed)[:count],
            temperature=decoder.reconstruction_temperature,
            batch_size=self.batch_size,
            progress=True,
        )
        stem = name.removesuffix(f"_m{decoder.h_dim}")
        heading = HEADINGS.get(stem, stem.replace("_", " "))
        return Group(images, heading, f"$m$ = {decoder.h_dim}" if stem != name else "")

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
            h = representations(model, part, indices=indices, batch_size=self.batch_size)
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

    def notes(self, runs: Mapping[str, Run]) -> list[str]:
        """What a reader of the table has to know."""
        devices = sorted({str(run.info["device"]) for run in runs.values()})
        seeds = sorted({run.config["seed"] for run in runs.values()})
        one = next(iter(runs.values())).path
        images = "the first images of each class" if self.probed else "images spread evenly"
        notes = [
            "**An autoencoder's bits are conditional on h(x), whose own cost is not counted**: "
            "they are the bits of x given h, not of x, and more dimensions of h can hide more.",
            "bits/dim: −log₂ p(x|h) / (C·H·W), the mean over all "
            f"{len(self.split):,} {self.split_name} images, for {self.data.levels} levels of "
            "intensity; numbers for other levels cannot be compared. Likelihoods of the discrete "
            "images, exact unless the row says “upper bound”; the MSE baseline's is that of a "
            "discretized Gaussian around its reconstruction, with one σ fitted on training images.",
            "bits/dim, other h: the same images, each given the h of another image (one fixed "
            "random cycle). difference: own h minus another's, paired by image; "
            "below 0, h informs.",
            f"MSE: squared error of intensities scaled to [0, 1], on {len(self.measured)} images "
            f"spread evenly over the split. single: of one reconstruction, averaged over "
            f"{self.draws} draws. mean of {self.draws}: of the draws' mean image. A baseline that "
            "reconstructs by its mean has one reconstruction, rounded to the levels.",
            "± is the standard error over images; it does not include the spread between training "
            "runs, of which there is one a column.",
        ]
        if self.probed:
            train, val, test = (f"{len(self.probe_indices[s]):,}" for s in ("train", "val", "test"))
            notes.append(
                "probe: accuracy of a logistic regression that reads the label from standardised "
                "h, with Wilson's 95 % interval; beside it, the same encoder before training, and "
                f"the pixels. Fitted on {train} training images, its penalty chosen on {val} "
                f"validation images, scored on {test} test images."
            )
        else:
            notes.append("probe: the data have no labels to read from h.")
        notes += [
            f"figure6.png: {images} of the split; a column has the same noise in every row and "
            "for every variant.",
            f"Trained on {' and '.join(devices)}; seconds count compilation and validations too. "
            f"Seeds: training {', '.join(map(str, seeds))}, comparison {self.seed}.",
            "Bits of one column again: "
            f"`repr-toolkit evaluate {one} --split {self.split_name}`. All of this again: the "
            "command `repr-toolkit study` that made it, which keeps the runs that are done.",
        ]
        return notes
