"""The kinds of files that are attacked: how each is changed, and what reads it."""

import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repr_toolkit.config.sections import ELSEWHERE
from repr_toolkit.data import load_data
from repr_toolkit.runs.kept import Result, keep, kept_in
from repr_toolkit.runs.run import Run
from repr_toolkit.training.checkpoints import AtomicCheckpointIO
from repr_toolkit.training.train import train

from .changes import EVIL, changed_bytes, changed_paths, changed_text

RECIPE: dict[str, Any] = {
    "data": {"source": "digits", "levels": 4, "batch_size": 16},
    "model": {
        "encoder": {
            "class_path": "repr_toolkit.encoders.ConvBottleneck",
            "init_args": {"h_dim": 2, "features": 4},
        },
        "decoder": {
            "class_path": "repr_toolkit.decoders.GatedPixelCNN",
            "init_args": {"features": 6, "layers": 2, "kernel_size": 3, "head_features": 8},
        },
    },
    "training": {"steps": 4, "validate_every": 2, "pictures": 0, "compile": False},
}
NESTED: dict[str, Any] = {
    "class_path": "repr_toolkit.encoders.LayerActivations",
    "init_args": {
        "model": {
            "class_path": "torchvision.ops.Conv2dNormActivation",
            "init_args": {
                "in_channels": 3,
                "out_channels": 4,
                "norm_layer": "torch.nn.BatchNorm2d",
                "activation_layer": "torch.nn.ReLU",
            },
        }
    },
}
"""An encoder with an argument that is a Module, and in it two that are callables."""


@dataclass
class Kind:
    """A kind of file, or of folder: where it is, how it is changed there, and what reads it.

    `read` gives a digest of all that is read. `named` is a pattern for what an error has to name,
    and `told`, or it, for what stderr has to say where the digest is another than `expected`, which
    is that of the whole file unless it is given.
    """

    place: Path
    read: Callable[[], str]
    change: Callable[[random.Random, Path], None]
    named: str
    told: str = ""
    expected: str = ""


def in_file(
    change: Callable[[random.Random, bytes], bytes],
) -> Callable[[random.Random, Path], None]:
    """The change of a file that changes its bytes so."""

    def changed(draw: random.Random, file: Path) -> None:
        file.write_bytes(change(draw, file.read_bytes()))

    return changed


def digest_of(value: Any) -> str:
    """A digest of tensors, arrays, texts and numbers in one another."""
    digest = sha256()

    def add(part: Any) -> None:
        if isinstance(part, dict):
            for key in sorted(part, key=str):
                add((key, part[key]))
        elif isinstance(part, list | tuple):
            digest.update(f"{type(part).__name__} {len(part)}".encode())
            for inner in part:
                add(inner)
        elif isinstance(part, torch.Tensor):
            add(part.detach().contiguous().numpy())
        elif isinstance(part, np.ndarray):
            digest.update(f"{part.dtype} {part.shape}".encode() + part.tobytes())
        else:
            digest.update(repr(part).encode(errors="replace"))

    add(value)
    return digest.hexdigest()


def evaluated(run: Path) -> str:
    """What `evaluate` and whoever reads facts and configuration learn of a run."""
    from repr_toolkit.runs.bits import evaluate

    numbers = evaluate(run, "val", progress=False)
    del numbers["run"]  # where it lies
    opened = Run(run)
    settings = opened.config
    settings["data"] = {k: v for k, v in settings["data"].items() if k not in ELSEWHERE}
    kept = {key: value for key, value in settings.items() if key != "about"}
    facts = {key: value for key, value in opened.info.items() if key != "checksums"}
    return digest_of([numbers, kept, facts, opened.trained_on])


def data_read(file: Path) -> str:
    data = load_data(str(file))
    return digest_of([dict(data.arrays), data.rows, data.names, data.levels, data.encoder])


def checkpoint_read(file: Path) -> str:
    return digest_of(AtomicCheckpointIO().load_checkpoint(file))


def result_read(run: Path) -> str:
    """What is kept of an analysis of a run, with its arrays."""
    every = kept_in(run, "evaluate")
    asked = [(k.asked, k.command, k.when, k.weights, k.numbers, dict(k.arrays)) for k in every]
    return digest_of(asked)


def without_checksums(run: Path) -> None:
    """Make a run one of anybody's: who changes a file of it changes checksums too."""
    facts = json.loads((run / "model.json").read_text())
    for key in ("checksum", "checksums"):
        del facts[key]
    (run / "model.json").write_text(json.dumps(facts, indent=2))


def file_kinds(folder: Path) -> dict[str, Kind]:
    """A small trained run and a data file, in a folder, by kind of file."""
    run = train(RECIPE, folder / "run").path
    anybody = Path(shutil.copytree(run, folder / "anybody"))
    encoder = {**RECIPE["model"], "encoder": NESTED}
    nested = train({**RECIPE, "model": encoder}, folder / "nested").path
    for place in (anybody, nested):
        without_checksums(place)
    draw = np.random.default_rng(0)
    for name, save in {"a.npz": np.savez, "b.npz": np.savez_compressed}.items():
        save(
            folder / name,
            image=draw.integers(0, 256, (40, 1, 6, 5), np.uint8),
            label=np.array(["cat", "dog"] * 20),
            embedding=draw.normal(size=(40, 3)).astype(np.float32),
            split=np.repeat(["train", "val", "test"], (20, 10, 10)),
            encoder=np.array("a net"),
        )
    for place in (folder, run, anybody, nested):
        (place / "evil.py").write_text(EVIL)
    checkpoint = Run(run).checkpoints()[-1]
    found: dict[str, Kind] = {}
    for name, place in {"": run, " of anybody's": anybody}.items():
        for file, change in {
            "config.yaml": changed_text,
            "model.json": changed_text,
            "model.safetensors": changed_bytes,
        }.items():
            path = place / file
            named = r"config\.yaml|model\.json|model\.safetensors"
            found[f"{file}{name}"] = Kind(
                path, lambda p=place: evaluated(p), in_file(change), named
            )
    for name, place in {"": anybody, " nested": nested}.items():
        # Another class that may stand there is seen by checksums alone.
        named = r"config\.yaml|has no checksums"
        found[f"class paths{name}"] = Kind(
            place / "config.yaml", lambda p=place: evaluated(p), in_file(changed_paths), named
        )
    for name in ("a.npz", "b.npz"):
        file = folder / name
        found[name] = Kind(
            file, lambda f=file: data_read(f), in_file(changed_bytes), re.escape(name)
        )
    found["checkpoint"] = Kind(
        checkpoint,
        lambda: checkpoint_read(checkpoint),
        in_file(changed_bytes),
        re.escape(checkpoint.name),
    )
    arrays = {"bits": draw.normal(size=9), "label": np.array(["cat", "dog"])}
    result = keep(
        Run(run), "evaluate", Result({"split": "val"}, {"bits": 1.5, "of": [1, 2]}, arrays), "a b"
    )
    assert result.file is not None
    named = r"evaluate\.\w+\.(json|npz)"
    for name, file, change in (
        ("analysis numbers", result.file, changed_text),
        ("analysis arrays", result.file.with_suffix(".npz"), changed_bytes),
    ):
        found[name] = Kind(file, lambda: result_read(run), in_file(change), named)
    return found
