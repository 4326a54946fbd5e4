"""What every test shares: a cache of its own, and real data where they lie beside the checkout."""

import os

import pytest

from toys.processes import SHARED_DATA

# Set when this file is imported, before any test module decides what it can run.
if SHARED_DATA.is_dir():
    os.environ.setdefault("REPR_TOOLKIT_DATA", str(SHARED_DATA))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded data of this session go to a temporary folder, never to the user's."""
    os.environ["REPR_TOOLKIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
