"""The two pictures that are cut from a photograph around a face: FaceNet's and the model's."""

from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from repr_toolkit.faces.detection import Face

SIDE = 160  # pixels of the face that FaceNet is given
MARGIN = 14  # of these pixels are outside the detected box, half of them on either side
RAISE = 0.03  # height of the training image's centre above the box's, as a share of its side


def crop_face(photograph: Image.Image, face: Face) -> NDArray[np.uint8]:
    """The face as FaceNet was trained to see it, uint8 (3, 160, 160).

    It is the box and a margin of 7 of the 160 pixels on each side, as far as the photograph
    reaches, with width and height each scaled to 160 (facenet-pytorch's `extract_face`).
    """
    from facenet_pytorch import extract_face

    crop = extract_face(photograph, face.box, image_size=SIDE, margin=MARGIN)
    pixels: NDArray[np.uint8] = crop.numpy().astype(np.uint8)  # whole numbers, kept as floats
    return pixels


def training_image(
    photograph: Image.Image, face: Face, size: int, margin: float = 0.0
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The face upright in a square, uint8 (3, size, size), and its landmarks there (5, 2).

    The square's side is 1 + `margin` times the mean of the box's width and height. With margin 0
    the faces lie as in lfw_faces_32.npz: there the eyes are on average at (10.3, 12.7) and
    (22.3, 12.5) of 32 pixels and the corners of the mouth at (11.3, 25.9) and (21.8, 25.7); the 48
    photographs of face_photos give (10.3, 12.8), (22.7, 12.5), (11.1, 25.9) and (22.4, 25.7). A
    single image differs, since that file's were cut at a fixed place from photographs that had
    been aligned (deep funneling), which a single photograph does not allow.

    The face is reduced by a box filter, or enlarged bilinearly. Where the square leaves the
    photograph, the photograph's edge is repeated.
    """
    left, top, right, bottom = face.box
    side = (right - left + bottom - top) / 2 * (1 + margin)
    corner = np.array([left + right - side, top + bottom - side * (1 + 2 * RAISE)]) / 2
    first = [floor(x) for x in corner]
    columns, rows = (
        np.arange(first[axis], ceil(corner[axis] + side)).clip(0, photograph.size[axis] - 1)
        for axis in (0, 1)
    )
    around = np.asarray(photograph)[rows][:, columns]
    start = corner - first
    end = np.minimum(start + side, (len(columns), len(rows)))  # rounding may lead beyond
    image = Image.fromarray(around).resize(
        (size, size),
        Image.Resampling.BOX if side >= size else Image.Resampling.BILINEAR,
        box=(*start, *end),
    )
    landmarks = (face.landmarks - corner) * (size / side)
    return np.asarray(image).transpose(2, 0, 1), landmarks.astype(np.float32)
