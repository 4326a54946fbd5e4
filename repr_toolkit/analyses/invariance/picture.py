"""The picture of what samples of one h have in common, for paper."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from repr_toolkit.page.pictures import Pixels, heat, shown
from repr_toolkit.runs.kept import Result
from repr_toolkit.support.pictures import Group, paper_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURED = 4  # samples, and neighbours of each kind


def picture(result: Result) -> "Figure":
    """One row an image: itself, samples, their standard deviation, its neighbours; at `DPI`."""
    arrays = result.arrays()
    levels = int(arrays["levels"])

    def group(pixels: Pixels, heading: str, title: str = "") -> Group:
        return Group(torch.tensor(pixels).permute(0, 1, 4, 2, 3), heading, title)

    drawn = shown(arrays["sample"][:, :PICTURED], levels)
    groups = [group(shown(arrays["image"][:, None], levels), "image")]
    if result.numbers["samples"] > 1:
        deviation = np.sqrt(arrays["variance"].mean(1))  # (rows, H, W)
        highest = max(float(deviation.max()), 1e-9)
        spread = heat(deviation, highest).swapaxes(0, 1)
        groups += [group(drawn, "samples of its h"), group(spread, "s.d.", f"0…{highest:.2f}")]
    else:
        groups.append(group(drawn, "of its h"))
    for key, title in (("nearest_h", "by h"), ("nearest_pixels", "by pixels")):
        if key in arrays:
            images = shown(arrays[key][:, :PICTURED], levels)
            groups.append(group(images, "nearest training images", title))
    return paper_figure(groups, arrays["name"].tolist())
