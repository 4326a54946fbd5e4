"""The device and the threads of the work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from repr_toolkit.support.processes import fastest_device


def waiting(run: Callable[[], object]) -> Callable[[], None]:
    """The same call, which on CUDA also waits until the device is done."""
    cuda = fastest_device().type == "cuda"

    def wait() -> None:
        run()
        if cuda:
            torch.cuda.synchronize()

    return wait


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread inside torch's operations."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
