"""What a process does with the memory that its tensors leave."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEPT = 1 << 30
_MOST = 1 << 25  # that older versions take for the second


def keep_freed_memory() -> bool:
    """Let the process keep up to 1 GiB that tensors on the CPU leave; return whether it does.

    Each training step allocates its activations anew. glibc hands what was freed back to the
    system after every step, and takes it again page by page, each to be zeroed: a tenth to a
    quarter of the time of a step. Lasts as long as the process. Other C libraries are left as
    they are.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    # Large blocks come from the heap, too, and what is freed at its end stays.
    heap = libc.mallopt(_M_MMAP_THRESHOLD, _KEPT) or libc.mallopt(_M_MMAP_THRESHOLD, _MOST)
    stays = libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)
    return bool(heap and stays)
