"""Finding the face in a photograph, by MTCNN (arXiv:1604.02878)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

BATCH_PIXELS = 4_000_000  # pixels of a batch: 48 MB a copy in float32

NO_FACE = "no face found"

CERTAIN = 0.99
"""The probability from which a face is certain. Of 24 photographs in face_photos each face had
0.9991 or more, and what was found in them turned by 90, 180 or 270 degrees 0.9853 or less."""
TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
"""Ways to turn a photograph, by the degrees counterclockwise."""

# Parts of the errors by which facenet-pytorch's detect_face fails when it has proposed a box wholly
# outside of the photograph: it stacks the pixels of the other boxes only, but uses the list of all.
OUTSIDE = ("shape of the mask", "expected a non-empty list of Tensors")


@dataclass(frozen=True)
class Face:
    """A face in a photograph, in its pixels, x before y.

    Attributes:
        box: (left, top, right, bottom).
        landmarks: (5, 2), the left eye, right eye, nose, left and right corner of the mouth as seen
            in the picture.
        probability: The detector's.
        count: The number of faces in the photograph, of which this one was chosen.
        turned: The degrees, counterclockwise, by which the photograph was turned first.
    """

    box: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    probability: float
    count: int
    turned: int = 0


class Detector:
    """MTCNN with the weights that facenet-pytorch brings; it needs no download.

    Of several faces `select` "largest" takes the one with the largest area, and "center" the one
    with the largest area less twice the squared distance to the photograph's centre. Faces below
    about `min_face_size` pixels are not found. Raises ValueError for another `select`, or for a
    size below 12, the side of the first network's window.
    """

    def __init__(
        self,
        *,
        select: str = "center",
        min_face_size: int = 60,
        device: torch.device | str = "cpu",
    ) -> None:
        if select not in ("center", "largest"):
            raise ValueError(f"select is center or largest, not {select!r}")
        if min_face_size < 12:
            raise ValueError(f"min_face_size is at least 12 pixels, not {min_face_size}")
        from facenet_pytorch import MTCNN

        self.select = select
        self.min_face_size = min_face_size
        self.mtcnn = MTCNN(min_face_size=min_face_size, device=torch.device(device))

    def detect(self, photographs: Sequence[Image.Image]) -> list[Face | str]:
        """The chosen face of each RGB photograph, or the reason why there is none.

        Photographs of equal size are looked at together.
        """
        results: list[Face | str] = [NO_FACE] * len(photographs)
        by_size: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for index, photograph in enumerate(photographs):
            # The first level of detect_face's pyramid; it fails where there is none.
            if min(photograph.size) * (12.0 / self.min_face_size) < 12:
                results[index] = (
                    f"smaller than the smallest face looked for, {self.min_face_size} pixels"
                )
            else:
                by_size[photograph.size].append(index)
        for (width, height), indices in by_size.items():
            step = max(1, BATCH_PIXELS // (width * height))
            for start in range(0, len(indices), step):
                batch = indices[start : start + step]
                faces = self._detect([photographs[index] for index in batch])
                for index, face in zip(batch, faces, strict=True):
                    results[index] = face
        return results

    def _detect(self, photographs: list[Image.Image]) -> list[Face | str]:
        """Of photographs of one size."""
        try:
            boxes, probabilities, landmarks = self.mtcnn.detect(photographs, landmarks=True)
        except (IndexError, RuntimeError, ValueError) as error:
            if not any(text in str(error) for text in OUTSIDE):
                raise
            if len(photographs) == 1:
                return ["the detector fails: it proposes a face outside of the photograph"]
            return [face for photograph in photographs for face in self._detect([photograph])]
        return [
            self._choose(photograph, *faces)
            for photograph, *faces in zip(photographs, boxes, probabilities, landmarks, strict=True)
        ]

    def _choose(
        self, photograph: Image.Image, boxes: Any, probabilities: Any, landmarks: Any
    ) -> Face | str:
        if boxes is None:
            return NO_FACE
        # With numpy 2 these are arrays of objects, with which numpy's functions go wrong silently.
        boxes = np.asarray(boxes, np.float64)  # (n, 4)
        size = np.array(photograph.size, np.float64)
        inside = (
            (np.minimum(boxes[:, 2:], size) - np.maximum(boxes[:, :2], 0)).min(axis=1) >= 1
        ).nonzero()[0]
        if not len(inside):
            return NO_FACE
        score = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        if self.select == "center":
            centre = (boxes[:, :2] + boxes[:, 2:]) / 2
            score = score - 2 * ((centre - size / 2) ** 2).sum(axis=1)
        chosen = inside[score[inside].argmax()]
        return Face(
            box=boxes[chosen],
            landmarks=np.asarray(landmarks, np.float64)[chosen],
            probability=float(probabilities[chosen]),
            count=len(inside),
        )


def detect_upright(
    detector: Detector, photographs: Sequence[Image.Image]
) -> list[tuple[Image.Image, Face | str]]:
    """Each photograph, turned as its face is upright, and the face, or why there is none.

    One in which no face is found that is `CERTAIN`, since it may lie on its side, is looked at in
    all four ways, and turned to where the most certain face is found. Where none is certain it
    stays as it is.
    """
    best = [*zip(photographs, detector.detect(photographs), strict=True)]
    unsure = [
        index
        for index, (_, face) in enumerate(best)
        if face == NO_FACE or (isinstance(face, Face) and face.probability < CERTAIN)
    ]
    for degrees, way in TURNS.items() if unsure else ():
        turned = [photographs[index].transpose(way) for index in unsure]
        for index, photograph, face in zip(unsure, turned, detector.detect(turned), strict=True):
            before = best[index][1]
            least = before.probability if isinstance(before, Face) else 0.0
            if isinstance(face, Face) and face.probability >= max(CERTAIN, least):
                best[index] = photograph, replace(face, turned=degrees)
    return best
