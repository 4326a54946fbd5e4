"""RUN/code, the source of a user's own classes: how it is changed, and who reads it."""

import json
import os
import random
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

import repr_toolkit
from repr_toolkit.config.trust import EVERYTHING, trust_paths
from repr_toolkit.support.copies import FOLDER, LIST
from repr_toolkit.support.reading import sealed
from repr_toolkit.training.train import train

from .attempts import NOTHING, attempt
from .changes import EVIL, changed_bytes, changed_text
from .kinds import RECIPE, Kind, digest_of, evaluated, without_checksums

NET = """\
import torch
from torch import nn

import own_factors
from .parts import scaled

class Net(nn.Module):
    source = "image"
    h_dim = 2

    def __init__(self, image_shape):
        super().__init__()
        self.map = nn.Linear(image_shape[0], 2)

    def forward(self, x):
        return scaled(self.map(x.float().mean((2, 3))), own_factors.FACTOR)
"""
FILES = {
    "own_nets/__init__.py": "",
    "own_nets/net.py": NET,
    "own_nets/parts.py": "def scaled(x, factor):\n    from own_nets.late import power\n"
    "    return factor * power(x)\n",
    "own_nets/late.py": "def power(x):\n    return x\n",
    "own_factors.py": "FACTOR = 3.0\n",
}
"""A user's modules by their paths."""

OTHER = """

FACTOR = 5.0

def scaled(x, factor):
    return x

def power(x):
    return 2 * x
"""
"""What gives another h at the end of any of them but the first."""

NAMES = (
    *("../evil.py", "../../evil.py", "own_nets/../evil.py", "own_nets/../../evil.py", "/evil.py"),
    *("./evil.py", "own_nets//evil.py", "own_nets\\evil.py", "..\\evil.py", "evil.py\0", "", "."),
    *("evil", "evil.pyc", "evil.so", "evil.py ", "evil.py\n", " evil.py", "~/evil.py", "a.b.py"),
    *("torch/nn/evil.py", "torch.py", "timm/__init__.py", "repr_toolkit/__init__.py", "own-x.py"),
    *("numpy/__init__.py", "sys.py", "json/__init__.py", "os.py", "site.py", "sitecustomize.py"),
    *("__main__.py", "__init__.py", "xxlimited.py", "_frozen_importlib.py", "zipimport.py"),
    *("own_factors/__init__.py", "own_nets.py", "own_nets/net/__init__.py", "own_nets/evil.py"),
    *("évil.py", "ｅvil.py", "ev\u0131l.py", "ev\udce9l.py", "own_Nets/net.py"),
    *("x" * 300 + ".py", "x/" * 3000 + "evil.py", "x" * 100_000 + ".py"),
)
"""What may stand in the list of copies."""

STRAYS = (
    *("own_nets/unused.py", "own_factors/__init__.py", "own_nets/net/__init__.py", "own_nets.py"),
    *("own_nets/__init__.pyc", "own_nets/net.so", "own_nets/late/__init__.py", "own_nets/torch.py"),
    *("torch/__init__.py", "numpy.py", "json.py", "sitecustomize.py", "evil.py", "conftest.py"),
    *(
        f"own_nets/__pycache__/{name}.{sys.implementation.cache_tag}.pyc"
        for name in ("net", "late")
    ),
)
"""Files that nobody listed."""


def with_trust(run: Path) -> str:
    """All that is learnt of a run that is trusted, and h of some images."""
    trust_paths(EVERYTHING)
    digest = evaluated(run)
    x = torch.arange(128, dtype=torch.uint8).reshape(2, 1, 8, 8) % 4
    return digest_of([digest, repr_toolkit.load(run).encode({"image": x})])


def without_trust(run: Path) -> str:
    """The same without trust; whoever executes something of the run's folder is seen."""

    def witness(event: str, arguments: tuple[Any, ...]) -> None:
        file = getattr(arguments[0], "co_filename", "") if event == "exec" else ""
        if str(run.resolve()) in file:
            os.write(2, b"AUDIT exec\n")

    sys.addaudithook(witness)
    return evaluated(run)


def code_kinds(folder: Path) -> dict[str, Kind]:
    """A run of a user's own encoder, in a folder, and its copies, by who reads them."""
    home, run, anybody = folder / "home", folder / "own", folder / "own_anybody"
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)

    def trained() -> str:
        sys.path.insert(0, str(home))
        encoder = {"class_path": "own_nets.net.Net"}
        train({**RECIPE, "model": {**RECIPE["model"], "encoder": encoder}}, run)
        return ""

    made = attempt(trained, folder, "", None)  # elsewhere, so that its modules are unknown here
    if made.verdict != "read":
        raise RuntimeError(made.said)
    shutil.copytree(run, anybody)
    without_checksums(anybody)
    for place in (run, anybody):
        (place / "evil.py").write_text(EVIL)
        os.mkfifo(place / "fifo")

    def at_hand() -> str:
        sys.path.insert(0, str(home))
        return with_trust(run)

    def changed(draw: random.Random, code: Path) -> None:
        changed_code(draw, code, EVIL)

    def other(draw: random.Random, code: Path) -> None:
        changed_code(draw, code, OTHER)

    code, unseen = run / FOLDER, r"(?!)"
    named = rf"/{FOLDER}\b|config\.yaml"
    beside = "is not what .* was trained with"
    return {
        "code": Kind(code, lambda: with_trust(run), changed, named, told=unseen),
        "code of anybody's": Kind(
            anybody / FOLDER, lambda: with_trust(anybody), other, named, told="has no checksums"
        ),
        "code without trust": Kind(
            code, lambda: without_trust(run), changed, rf"trust=True|/{FOLDER}\b", expected=NOTHING
        ),
        "code beside its modules": Kind(code, at_hand, changed, named, told=beside),
    }


