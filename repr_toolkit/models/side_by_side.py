"""Independent parts of a measurement, computed side by side on a CPU, a thread each."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Part], Result],
    parts: Iterable[Part],
    device: torch.device,
    most: int | None = None,
) -> Iterator[Result]:
    """The results of `work` for each of the parts, in order; without gradients and autocast.

    On a CPU as many parts are computed at a time as torch has threads, at most `most`, each with
    one thread inside its operations: what is computed depends on the parts alone, and threads do
    not wait for each other at the end of every operation. `parts` is read in this thread.
    """

    def measured(part: Part) -> Result:  # both modes are settings of each thread
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            return work(part)

    threads = torch.get_num_threads()
    count = min(threads, most or threads)
    if device.type != "cpu" or threads == 1:
        yield from map(measured, parts)
        return
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[Result]] = deque()
    try:
        for part in parts:
            waiting.append(pool.submit(measured, part))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # of those that start later, too
