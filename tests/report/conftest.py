"""One folder of runs with a report, for all tests of the report."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from repr_toolkit.report import write_report
from toys.reports import study

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """report.html of a folder of two runs."""
    return write_report([study(tmp_path_factory.mktemp("reported") / "study")])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The machine's own Chromium.

    It ends with its module: it waits for its driver to see the end of a pipe, which a process that
    another test forks would hold open.
    """
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield started
        started.close()
