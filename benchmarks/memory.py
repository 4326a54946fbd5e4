"""Peak memory of training and sampling, each in a fresh process: python -m benchmarks.memory WORK

The number is the growth of the process from the making of the model (and of the noise, for
sampling) to its peak at work. A tiny model does the same work first, so that nothing counts that
libraries load and compile, and little of the model's own compilation.
"""

import ctypes
import gc
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.results import Results, Row

MB = 2**20
COUNTS = (16, 64, 1024)
CHUNK = 16
REPOSITORY = Path(__file__).parents[1]


def run() -> Results:
    """A row for each piece of work."""
    from benchmarks.training import SIDES

    rows = []
    for work, sides in {
        "memory of training": list(SIDES),
        f"memory of sampling, {CHUNK} at a time": [f"{count:,} images" for count in COUNTS],
    }.items():
        rows += [Row(work, side, peak_mb=in_a_process(side)) for side in sides]
    return Results(rows)


def in_a_process(work: str) -> float:
    """The megabytes of one piece of work, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", work]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def of_training(side: str) -> float:
    """Three steps after two that compile."""
    from benchmarks.training import COMMON, SIDES, Steps, patches

    data, images = patches(steps=5)
    tiny = {**COMMON["model.decoder"], "init_args": {"features": 3, "layers": 2}}
    Steps(SIDES[side].also({"model.decoder": tiny}), data, images).block(2)
    steps = Steps(SIDES[side], data, images)
    meter = Meter()
    steps.block(2)
    return meter.peak(lambda: steps.block(3))


def of_sampling(count: int) -> float:
    """`repr_toolkit.sampling.draw.decode` with a bounded batch, by the fastest engine."""
    from benchmarks.sampling import SHAPE, model
    from repr_toolkit.decoders import GatedPixelCNN
    from repr_toolkit.sampling.draw import decode

    net = model()
    tiny = GatedPixelCNN((3, 8, 8), features=6, layers=2).to(next(net.parameters()).device)
    decode(tiny, None, torch.rand(2 * CHUNK, 3, 8, 8), batch_size=CHUNK)
    noise = torch.rand(count, *SHAPE)
    meter = Meter()
    return meter.peak(lambda: decode(net, None, noise, batch_size=CHUNK))


class Meter:
    """Megabytes above those at its making: on CUDA the allocator's, else of the whole process."""

    def __init__(self) -> None:
        gc.collect()
        if sys.platform == "linux":
            # Work in memory that is free but still held would not show as growth.
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
            if trim is not None:
                trim(0)
        self.cuda = torch.cuda.is_available()
        self.before = torch.cuda.memory_allocated() / MB if self.cuda else resident("VmRSS")

    def peak(self, work: Callable[[], object]) -> float:
        """The megabytes at the peak of the work."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            work()
            return torch.cuda.max_memory_allocated() / MB - self.before
        if sys.platform == "linux":
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
        work()
        return resident("VmHWM") - self.before


def resident(what: str) -> float:
    """Megabytes of this process in memory: now ("VmRSS") or at the peak ("VmHWM").

    Without Linux's /proc both are the peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = re.search(rf"{what}:\s+(\d+) kB", status.read_text())
        assert line is not None
        return int(line[1]) / 1024
    import resource

    unit = MB if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main(work: str) -> None:
    from repr_toolkit.training.trainer import quiet_lightning

    with quiet_lightning():
        if work.endswith(" images"):
            megabytes = of_sampling(int(work.split()[0].replace(",", "")))
        else:
            megabytes = of_training(work)
    print(f"{megabytes:.1f}")


if __name__ == "__main__":
    main(sys.argv[1])
