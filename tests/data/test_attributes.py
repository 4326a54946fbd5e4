"""Attributes that are measured of images."""

import numpy as np
import pytest
import torch

from repr_toolkit.data import ImageData
from repr_toolkit.data.attributes import find_attribute

ROWS = {"train": np.arange(6), "val": np.arange(6, 8), "test": np.arange(8, 10)}


def test_brightness_and_pose_are_above_the_median_of_training_images() -> None:
    draw = np.random.default_rng(0)
    brightness = np.array([1, 5, 2, 6, 3, 4, 9, 0, 3, 4], np.uint8)
    image = np.broadcast_to(brightness[:, None, None, None], (10, 3, 2, 2)).copy()
    nose = np.array([0.5, -0.5, 0.1, -0.1, 0.3, -0.3, 0.02, -0.02, 9, 8]).astype(np.float32)
    landmarks = np.zeros((10, 5, 2), np.float32)
    size = draw.uniform(1, 3, 10).astype(np.float32)
    landmarks[:, 0, 0], landmarks[:, 1, 0] = 4 - size, 4 + size
    landmarks[:, 2, 0] = 4 + 2 * size * nose
    data = ImageData("faces", {"image": image, "landmarks": landmarks}, ROWS, levels=16)
    bright, turned = find_attribute(data, "brightness"), find_attribute(data, "pose")
    assert bright.flags(data, "train", [0, 1, 3, 4]).tolist() == [False, True, True, False]
    assert bright.flags(data, "test", [0, 1]).tolist() == [False, True]
    assert turned.flags(data, "train", [*range(6)]).tolist() == [True, False] * 3
    assert turned.flags(data, "val", [0, 1]).tolist() == [True, False]


def test_a_key_of_that_name_comes_first_and_pose_needs_landmarks() -> None:
    arrays = {"image": np.zeros((10, 1, 2, 2), np.uint8), "brightness": np.arange(10) % 2}
    data = ImageData("plain", arrays, ROWS, levels=16)
    flags = find_attribute(data, "brightness").flags(data, "test", [0, 1])
    assert torch.from_numpy(flags).tolist() == [False, True]
    with pytest.raises(ValueError, match="plain has neither a class nor an attribute 'pose'"):
        find_attribute(data, "pose")
