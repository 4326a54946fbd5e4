"""The walk of the PixelCNN: what is above and left for all blocks at once, the rest in turn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repr_toolkit.decoders.walks.pixel_network import MaskedRows, PixelNetworkWalk
from repr_toolkit.decoders.walks.weights import bias_parts, group_parts


class PixelCNNWalk(PixelNetworkWalk):
    """The walk of a PixelCNN, `model`, for a batch of images given h, or given nothing."""

    def __init__(self, model: Any, h: Tensor | None, batch: int) -> None:
        super().__init__(model, h, batch)
        blocks, groups = list(model.layers), model.groups
        self.middle = MaskedRows(
            [block.middle for block in blocks],
            [block.condition for block in blocks],
            batch,
            self.width,
            groups,
        )
        self.relu_maps = torch.zeros_like(self.maps[1:])
        self.inside = torch.zeros_like(self.middle.here)
        self.outputs = [self.maps[-1, :, part] for part in self.parts]
        self.steps = [self._steps(blocks, g, groups) for g in range(groups)]

    def _steps(self, blocks: list[Any], g: int, groups: int) -> list[tuple[Any, ...]]:
        """Of each block, the views and matrices of a group; views are made once."""
        q = self.inside.shape[2] // groups
        part, part_maps = slice(q * g, q * (g + 1)), self.parts[g]
        seen, seen_maps = slice(part.stop), slice(part_maps.stop)
        steps = []
        for i, block in enumerate(blocks):
            relu_maps, here, inside = self.relu_maps[i], self.middle.here[i], self.inside[i]
            down = (bias_parts(block.down, groups)[g], group_parts(block.down, groups)[g])
            up = (bias_parts(block.up, groups)[g], group_parts(block.up, groups)[g])
            steps.append(
                (
                    (self.maps[i, :, part_maps], relu_maps[:, part_maps], relu_maps[:, seen_maps]),
                    (down, here[:, part], here[:, seen]),
                    (self.middle.collected[0, i, :, part], self.middle.left.centres[i][g]),
                    (inside[:, part], inside[:, seen]),
                    (up, self.maps[i + 1, :, part_maps]),
                )
            )
        return steps

    def restart(self) -> None:
        super().restart()
        self.middle.restart()

    def start_row(self, s: Tensor | None) -> None:
        self.middle.row(s)

    def start_pixel(self) -> None:
        self.middle.pixel(self.column)

    def output(self, group: int) -> Tensor:
        for relu, down, middle, inside, up in self.steps[group]:
            maps, relu_maps, relus_seen = relu
            (down_bias, down_weight), here, here_seen = down
            collected, centre = middle
            part, seen = inside
            (up_bias, up_weight), after = up
            torch.clamp_min(maps, 0, out=relu_maps)
            torch.addmm(down_bias, relus_seen, down_weight, out=here).relu_()
            torch.addmm(collected, here_seen, centre, out=part).relu_()
            torch.addmm(up_bias, seen, up_weight, out=after).add_(maps)
        output: Tensor = self.outputs[group]
        return output

    def end_pixel(self) -> None:
        self.middle.end_pixel(self.column)
