"""Images whose information about their label, pixel by pixel, is known in closed form."""

import numpy as np

from repr_toolkit.data.images import Array, ImageData
from repr_toolkit.data.splits import consecutive

SIDE = 6
LEVELS = 4
PIXELS = ((1, 1), (2, 4), (4, 2))
"""Row and column of each bit of the label: level 0 or 3, as the bit is 0 or 1."""
REPEATED = (3, 1)
"""Row and column of the copy of the label's first bit, after `PIXELS[0]` in the raster."""
BITS = float(len(PIXELS))
"""I(x; label) = H(label), in bits: one for each pixel of `PIXELS`, none anywhere else."""
NOISE_BITS = 2.0 * (SIDE * SIDE - len(PIXELS) - 1)
"""H(x | label), in bits: two for each pixel of noise."""


def known_bits(train: int = 64_000, held_out: int = 1000, seed: int = 0) -> ImageData:
    """Grey images 6×6 in 4 levels, of three fair bits and independent noise.

    `label` int64 (N,) is uniform on 0…7. Its bit k stands at `PIXELS`[k], and bit 0 again at
    `REPEATED`, where it says nothing new given the pixels before it. Every other pixel is
    independent and uniform on the four levels. So log₂ p(x|label) − log₂ p(x) is exactly 1 at each
    of `PIXELS` and 0 everywhere else, in every image. `bits` float32 (N, 3) are the bits of the
    label as −1 and 1, `coins` float32 (N, 3) as many bits independent of the image.

    `train` images for training, `held_out` each for val and test, all drawn by `seed`. A decoder
    that sees an image twice learns its noise by heart and so misjudges new images; the default is
    enough to train on each image once.
    For a recipe: `data.source: repr_toolkit.data.known_bits.known_bits`.
    """
    draw = np.random.default_rng(seed)
    rows = consecutive({"train": train, "val": held_out, "test": held_out})
    images = draw.integers(0, LEVELS, (train + 2 * held_out, 1, SIDE, SIDE), dtype=np.uint8)
    label = draw.integers(0, 2 ** len(PIXELS), len(images))
    bits = label[:, None] >> np.arange(len(PIXELS)) & 1  # (N, 3)
    for k, (row, column) in enumerate(PIXELS):
        images[:, 0, row, column] = bits[:, k] * (LEVELS - 1)
    images[:, 0, *REPEATED] = images[:, 0, *PIXELS[0]]
    arrays: dict[str, Array] = {
        "image": images,
        "label": label.astype(np.int64),
        "bits": (2 * bits - 1).astype(np.float32),
        "coins": (2 * draw.integers(0, 2, bits.shape) - 1).astype(np.float32),
    }
    return ImageData("known_bits", arrays, rows, levels=LEVELS)
