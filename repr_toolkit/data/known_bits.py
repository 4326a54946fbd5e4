"""Images whose information about their label is known in closed form, and where it stands."""

import numpy as np

from repr_toolkit.data.images import SPLITS, ImageData

SIDE = 6
LEVELS = 4
PIXELS = ((1, 1), (2, 4), (4, 2))
"""Row and column of each bit of the label: level 0 or 3, as the bit is 0 or 1."""
REPEATED = (3, 1)
"""Where the label's first bit stands once more, after `PIXELS[0]` in the raster."""
BITS = float(len(PIXELS))
"""I(x; label) = H(label), in bits: one for each pixel of `PIXELS`, none anywhere else."""
NOISE_BITS = 2.0 * (SIDE * SIDE - len(PIXELS) - 1)
"""H(x | label), in bits: two for each pixel of noise."""


def known_bits(train: int = 64_000, held_out: int = 1000, seed: int = 0) -> ImageData:
    """Grey images 6×6 in 4 levels, of three fair bits and independent noise.

    ``label`` int64 (N,) is uniform on 0…7, its bit k shown at `PIXELS`[k] alone, but for the first,
    which stands at `REPEATED` once more; given the pixels before it, it says nothing new there.
    Every other pixel is independent and uniform on the four levels. So log₂ p(x|label) − log₂ p(x)
    is exactly 1 at each of `PIXELS` and 0 everywhere else, in every image. ``bits`` float32 (N, 3)
    are the label's bits as −1 and 1, ``coins`` float32 (N, 3) as many independent of the image.

    ``train`` images for training, ``held_out`` each for val and test; all follows from ``seed``.
    The noise of images that a decoder sees again it learns by heart, and so misjudges new ones:
    there are enough by default to train on each but once.
    For a recipe: ``data.source: repr_toolkit.data.known_bits.known_bits``.
    """
    draw = np.random.default_rng(seed)
    counts = (train, held_out, held_out)
    images = draw.integers(0, LEVELS, (sum(counts), 1, SIDE, SIDE), dtype=np.uint8)
    label = draw.integers(0, 2 ** len(PIXELS), len(images))
    bits = label[:, None] >> np.arange(len(PIXELS)) & 1  # (N, 3)
    for k, (row, column) in enumerate(PIXELS):
        images[:, 0, row, column] = bits[:, k] * (LEVELS - 1)
    images[:, 0, *REPEATED] = images[:, 0, *PIXELS[0]]
    rows = np.split(np.arange(len(images)), np.cumsum(counts)[:-1])
    return ImageData(
        "known_bits",
        {
            "image": images,
            "label": label.astype(np.int64),
            "bits": (2 * bits - 1).astype(np.float32),
            "coins": (2 * draw.integers(0, 2, bits.shape) - 1).astype(np.float32),
        },
        dict(zip(SPLITS, rows, strict=True)),
        levels=LEVELS,
    )
