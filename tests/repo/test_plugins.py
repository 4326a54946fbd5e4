"""docs/plugins.md: its examples work as they stand, and what it names is there."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from repr_toolkit.cli import main
from repr_toolkit.runs.kept import kept_in
from repr_toolkit.support.importing import import_callable
from toys.processes import ROOT
from toys.runs import untrained_run

PAGE = (ROOT / "docs" / "plugins.md").read_text("utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder outside the checkout, with the page's files in it."""
    folder = tmp_path_factory.mktemp("project")
    for name, code in FILES.items():
        (folder / name).write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(folder)])
        patch.chdir(folder)
        yield folder


def test_the_pages_classes_pass_the_check(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each by the command that the page gives."""
    commands = re.findall(r"^    repr-toolkit check (\S+)", PAGE, re.MULTILINE)
    assert commands == ["nets.ChannelMean", "made.Made", "marginals.Marginals", "walkers.Walked"]
    grey = ["--init_args.image_shape", "[1, 5, 12]"]
    for path in commands:
        assert main(["check", path, *([] if path == "nets.ChannelMean" else grey)]) == 0
    said = capsys.readouterr().out
    assert "all engines (naive, fixed_point, cached" in said
    assert "earlier pixels" in said  # the blind spot, reported


def test_a_made_sees_the_past_of_colours_too(project: Path) -> None:
    """In the order of generation, which is not that of memory."""
    import torch

    made = import_callable("made.Made")((3, 2, 2), 2, 4).double()
    x, h = torch.rand(1, 3, 2, 2).double() * 3, torch.rand(1, 2).double()
    jacobian = torch.autograd.functional.jacobian(lambda x: made.params(x, h), x)
    seen = jacobian.abs().sum((0, 4, 5)).view(12, 12)[made.order][:, made.order] > 0
    assert torch.equal(seen, torch.ones(12, 12, dtype=torch.bool).tril(-1))


def test_an_autoregressive_decoder_is_one_method_of_few_lines() -> None:
    code = FILES["made.py"].partition("class Made")[2]
    assert len(code.splitlines()) <= 30
    assert re.findall(r"def (\w+)", code) == ["__init__", "params"]


def test_what_the_page_names_is_there() -> None:
    names = re.findall(r"`(repr_toolkit(?:\.\w+)+)", PAGE)
    assert len(names) >= 3
    for name in names:
        import_callable(name)
    for link in re.findall(r"\]\(([\w./]+\.(?:py|md))", PAGE):
        assert (ROOT / "docs" / link).exists(), link
    assert "docs/plugins.md" in (ROOT / "README.md").read_text("utf-8")


def test_the_pages_analysis_gets_a_section(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = untrained_run(
        project / "mine",
        encoder={"class_path": "nets.ChannelMean"},
        decoder={"class_path": "walkers.Walked"},
    )
    monkeypatch.setattr("repr_toolkit.report.inputs.ANALYSES", ())
    assert main(["report", str(run.path), "--all", "--analysis", "sharpness", "--trust"]) == 0
    page = (run.path / "report.html").read_text("utf-8")
    assert 'id="sharpness"' in page
    [kept] = kept_in(run.path, "sharpness")
    assert kept.numbers["images"]["count"] == 64
    assert f"{kept.numbers['images']['value']:.2f}" in page
