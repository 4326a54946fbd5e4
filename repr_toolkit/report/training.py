"""How training went, from metrics.csv."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod

from repr_toolkit.config.recipe import Config
from repr_toolkit.page.blocks import Block, Chart, Paragraph, Section
from repr_toolkit.page.charts import Series, line_chart
from repr_toolkit.report.inputs import Reported
from repr_toolkit.runs.facts import weights_in_words
from repr_toolkit.runs.metrics import Curve, read_metrics
from repr_toolkit.runs.run import Run
from repr_toolkit.support.nats import nats_for_a_bit
from repr_toolkit.training.best import JUDGES, best_step, notable, worsening

VALIDATED = {"train/bits_per_dim": "training images", "val/bits_per_dim": "validation images"}


def curves(reported: Reported) -> Section:
    """The training loss over the steps, and bits/dim at each validation."""
    metrics = {name: read_metrics(run.metrics_file) for name, run in reported.runs.items()}

    def lines(key: str, names: Iterable[str], *, dots: bool = False) -> list[Series]:
        return [
            Series(name, [*map(float, curve)], [*curve.values()], colour, dots=dots)
            for colour, name in enumerate(reported.runs)
            if name in names and (curve := metrics[name].get(key))
        ]

    blocks: list[Block] = []
    for number, (kind, names) in enumerate(_by_loss(reported.configs).items()):
        if series := lines("train/loss", names):
            alt = f"Training loss of {', '.join(names)} over the steps: {_ends(series)}"
            svg = line_chart(f"loss{number}", alt, series, x="step", y="loss", log=True)
            blocks.append(Chart(svg, f"Training loss, {kind}"))
    for key, images in VALIDATED.items():
        series = lines(key, metrics, dots=True)
        if any(len(line.x) > 1 for line in series):
            alt = f"bits/dim of {images} at each validation: {_ends(series)}"
            caption, second = f"bits/dim of {images}, at each validation", None
            caption += _bounds({line.name: reported.runs[line.name] for line in series})
            if nats := _nats_for_a_bit(reported.configs[line.name] for line in series):
                second = ("nats an image", nats)
                scaled = [replace(line, y=[nats * value for value in line.y]) for line in series]
                alt += f" In nats an image: {_ends(scaled)}"
                caption += "; at the right, nats an image"
            prefix = f"curve-{key.split('/')[0]}"
            svg = line_chart(prefix, alt, series, x="step", y="bits/dim", second=second)
            blocks.append(Chart(svg, caption))
    for name, run in reported.runs.items():
        if start := run.info.get("start"):
            weights = f"`{start['run']}`, SHA-256 {start['weights'][:12]}…"
            blocks.append(Paragraph(f"{name} started from the weights of another run: {weights}."))
        if not metrics[name]:
            blocks.append(Paragraph(f"{name} has no `{run.metrics_file.name}`."))
        if sentence := weights_in_words(run.info) or _worsening(metrics[name]):
            blocks.append(Paragraph(f"{name}: {sentence}."))
    lead = (
        "The loss is what training minimises: bits/dim for a decoder with a likelihood, squared "
        "error for one that gives means, a loss on pairs or triplets for an encoder alone. "
        "Different losses cannot be compared."
    )
    return Section("training", "Training", lead, blocks)


def _worsening(metrics: Mapping[str, Curve]) -> str:
    """How the last validation, whose weights the run has, is worse than its best, if notably."""
    curves = {name: curve for name, curve in metrics.items() if name.startswith(("train/", "val/"))}
    for judge in JUDGES:
        if curve := curves.get(judge):
            step, now = best_step(judge, curve), max(curve)
            at = [{key: c[s] for key, c in curves.items() if s in c} for s in (step, now)]
            if notable(judge, at[0][judge], at[1][judge]):
                return worsening(judge, step, at[0], now, at[1])
    return ""


def _by_loss(configs: Mapping[str, Config]) -> dict[str, list[str]]:
    """The runs' names by the classes of decoders, or of losses of encoders trained alone."""
    groups: dict[str, list[str]] = {}
    for name, config in configs.items():
        model = config["model"]
        part = model.get("decoder") or model["metric"]["loss"]
        groups.setdefault(str(part["class_path"]).rpartition(".")[2], []).append(name)
    return groups


def _nats_for_a_bit(configs: Iterable[Config]) -> float | None:
    """Nats an image for a bit/dim, where all decoders are of images of one size and two levels."""
    arguments = [config["model"]["decoder"]["init_args"] for config in configs]
    nats = {
        nats_for_a_bit(prod(each.get("image_shape", [0])), each.get("levels")) for each in arguments
    }
    return nats.pop() if len(nats) == 1 else None


def _bounds(runs: Mapping[str, Run]) -> str:
    """The runs whose bits are no exact ones, and what they are."""
    labels = {name: run.info.get("likelihood", "exact") for name, run in runs.items()}
    inexact = [f"{name}: {label}" for name, label in labels.items() if label != "exact"]
    return f" ({'; '.join(inexact)})" if inexact else ""


def _ends(series: list[Series]) -> str:
    """Where each line begins and ends, in words."""
    ends = [f"{line.name} from {line.y[0]:.3g} to {line.y[-1]:.3g}" for line in series]
    return "; ".join(ends) + "."
