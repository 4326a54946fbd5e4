"""Options and positional words in any order, in every command, and all that the documents say."""

import re
import shlex
from collections.abc import Iterator
from itertools import chain, permutations
from typing import Any

import pytest

from repr_toolkit.analyses.probing.classifiers import PROBES as KINDS
from repr_toolkit.cli import parse
from repr_toolkit.commands.probe import PROBES, is_target
from repr_toolkit.representations.names import SIMPLE
from toys.processes import ROOT

# Words that belong together, and what they say.
COMMANDS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "frozen": (
        ["RECIPE", "--name N", "--seeds 0 1", "runs/a", "pca"],
        {"name": "N", "seeds": [0, 1]},
    ),
    "reconstruct": (["RUN", "--out x.png", "picture.png", "-n 3"], {"n": 3, "out": "x.png"}),
    "sample": (["runs/a", "--labels 1 2", "--overwrite"], {"labels": [1, 2], "overwrite": True}),
    "traverse": (
        ["docs", "a.png", "--alpha -1 0 1", "--along mean:7 principal:0"],
        {"alpha": [-1, 0, 1], "along": ["mean:7", "principal:0"]},
    ),
    "edit": (["docs", "README.md", "3", "--along mean:7"], {"along": ["mean:7"]}),
    "probe": (
        [
            *("README.md", "--targets label attributes[3] label=7 --seed=4"),
            *("--probes knn ridge", "x=pixels"),
        ],
        {"targets": ["label", "attributes[3]", "label=7"], "probes": ["knn", "ridge"], "seed": 4},
    ),
    "train": (["RECIPE", "--training.steps 3", "--resume"], {"resume": True}),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_any_order(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # which has a README.md and docs
    groups, said = COMMANDS[command]
    positional = [group for group in groups if not group.startswith("-")]
    for order in permutations(groups):
        kept = [group for group in order if group in positional]
        if kept != positional:  # of these the order tells which is which
            continue
        words = " ".join(order).split()
        args, settings = parse([command, *words])
        options = args[command]
        assert {name: options[name] for name in said} == said, words
        values = ([v] if isinstance(v, str) else v or [] for v in options.as_dict().values())
        texts = [text for value in values if isinstance(value, list) for text in value]
        assert all(word in texts for word in positional), words
        assert settings == ({"training.steps": "3"} if command == "train" else {})


def test_behind_two_dashes_everything_is_positional() -> None:
    args, _ = parse(["--debug", "reconstruct", "RUN", "--out", "x.png", "--", "-n.png", "-m.png"])
    assert args.debug
    assert args.reconstruct.pictures == ["-n.png", "-m.png"]
    assert args.reconstruct.run == "RUN"


def documented() -> Iterator[str]:
    """The commands in blocks of code, of the documents and the recipes."""
    for file in chain([ROOT / "README.md"], *map(ROOT.glob, ("docs/*.md", "recipes/*.yaml"))):
        text = file.read_text("utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            command = re.fullmatch(r"(?:#? {2,5})?repr-toolkit ([a-z].*?)( +[#>].*)?", line)
            if command and command[1].count("'") % 2 == 0:  # else it goes on in the next line
                yield command[1]


@pytest.mark.parametrize("line", sorted(set(documented())))
def test_a_documented_command_is_understood(line: str) -> None:
    parse(shlex.split(line))


def test_probes_are_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(KINDS) == PROBES
    with pytest.raises(SystemExit):
        parse(["probe", "pca", "--probes", "mpl"])
    assert "'mpl'" in (said := capsys.readouterr().err)
    assert all(name in said for name in PROBES)


def test_the_words_for_sources_are_no_targets() -> None:
    for source in (*SIMPLE, "untrained:a", "a.npz", "torchvision.models.resnet18", "x=pca"):
        assert not is_target(source)
        args, _ = parse(["probe", "--targets", "label", source])
        assert (args.probe.targets, args.probe.sources) == (["label"], [source])


def test_whatever_names_a_class_is_a_target() -> None:
    targets = ["3", "7", "bag", "T-shirt", "ice cream", "label=St. Bernard", "cat", "identity=7"]
    for order in ([*targets], targets[::-1]):
        args, _ = parse(["probe", "--targets", *order, "runs/a", "x=pca"])
        assert (args.probe.targets, args.probe.sources) == (order, ["runs/a", "x=pca"])
