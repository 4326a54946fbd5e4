"""Memory that tensors leave is kept where the C library can be told to."""

import ctypes
import subprocess
import sys

import pytest

from toys.processes import own_environment

SCRIPT = """
import ctypes, resource
from repr_toolkit.training.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(24 << 20) for _ in range(4)]
    blocks.clear()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert min(faults() for _ in range(4)) > 1000  # 96 MiB are 24,576 pages
assert keep_freed_memory()
assert min(faults() for _ in range(4)) < 100
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="about glibc")
def test_freed_memory_is_not_taken_from_the_system_again() -> None:
    """In a process of its own, since it lasts as long as the process."""
    subprocess.run([sys.executable, "-c", SCRIPT], env=own_environment(), check=True)
