"""Small configurations that seconds train, runs without training, and what tests ask of runs."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from repr_toolkit.config.build import build
from repr_toolkit.config.recipe import apply_settings, complete
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.models.assemble import assemble
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs.run import Run, data_arguments, with_fingerprint
from toys.decoders import PIXELCNN, Known
from toys.encoders import CONV, TRIPLET, Mean

TINY = {
    "about": {"what": "two steps on digits"},
    "data": {"source": "digits", "batch_size": 8},
    "model": {
        "encoder": {
            "class_path": "repr_toolkit.encoders.ConvBottleneck",
            "init_args": {"h_dim": 2, "features": 4},
        },
        "decoder": {
            "class_path": "repr_toolkit.decoders.GatedPixelCNN",
            "init_args": {"features": 4, "layers": 2},
        },
    },
    "training": {"steps": 2, "validate_every": 2},
}

MUON = {
    "class_path": "repr_toolkit.training.muon.Muon",
    "init_args": {"lr": 0.01},
    "groups": [{"match": [0, 1], "options": {"orthogonal": False, "lr": 0.003}}],
}


def small(**settings: Any) -> dict[str, Any]:
    """A plug-in autoencoder on the 8×8 digits, a second to train; double underscores are dots."""
    config = complete(
        {
            "data": {"source": "digits", "batch_size": 16},
            "model": {
                "encoder": {"class_path": "toys.encoders.ChannelMean", "init_args": {"h_dim": 3}},
                "decoder": {
                    "class_path": "toys.decoders.Independent",
                    "init_args": {"dropout": 0.2},
                },
            },
            "training": {
                "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.05}},
                "schedule": "cosine",
                "warmup": 2,
                "steps": 12,
                "validate_every": 4,
                "ema_decay": 0.9,
            },
            "trainer": {"accelerator": "cpu", "devices": 1, "gradient_clip_val": 1.0},
        }
    )
    return apply_settings(config, {k.replace("__", "."): v for k, v in settings.items()})


def prepared(journal: Path, **settings: Any) -> dict[str, Any]:
    """A `small` one whose decoder is prepared, writes that down, and does not learn."""
    init_args = {"journal": str(journal), "dropout": 0.2}
    return small(
        model__decoder={"class_path": "toys.decoders.Prepared", "init_args": init_args},
        training__optimizer={"class_path": "torch.optim.SGD", "init_args": {"lr": 0.0}},
        **settings,
    )


def small_metric(**settings: Any) -> dict[str, Any]:
    """A face net on the 8×8 digits, seconds to train; double underscores are dots."""
    config = complete(
        {
            "data": {"source": "digits", "batch_size": 24, "images_per_identity": 4},
            "model": {"encoder": TRIPLET, "metric": {}},
            "training": {
                "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}},
                "schedule": "cosine",
                "warmup": 2,
                "steps": 12,
                "validate_every": 4,
                "ema_decay": 0.9,
            },
            "trainer": {"accelerator": "cpu", "devices": 1, "gradient_clip_val": 1.0},
        }
    )
    return apply_settings(config, {k.replace("__", "."): v for k, v in settings.items()})


def narrow(width: float, fade: float = 1.0, **settings: Any) -> dict[str, Any]:
    """A `small_metric` of the encoder `Narrow`."""
    spec = {"class_path": "toys.encoders.Narrow", "init_args": {"width": width, "fade": fade}}
    return small_metric(model__encoder=spec, **settings)


@contextmanager
def two_checkpoints() -> Iterator[None]:
    """Within it runs keep their last two checkpoints after training too, so that a test can cut."""
    drop = Run.drop_checkpoints
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "drop_checkpoints", lambda run, keep: drop(run, max(keep, 2)))
        yield


def untrained_run(
    path: Path,
    *,
    source: str = "digits",
    seed: int = 0,
    binarise: str | None = None,
    **model: Any,
) -> Run:
    """A finished run, by default on the 8×8 digits, whose model is as it was initialised."""
    model = {"encoder": CONV, "decoder": PIXELCNN, **model}
    images = {"source": source, "binarise": binarise}
    config = complete({"seed": seed, "data": images, "model": model})
    data = load_data(**data_arguments(config))
    torch.manual_seed(seed)
    encoder, decoder, config = build(config, data)
    run = Run.create(path, config)
    parameters = {"encoder": encoder, "decoder": decoder}
    info = {
        "step": 7,
        "seconds": 2.5,
        "device": "1 × CPU",
        "levels": data.levels,
        "parameters": {
            name: sum(p.numel() for p in part.parameters())
            for name, part in parameters.items()
            if part is not None
        },
        "data": {"name": data.name, "fingerprint": data.fingerprint},
    }
    run.save_model(EncoderDecoder(encoder, decoder), info)
    return run


def run_of(path: Path, data: ImageData, encoder: str, **init_args: Any) -> Run:
    """A finished run on these data, of a seed that is not its config's."""
    class_path = f"repr_toolkit.encoders.{encoder}"
    config = small(model__encoder={"class_path": class_path, "init_args": init_args}, seed=1)
    built = assemble(with_fingerprint(config, data), data)
    run = Run.create(path, {**built.config, "seed": 0})
    run.save_model(built.join(), {"levels": data.levels})
    return run


def change_facts(run: Run, **changes: Any) -> None:
    """State other facts of a run, without checksums, so that its configuration may change too."""
    facts = json.loads(run.info_file.read_text()) | changes
    facts = {key: value for key, value in facts.items() if key not in ("checksum", "checksums")}
    run.info_file.write_text(json.dumps(facts))


def known_model(conditional: bool = True) -> EncoderDecoder:
    return EncoderDecoder(Mean() if conditional else None, Known(int(conditional))).eval()


def metrics(run: Run) -> list[dict[str, str]]:
    """The rows of metrics.csv without what depends on the clock."""
    with run.metrics_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["train/images_per_second"]
    return rows


def assert_same_weights(one: Run, other: Run) -> None:
    """Bit for bit."""
    a, b = load_file(one.weights_file), load_file(other.weights_file)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