def changed_code(draw: random.Random, code: Path, content: str) -> None:
    """One or two changes of the copies or their list; `content` replaces a copy, or is added."""
    for change in draw.sample(CHANGES, draw.choice((1, 1, 2))):
        change(draw, code, content)
    if draw.random() < 0.15:  # last, since what follows a link would change what it leads to
        _link(draw, code)


def _damage(draw: random.Random, code: Path, _: str) -> None:
    for file in _files(draw, code)[:1]:
        file.write_bytes(changed_bytes(draw, file.read_bytes()))


def _damage_list(draw: random.Random, code: Path, _: str) -> None:
    if (code / LIST).is_file():
        (code / LIST).write_bytes(changed_text(draw, (code / LIST).read_bytes()))


def _replace(draw: random.Random, code: Path, content: str) -> None:
    """Another content; the list often says so."""
    for file in _files(draw, code)[:1]:
        before = b"" if content == EVIL else file.read_bytes()
        file.write_bytes(before + content.encode())
        digest = sha256(file.read_bytes()).hexdigest()
        if draw.random() < 0.8:
            _list(draw, code, {str(file.relative_to(code)): {"from": str(file), "sha256": digest}})


def _rename(draw: random.Random, code: Path, content: str) -> None:
    """Another name in the list, in place of one or beside it; the file is there where it can be."""
    name = draw.choice((*NAMES, *NAMES, str(code.parent / "evil.py")))
    text = content if name.startswith("own_") else EVIL  # of the user's own modules, or none
    if ".." not in name and not Path(name).is_absolute():
        _put(code / name, text)
    digest = sha256(text.encode()).hexdigest()
    _list(draw, code, {name: {"from": name, "sha256": digest}}, drop=draw.random() < 0.5)


def _list(draw: random.Random, code: Path, more: dict[str, Any], *, drop: bool = False) -> None:
    """State more in the list; its checksum is right, wrong or away."""
    files = _listed(code)
    if not files:
        return
    if drop:
        del files[draw.choice([*files])]
    facts = sealed({"files": {**files, **more}})
    seal = draw.choice(("right", "right", "right", "away", "null", "wrong"))
    if seal == "away":
        del facts["checksum"]
    elif seal != "right":
        facts["checksum"] = None if seal == "null" else "0" * 64
    (code / LIST).write_text(json.dumps(facts, indent=2))


def _listed(code: Path) -> dict[str, Any]:
    """What the list states; nothing where it is damaged already."""
    try:
        return {**json.loads((code / LIST).read_text())["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _swap(draw: random.Random, code: Path, _: str) -> None:
    """Two copies, or the checksums of two in the list, change places."""
    copies = _files(draw, code)[:2]
    if len(copies) == 2 and draw.random() < 0.5:
        contents = [file.read_bytes() for file in copies]
        for file, content in zip(copies, reversed(contents), strict=True):
            file.write_bytes(content)
    elif len(files := _listed(code)) > 1:
        one, two = draw.sample([*files], 2)
        _list(draw, code, {one: files[two], two: files[one]})


def _stray(draw: random.Random, code: Path, _: str) -> None:
    if code.is_dir():
        _put(code / draw.choice(STRAYS), EVIL)


def _remove(draw: random.Random, code: Path, _: str) -> None:
    for file in [*_files(draw, code), code / LIST][: draw.choice((1, 1, 2))]:
        file.unlink(missing_ok=True)


def _link(draw: random.Random, code: Path) -> None:
    """A copy, the list, a folder of copies or all of it is a link, to itself or to odd places."""
    places = [*_files(draw, code)[:2], code / LIST, code / "own_nets", code]
    place = draw.choice(places)
    home = code.parent.parent / "home"
    true = home if place == code else home / place.relative_to(code)
    odd = (place, true, true, code.parent, "nowhere", "..", "/", "/dev/zero", "/proc/self/mem")
    moved = code.parent / "moved"  # under another name, with a link to it
    target = draw.choice((*odd, code.parent / "evil.py", code.parent / "fifo", moved))
    if place.exists():
        if moved.is_dir():
            shutil.rmtree(moved)
        moved.unlink(missing_ok=True)
        place.rename(moved)
        place.symlink_to(target)


CHANGES = (_damage, _damage_list, _replace, _replace, _rename, _rename, _swap, _stray, _remove)


def _files(draw: random.Random, code: Path) -> list[Path]:
    """The copies that are there, in random order."""
    files = [code / name for name in FILES if (code / name).is_file()]
    return draw.sample(files, len(files))


def _put(place: Path, text: str) -> None:
    """A file at a path, where that can be."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    except (OSError, ValueError):
        return
