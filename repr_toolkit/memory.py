"""What a process does with the memory that its tensors leave."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEPT = 1 << 30


def keep_freed_memory() -> bool:
    """Let the process keep up to 1 GiB that tensors on the CPU leave; return whether it does.

    Each training step allocates its activations anew. glibc hands what was freed back to the
    system after every step, and takes it again page by page, each to be zeroed: a tenth to a
    fifth of the time of a step. Lasts as long as the process, whose peak it does not raise.
    Other C libraries are left as they are.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return all(libc.mallopt(name, _KEPT) for name in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))
