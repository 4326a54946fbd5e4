"""What the tests of faces share: a real face, and quick stand-ins for the networks."""

from functools import cache
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn

from repr_toolkit.faces import Face


@cache
def astronaut() -> Image.Image:
    """A photograph with one face in it, about 90 pixels high."""
    return Image.fromarray(skimage.data.astronaut()).crop((110, 10, 340, 240))


@cache
def cat() -> Image.Image:
    """A photograph without a human face."""
    return Image.fromarray(skimage.data.chelsea()).crop((0, 0, 230, 230))


def two_faces(left: int = 200, right: int = 300) -> Image.Image:
    """The same person twice, side by side, in squares of these sides."""
    together = Image.new("RGB", (left + right, max(left, right)), "grey")
    together.paste(astronaut().resize((left, left)), (0, 0))
    together.paste(astronaut().resize((right, right)), (left, 0))
    return together


def face(*, box: tuple[float, ...] = (10, 10, 40, 50), count: int = 1) -> Face:
    left, top, right, bottom = box
    x = left + (right - left) * np.array([0.3, 0.7, 0.5, 0.35, 0.65])
    y = top + (bottom - top) * np.array([0.4, 0.4, 0.6, 0.75, 0.75])
    return Face(np.array(box, float), np.stack([x, y], axis=1), 0.99, count)


class QuickDetector:
    """Finds a face in every photograph but black ones, and in pictures of odd width two."""

    def __init__(self) -> None:
        self.select, self.min_face_size = "center", 60
        self.seen = 0

    def detect(self, photographs: list[Image.Image]) -> list[Face | str]:
        self.seen += len(photographs)
        return [
            face(count=1 + photograph.width % 2) if photograph.getextrema()[0][1] else "no face"
            for photograph in photographs
        ]


class QuickNet(nn.Module):
    """Unit vectors that depend on the picture."""

    def __init__(self, identity: str = "FaceNet 0123456789ab") -> None:
        super().__init__()
        self.identity = identity
        weight = torch.randn(48, 512, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        coarse = nn.functional.adaptive_avg_pool2d(x.float(), 4).flatten(1)
        return nn.functional.normalize(coarse @ self.weight, dim=1)


def people(folder: Path, count: int = 4, photographs: int = 5) -> Path:
    """A folder of so many people, random colours each, with so many photographs of each."""
    rng = np.random.default_rng(0)
    for person in range(count):
        (folder / f"person_{person}").mkdir(parents=True)
        for number in range(photographs):
            pixels = rng.integers(1, 256, (60, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"person_{person}" / f"{number}.png")
    return folder
