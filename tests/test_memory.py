"""Memory that tensors leave is kept where the C library can be told to."""

import subprocess
import sys

import pytest
from core_helpers import own_environment


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc")
def test_it_says_whether_memory_is_kept() -> None:
    """In a process of its own, since it lasts as long as the process."""
    script = (
        "import ctypes; from repr_toolkit.memory import keep_freed_memory\n"
        "assert keep_freed_memory() == hasattr(ctypes.CDLL(None), 'gnu_get_libc_version')\n"
    )
    subprocess.run([sys.executable, "-c", script], env=own_environment(), check=True)
