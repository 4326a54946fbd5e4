"""The picture of what several runs put where, for paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from repr_toolkit.analyses.placement.marks import with_crosses
from repr_toolkit.runs.kept import Result
from repr_toolkit.support.pictures import Group, paper_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(results: Sequence[Result]) -> "Figure":
    """Held-out images and each run's samples of their h, crosses where h says; at `DPI`.

    One row an image; a column has the same noise in every row. The results are of one
    `measure_alike`.
    """
    first = results[0].arrays()
    marks, levels = torch.from_numpy(first["marks"]).float(), int(first["levels"])

    def crossed(images: Tensor) -> Tensor:
        """Images (rows, n, C, H, W), every one with its row's crosses."""
        n = images.shape[1]
        points = marks.repeat_interleave(n, 0)
        marked: Tensor = with_crosses(images.flatten(0, 1), points, levels=levels)
        cells: Tensor = marked.unflatten(0, (-1, n))
        return cells

    groups = [Group(crossed(torch.from_numpy(first["image"])[:, None]), "Held-out")]
    for result in results:
        heading = Path(result.numbers["run"]).name.replace("_", " ")
        groups.append(Group(crossed(torch.from_numpy(result.arrays()["sample"])), heading))
    return paper_figure(groups)
