"""What the tests of the report share: a folder of two runs with every analysis, and a parser."""

import csv
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import torch
import yaml

from repr_toolkit.analyses import load_analysis
from repr_toolkit.analyses.classification import pixel_classifiers as networks
from repr_toolkit.analyses.comparison.measure import measure
from repr_toolkit.analyses.information import measure as information
from repr_toolkit.analyses.invariance.measure import measure as invariance
from repr_toolkit.analyses.probing import probe
from repr_toolkit.analyses.traversal.measure import measure as traversal
from repr_toolkit.runs.kept import Findings, keep, keep_together
from repr_toolkit.runs.run import Run, load_with_decoder
from toys.decoders import DECONV, PIXELCNN
from toys.runs import untrained_run

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
HOSTILE_TEXT = "</code></pre><script>alert(2)</script>"
QUICK = {"reconstructed": 3, "draws": 2, "rows": 3, "columns": 2}


def study(folder: Path) -> Path:
    """Two untrained runs, one of a hostile name, their comparison, and all analyses of the other.

    The analyses are the toolkit's own, so that the report reads what is really written.
    """
    runs = {
        "pixelcnn_m3": untrained_run(folder / "pixelcnn_m3", decoder=PIXELCNN),
        HOSTILE: untrained_run(folder / HOSTILE, decoder=DECONV),
    }
    for run in runs.values():
        config = yaml.safe_load(run.config_file.read_text("utf-8"))
        config["about"]["what"] = HOSTILE_TEXT
        run.config_file.write_text(yaml.safe_dump(config), "utf-8")
        write_metrics(run.metrics_file)
        disturb(run)
    result = measure(runs, **QUICK)
    keep_together(folder, "comparison", runs, result)
    (folder / "comparison.json").write_bytes(result.arrays()["comparison.json"].tobytes())
    analyse(runs["pixelcnn_m3"])
    return folder


def disturb(run: Run) -> None:
    """Add noise to every weight: what starts at 0, such as conditioning, would show nothing."""
    model, generator = load_with_decoder(run), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    run.save_model(model, run.info)


def write_metrics(file: Path) -> None:
    """A few rows, one of which diverged."""
    with file.open("w", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(["step", "train/loss", "train/bits_per_dim", "val/bits_per_dim"])
        lines.writerows([(5, 3.0, "", ""), (10, "nan", "", ""), (15, 1.5, "", "")])
        lines.writerows([(15, "", 1.6, 1.7), (20, 1.25, "", ""), (20, "", 1.4, 1.5)])


def kept(run: Run, name: str, findings: Findings, command: str) -> None:
    """Keep what an analysis of today found."""
    keep(run, name, findings, command, load_analysis(name).protocol)


def analyse(run: Run) -> None:
    """Every analysis, as small as can be."""
    few = {"parts": 2, "part_images": 4, "candidates": 2, "bound_images": 8}
    kept(run, "information", information(run, **few), f"repr-toolkit information {run.path}")
    usual = networks.SHOWN, networks.EPOCHS
    networks.SHOWN, networks.EPOCHS = 100, 1
    try:
        result = invariance(run, images=6, samples=2, rows=3, k=2)
        kept(run, "invariance", result, f"repr-toolkit invariance {run.path} --images 6")
    finally:
        networks.SHOWN, networks.EPOCHS = usual
    along = ["coordinate:0", "principal:0"]
    moved = traversal(run, along=along, steps=3, images=2, measured=4)
    kept(run, "traversal", moved, f"repr-toolkit traverse {run.path} --steps 3")
    probed = probe(run, probes=["logistic"], images=60, orders=2).of_run(run)
    kept(run, "probing", probed, f"repr-toolkit probe {run.path} --images 60")


class Page(HTMLParser):
    """What a page holds: its elements in their order, its ids, its texts, and what it closes."""

    VOID = ("meta", "img", "input", "link", "br", "path", "use")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of the elements of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """All that is read."""
        return " ".join(self.texts)


def contrast(a: str, b: str) -> float:
    """The contrast of two colours #rrggbb by WCAG 2."""

    def luminance(colour: str) -> float:
        values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
