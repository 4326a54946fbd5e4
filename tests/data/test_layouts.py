"""Which files of folders as people have them are taken, and what is said of the rest."""

import sys
from pathlib import Path

import pytest

from toys import folder_files, folder_layouts
from toys.folders import Case, check
from toys.processes import ROOT

CASES = [
    *(*folder_layouts.LAYOUTS, *folder_layouts.LINKS, *folder_layouts.SYSTEMS),
    *(*folder_layouts.OWN_RUNS, *folder_files.FORMATS, *folder_files.MODES, *folder_files.REFUSED),
]


def test_there_are_enough_and_the_page_shows_them() -> None:
    page = (ROOT / "docs/folders.md").read_text("utf-8")
    assert [case.name for case in CASES if f"\n| {case.name} |" not in page] == []
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text, and pipes are rare")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_folders(case: Case, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    check(case, tmp_path, capfd)
