"""docs/architecture.md: its examples work as they stand, and its floors are the house's."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from repr_toolkit.cli import main
from repr_toolkit.runs.kept import kept_in
from toys.processes import ROOT
from toys.runs import untrained_run

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder outside the checkout, with the page's files in it."""
    folder = tmp_path_factory.mktemp("project")
    for name, code in re.findall(r"```python\n# (\w+\.py)[^\n]*\n(.*?)```", PAGE, re.DOTALL):
        with (folder / name).open("a") as file:
            file.write(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(folder)])
        patch.chdir(folder)
        yield folder


def test_the_pages_classes_pass_the_check(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "nets.ChannelMean"]) == 0
    grey = ["--init_args.image_shape", "[1, 5, 12]"]
    assert main(["check", "painters.Walked", *grey]) == 0
    said = capsys.readouterr().out
    assert "all engines (naive, fixed_point, cached" in said
    assert "earlier pixels" in said  # the blind spot, reported


def test_the_pages_analysis_gets_a_section(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = untrained_run(
        project / "mine",
        encoder={"class_path": "nets.ChannelMean"},
        decoder={"class_path": "painters.Walked"},
    )
    monkeypatch.setattr("repr_toolkit.report.inputs.ANALYSES", ())
    assert main(["report", str(run.path), "--all", "--analysis", "sharpness", "--trust"]) == 0
    page = (run.path / "report.html").read_text("utf-8")
    assert 'id="sharpness"' in page
    [kept] = kept_in(run.path, "sharpness")
    assert kept.numbers["images"]["count"] == 64
    assert f"{kept.numbers['images']['value']:.2f}" in page
