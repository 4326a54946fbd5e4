"""The quadrant of an image is where most of its ink is."""

import pytest
import torch

from repr_toolkit.analyses.placement.quadrants import QuadrantReader
from repr_toolkit.data import load_data
from repr_toolkit.data.quadrants import mnist_quadrants, place_in_quadrants
from toys.data import bright_quadrants


@pytest.fixture(scope="module")
def reader() -> QuadrantReader:
    data = mnist_quadrants()
    return QuadrantReader(data.splits["train"], data.splits["val"])


def test_codes_are_those_of_the_data() -> None:
    data = place_in_quadrants(load_data("digits"))
    reader = QuadrantReader(data.splits["train"], data.splits["val"])
    test = data.splits["test"]
    stated = test.column("quadrant").numpy()
    assert set(stated) == {0, 1, 2, 3}
    assert reader.score(reader.read(test[:]["image"]), stated).mean() > 0.97


def test_nearly_all_placed_digits_are_found(reader: QuadrantReader) -> None:
    test = mnist_quadrants().splits["test"]
    stated = test.column("quadrant").numpy()
    assert reader.score(reader.read(test[:]["image"]), stated).mean() > 0.99


def test_ink_in_no_quadrant_or_in_two_is_nowhere(reader: QuadrantReader) -> None:
    one = bright_quadrants(torch.arange(4))
    assert reader.read(one).tolist() == [0, 1, 2, 3]
    two = torch.maximum(one[0], one[3])
    images = torch.stack([two, torch.zeros_like(two), torch.full_like(two, 255)])
    assert reader.read(images).tolist() == [-1, -1, -1]
    assert reader.score(reader.read(images), torch.tensor([0, 0, 0]).numpy()).tolist() == [0] * 3


def test_marks_are_the_middles_of_the_quadrants(reader: QuadrantReader) -> None:
    marks = reader.marks(torch.arange(4).numpy())
    assert marks.tolist() == [[[7, 7]], [[21, 7]], [[7, 21]], [[21, 21]]]
