"""Keeps freed memory in the process, where the next training step reuses it."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_GIB = 1 << 30  # bytes
_OLDER_LIMIT = 1 << 25  # bytes, the largest mmap threshold that older versions accept


def keep_freed_memory() -> bool:
    """Let the process keep up to 1 GiB that CPU tensors free; return whether it does.

    Each training step allocates its activations anew. By default glibc returns them to the system
    after every step and gets them back page by page, each of which the system zeroes: a tenth to a
    quarter of a step's time. The setting lasts as long as the process. Other C libraries keep
    their own settings.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    # Large blocks come from the heap too, and the heap keeps its free end.
    heap = libc.mallopt(_M_MMAP_THRESHOLD, _GIB) or libc.mallopt(_M_MMAP_THRESHOLD, _OLDER_LIMIT)
    return bool(heap and libc.mallopt(_M_TRIM_THRESHOLD, _GIB))
