"""How well a linear classifier reads the label from h, and from what h is compared to."""

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from repr_toolkit.analyses.probing.classifiers import Features
from repr_toolkit.analyses.probing.linear import Labels, Probe, linear_probe
from repr_toolkit.config.build import build
from repr_toolkit.data import ImageData
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.run import Run
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.stats import Number

PROBE_IMAGES = 10_000


class LabelProbes:
    """Probes of the label, on the same images of every split for whatever it is read from.

    `images` is how many of each split; it is empty where there are no labels of two classes.
    """

    def __init__(self, data: ImageData) -> None:
        self.data = data
        self.indices = {
            name: choose_evenly(len(part), PROBE_IMAGES) for name, part in data.splits.items()
        }
        self.images: dict[str, int] = {}
        if "label" in data.arrays and len(np.unique(self._labels("train"))) > 1:
            self.images = {name: len(indices) for name, indices in self.indices.items()}
        self.at_ends: list[str] = []  # the probes whose penalty is at an end of what was tried
        self.hits: dict[str, npt.NDArray[np.bool_]] = {}  # of each variant's test images
        self.untrained: dict[str, Number] = {}  # by the configuration of what makes h, and the seed

    def of_h(self, name: str, model: EncoderDecoder, run: Run) -> dict[str, Number]:
        """How well h gives the label, and how well h of the same encoder before training does.

        `name` is the variant's.
        """
        config = run.config
        made_by = config["model"]["encoder"] or config["model"]["decoder"]
        spec = json.dumps([made_by, config["seed"]], sort_keys=True)
        if spec not in self.untrained:
            encoder, decoder, _ = build(config)
            fresh = EncoderDecoder(encoder, decoder).coded.eval().to(model.device)
            self.untrained[spec] = self._of_encoder(f"{name}, untrained", fresh).accuracy
        probe = self._of_encoder(name, model)
        self.hits[name] = probe.hits
        return {"probe": probe.accuracy, "probe_untrained": self.untrained[spec]}

    def of_pixels(self) -> Probe:
        """How well the pixels themselves give the label."""
        images = {name: self.data.splits[name][i]["image"] for name, i in self.indices.items()}
        return self._probe(
            "pixels", {key: image.flatten(1).numpy() for key, image in images.items()}
        )

    def _of_encoder(self, name: str, model: EncoderDecoder) -> Probe:
        features = {}
        for split, indices in self.indices.items():
            h = encode_split(model, self.data.splits[split], indices=indices)
            features[split] = h.numpy()
        return self._probe(name, features)

    def _probe(self, name: str, features: Mapping[str, Features]) -> Probe:
        train, val, test = (
            (features[split], self._labels(split)) for split in ("train", "val", "test")
        )
        probe = linear_probe(
            train, val, test, self.data.splits["test"].groups(self.indices["test"])
        )
        if probe.ends:
            self.at_ends.append(f"the probe of {name} ({', '.join(probe.ends)})")
        return probe

    def _labels(self, name: str) -> Labels:
        labels: Labels = self.data.splits[name].column("label").numpy()[self.indices[name]]
        return labels
