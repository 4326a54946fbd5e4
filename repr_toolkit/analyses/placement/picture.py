"""The picture of what several runs put where, for paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from repr_toolkit.analyses.placement.marks import image_names, with_crosses
from repr_toolkit.runs.kept import Array, Result
from repr_toolkit.support.pictures import Group, paper_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(results: Sequence[Result]) -> "Figure":
    """Held-out images and each run's samples of their h, crosses where h says; at `DPI`.

    One row an image, by its number in the split; a column has the same noise in every row. The
    results are of one `measure_alike`.
    """
    first = results[0].arrays()
    marks, levels = torch.from_numpy(first["marks"]).float(), int(first["levels"])

    def group(images: Array, heading: str) -> Group:
        return Group(with_crosses(torch.from_numpy(images), marks, levels=levels), heading)

    groups = [group(first["image"][:, None], "Held-out")]
    for result in results:
        heading = Path(result.numbers["run"]).name.replace("_", " ")
        groups.append(group(result.arrays()["sample"], heading))
    return paper_figure(groups, image_names(results[0].numbers["split"], first["index"]))
