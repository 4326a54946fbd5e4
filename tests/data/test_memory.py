"""Reading a large file takes no more memory than its images have bytes."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

COUNT = 100_000  # 307 MB of 32×32 RGB images

READ_ALL = """
import resource, sys, tracemalloc
import numpy as np
from repr_toolkit.data import load_data
from repr_toolkit.data.order import StepSampler

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

data = load_data("digits", levels=2)
data.splits["train"].column("image")  # imports done, buffers made
before = peak()
tracemalloc.start()
data = load_data(sys.argv[1], levels=16)
unpacked = peak()
train = data.splits["train"]
order = StepSampler(len(train), 512, len(train) // 512, seed=0, steps_taken=lambda: 0)
total = sum(int(train[indices]["image"].max()) for indices in order)
print(unpacked - before, peak() - before, tracemalloc.get_traced_memory()[1], total)
"""


def test_reading_everything_in_random_order(tmp_path: Path) -> None:
    path = tmp_path / "large.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("image.npy", "w") as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": (COUNT, 3, 32, 32)}
        npy.write_array_header_1_0(member, header)
        for start in range(0, COUNT, 1000):
            member.write(np.full((1000, 3, 32, 32), start % 251, np.uint8).tobytes())
    result = subprocess.run(
        [sys.executable, "-c", READ_ALL, path], capture_output=True, text=True, check=True
    )
    unpacking, reading, allocated, total = map(int, result.stdout.split())
    size = COUNT * 3 * 32 * 32
    assert total > 0
    # Every page of the mapped file counts as resident once it has been read, though the system
    # may drop it at any time; what the process itself holds is small.
    assert unpacking < 1.1 * size
    assert reading < 1.1 * size
    assert allocated < 0.2 * size
