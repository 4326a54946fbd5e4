"""README's commands run as they stand, from top to bottom, in one folder: few images, two steps."""

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from repr_toolkit.cli import main
from repr_toolkit.config import recipe
from repr_toolkit.data import ImageData, sources, wheels
from toys.faces import QuickDetector, QuickNet, people
from toys.processes import ROOT

README = (ROOT / "README.md").read_text("utf-8")

LESS = {
    "make demo": "repr-toolkit study bottleneck_mnist5k",
    "torchrun --nproc-per-node 8 -m repr_toolkit": "repr-toolkit",
    "-n 64": "-n 2",
    "-n 50000": "-n 3",
    "--training.steps 300": "--training.steps 4",
    "--training.validate_every 100": "--training.validate_every 2",
    "--weights DEFAULT ": "",
    "--name frozen_h": "--name frozen_h --seeds 0 --no-control",
}
"""What the test takes in place of words of README: less work, one process, no network."""

NOT_HERE = {
    "make test": "this is it",
    "pip install": "it is installed",
    "--trainer.num_nodes 4": "four machines with GPUs",
}

SMALL = {"features": 6, "head_features": 6, "map_features": 2, "layers": 1, "steps": 1}
TRAINING = {"steps": 2, "validate_every": 2, "warmup": 0, "compile": False, "pictures": 1}


def steps() -> Iterator[tuple[str, str]]:
    """What README tells to do, in its order: a command, or Python code."""
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE):
        if language == "python":
            yield "python", text
        elif not language:
            for line in text.replace("\\\n", " ").splitlines():
                if re.match(r"make |repr-toolkit |torchrun |pip ", line):
                    yield "command", line


def expanded(word: str) -> list[str]:
    """The words that a shell makes of braces; what is quoted has a space."""
    match = re.fullmatch(r"(\S*?)\{([^{}\s]*,[^{}\s]*)\}(\S*)", word)
    if match is None:
        return [word]
    return [w for part in match[2].split(",") for w in expanded(f"{match[1]}{part}{match[3]}")]


def run(line: str) -> None:
    for words, instead in LESS.items():
        line = line.replace(words, instead)
    command, _, file = line.partition(" > ")
    argv = [w for word in shlex.split(command, comments=True)[1:] for w in expanded(word)]
    with ExitStack() as held:
        if file:
            out = held.enter_context(Path(shlex.split(file, comments=True)[0]).open("w"))
            held.enter_context(redirect_stdout(out))
        assert main(argv) == 0, line


@cache
def digits() -> ImageData:
    """A hundred small digits in the place of 5,000."""
    data = wheels.digits()
    rows = {"train": data.rows["train"][:60]}
    rows |= {split: data.rows[split][:20] for split in ("val", "test")}
    arrays = {key: np.asarray(array) for key, array in data.arrays.items()}
    return ImageData("mnist5k", arrays, rows, levels=17, names=data.names)


def smaller(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings, or a part of a recipe, with less to compute."""
    less = {}
    for key, value in settings.items():
        last = str(key).rpartition(".")[2]
        less[key] = smaller(value) if isinstance(value, dict) else SMALL.get(last, value)
    return less


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load = recipe.load_recipe

    def small_recipe(name: str) -> dict[str, Any]:
        config = load(name)
        config["training"] |= TRAINING
        config["data"]["batch_size"] = 4
        if Path(name).suffix and "study" in config:  # of the user's own two variants are enough
            config["study"] = dict([*config["study"].items()][:2])
        for section in ("model", "study"):
            if section in config:
                config[section] = smaller(config[section])
        return config

    for module in ("config.recipe", "training.train"):
        monkeypatch.setattr(f"repr_toolkit.{module}.load_recipe", small_recipe)
    monkeypatch.setitem(sources.MAKERS, "mnist5k", digits)
    monkeypatch.setattr("repr_toolkit.data.quadrants.mnist5k", digits)
    monkeypatch.setattr("repr_toolkit.data.quadrants.halved", lambda images: images)  # small enough
    for name in ("EPOCHS", "SHOWN"):  # of the network that judges reconstructions
        monkeypatch.setattr(f"repr_toolkit.analyses.classification.pixel_classifiers.{name}", 1)
    monkeypatch.setattr("repr_toolkit.report.inputs.ANALYSES", ("information",))
    made_by = recipe.load_recipe("portraits_lfw")["model"]["encoder"]["init_args"]["made_by"]
    monkeypatch.setattr("repr_toolkit.faces.FaceNet", lambda *_, **__: QuickNet(made_by))
    for module in ("faces", "faces.encode"):
        monkeypatch.setattr(f"repr_toolkit.{module}.Detector", lambda **_: QuickDetector())
    for module in ("faces.encode", "commands.common", "analyses.likeness.measure"):
        place = import_module(f"repr_toolkit.{module}")
        monkeypatch.setattr(place, "facenet_of", lambda *_: QuickNet(made_by))
    people(tmp_path / "PHOTOS", 12, 3)
    for name in ("somebody.jpg", "a.jpg", "b.jpg"):
        Image.new("RGB", (64, 60), "red").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())


@pytest.mark.usefixtures("small")
def test_the_commands_run_one_after_the_other(tmp_path: Path) -> None:
    for kind, text in steps():
        if any(words in text for words in NOT_HERE):
            continue
        if kind == "command":
            run(text)
        elif header := re.match(r"# (my_project/\w+\.py)\n", text):
            (tmp_path / header[1]).parent.mkdir(exist_ok=True)
            (tmp_path / header[1]).write_text(text)
        else:
            exec(compile(text, "README.md", "exec"), {})


def test_what_is_left_out_or_made_less_stands_in_the_readme() -> None:
    everything = "\n".join(text for _, text in steps())
    for words in (*LESS, *NOT_HERE):
        assert words in everything, words
