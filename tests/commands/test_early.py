"""What is wrong about a command line is told before torch is imported."""

import json
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from repr_toolkit.commands.checks import SPLITS
from repr_toolkit.data import from_torchvision, images, names, sources
from repr_toolkit.sampling.complete import MASKS
from toys.processes import ROOT, own_environment

RUN = "runs/pixelcnn"

MISTAKES = {
    "recipes nope": "no recipe 'nope'",
    "train nope": "no recipe 'nope'",
    "train bottleneck_mnist5 --name a": "did you mean bottleneck_mnist5k?",
    "train bottleneck_mnist5k --training.stepz 3": "did you mean training.steps?",
    "train bottleneck_mnist5k --training.steps=-3": "training.steps",
    "train bottleneck_mnist5k --name pixelcnn": "runs/pixelcnn exists already",
    "train bottleneck_mnist5k --data.source nosuch": "unknown data.source 'nosuch'",
    "train bottleneck_mnist5k --data.source nosuch.npz": "nosuch.npz is not at",
    "train bottleneck_mnist5k --data.source no.such.load": "no module 'no.such' here",
    "train bottleneck_mnist5k --model.encoder {class_path: no.such.Thing}": "No module named 'no'",
    "study nope": "no recipe 'nope'",
    "study gated_cifar10 --data.source digits": "not a study",
    "field nope": "no recipe 'nope'",
    "field bottleneck_mnist5k --out there.png": "there.png exists",
    "evaluate nowhere": "no run nowhere",
    "evaluate unfinished": "still in training",
    f"evaluate {RUN} --split tset": "no split 'tset'; they have train, val, test",
    "sample nowhere": "no run nowhere",
    f"sample {RUN} --out there.png": "there.png exists",
    f"sample {RUN} --out nofolder/a.png": "the folder nofolder of the pictures",
    f"reconstruct {RUN} nofile.png": "there is no picture nofile.png",
    f"reconstruct {RUN} --out a.gif": ".png",
    f"complete {RUN} --mask nomask": "there is no nomask",
    f"portraits {RUN} nofile.jpg": "there is no picture nofile.jpg",
    f"portraits {RUN} there.png --weights no.safetensors": "no file no.safetensors of weights",
    f"interpolate {RUN} a.jpg b.jpg": "there is no picture a.jpg",
    "likeness nowhere": "no run nowhere",
    "faces nofolder out.npz": "nofolder is no folder",
    "faces runs there.npz": "there.npz exists",
    "faces runs new.npz --weights no.pt": "no file no.pt of weights",
    "embed nowhere --out h.npz": "nowhere: it is no source of h",
    f"embed {RUN} --out there.npz": "there.npz exists",
    "probe nowhere": "nowhere: it is no source of h",
    "probe runs/nowhere": "no run runs/nowhere",
    "probe nosuch.npz": "nosuch.npz is not at",
    "probe pixels --data.source nosuch": "unknown data.source 'nosuch'",
    "probe nosuch.models.net --data.source digits": "No module named 'nosuch'",
    f"probe {RUN} --out there.json": "there.json exists",
    "probe a.Net --data.source digits --weights no.pth": "no file no.pth of weights",
    "frozen nope pixels": "no recipe 'nope'",
    "frozen bottleneck_mnist5k nowhere": "nowhere: it is no source of h",
    "verify nowhere": "nowhere is no run, and no data either",
    "classify nowhere": "no run nowhere",
    "where nowhere": "no run nowhere",
    "traverse nowhere": "no run nowhere",
    f"edit {RUN} a.png --along mean:7": "there is no picture a.png",
    f"information {RUN} --without nowhere": "no run nowhere",
    f"information {RUN} --out there.png": "there.png exists",
    "invariance nowhere": "no run nowhere",
    "report nowhere": "no run nowhere",
    "report .": ". is no run, and no folder of finished runs",
    f"report {RUN} --out there.html": "there.html exists and is not a report",
    "check no.such.Thing": "No module named 'no'",
}


def test_mistakes_are_told_without_torch(tmp_path: Path) -> None:
    """All of them in one process, which never imports it."""
    copytree(ROOT / "tests" / "old_runs" / "pixelcnn", tmp_path / RUN)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.yaml").touch()
    for name in ("png", "npz", "json", "html"):
        (tmp_path / f"there.{name}").touch()
    code = (
        "import contextlib, io, json, sys\n"
        "from repr_toolkit.cli import main\n"
        "told = {}\n"
        "for line in json.load(sys.stdin):\n"
        "    words = line.split(' {')\n"
        "    words = words[0].split() + ['{' + word for word in words[1:]]\n"
        "    with contextlib.redirect_stderr(io.StringIO()) as error:\n"
        "        status = main(words)\n"
        "    heavy = sorted({'torch', 'lightning', 'matplotlib'} & sys.modules.keys())\n"
        "    told[line] = status, error.getvalue(), heavy\n"
        "    if heavy: break\n"
        "print(json.dumps(told))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([*MISTAKES]),
        cwd=tmp_path,
        env=own_environment(REPR_TOOLKIT_DATA=""),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for line, expected in MISTAKES.items():
        status, error, heavy = told[line]
        assert (status, heavy) == (1, []), line
        assert error.startswith("repr-toolkit: error: "), line
        assert expected in error, line


def test_what_is_known_by_name_alone_is_what_there_is() -> None:
    assert tuple(sources.MAKERS) == names.PACKAGED
    assert tuple(from_torchvision.FILES) == names.TORCHVISION
    assert images.SPLITS == SPLITS
    assert MASKS == ("top", "left", "box")


@pytest.mark.parametrize("source", [*names.PACKAGED, "mnist", "CelebA", "json.loads", "."])
def test_what_may_be_is_left_to_the_loading(source: str) -> None:
    names.require_known(source, None)
