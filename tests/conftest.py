"""What every test shares: one thread, a cache of its own, and real data beside the checkout."""

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from toys.processes import SHARED_DATA

# Set when this file is imported, before any test module imports torch or decides what it can run.
# Small models gain nothing by a second thread, and lose much where tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if SHARED_DATA.is_dir():
    os.environ.setdefault("REPR_TOOLKIT_DATA", str(SHARED_DATA))


@pytest.fixture(scope="session", autouse=True)
def _toys_are_known() -> None:
    """Runs may import the test plug-ins as if they were the toolkit's own classes."""
    from repr_toolkit.config import trust

    trust.PACKAGES += ("toys.",)


@pytest.fixture(scope="session", autouse=True)
def _no_pulse() -> None:
    """No lines that depend on how busy the machine is."""
    from repr_toolkit.support import pulse

    pulse.SILENCE = math.inf


@pytest.fixture(scope="session", autouse=True)
def _own_cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded data and kernels of this session go to a temporary folder, never to the user's."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # one of several workers, which share it
        folder = folder.parent
    os.environ["REPR_TOOLKIT_CACHE"] = str(folder / "cache")


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test finds a module that another has written, or trust that another has given."""
    from repr_toolkit.config import trust

    before, trusted = {*sys.modules}, trust._trusted.get()
    yield
    trust._trusted.set(trusted)
    home = tmp_path_factory.getbasetemp()
    for name in [n for n in {*sys.modules} - before if _lies_in(home, sys.modules[n])]:
        del sys.modules[name]


def _lies_in(folder: Path, module: ModuleType) -> bool:
    """Whether a module was read from a folder; its __getattr__ is not asked."""
    own = getattr(module, "__dict__", {})
    places = [*(own.get("__path__") or ()), own.get("__file__") or "/"]
    return any(Path(place).is_relative_to(folder) for place in places)
