"""The face is found where it is, in every order and batch, and no photograph brings others down."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from repr_toolkit.faces import Detector, Face, crop_face, detection, training_image
from repr_toolkit.faces.detection import CERTAIN, detect_upright
from toys.faces import QuickDetector, astronaut, cat, two_faces
from toys.faces import face as quick_face


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def found(detector: Detector, *photographs: Image.Image) -> list[Face | str]:
    return detector.detect(list(photographs))


def test_a_face(detector: Detector) -> None:
    [face] = found(detector, astronaut())
    assert isinstance(face, Face)
    assert face.count == 1
    assert face.probability > 0.99
    left, top, right, bottom = face.box
    assert 60 < right - left < 110
    assert 60 < bottom - top < 130
    eye, other_eye, nose, mouth, other_mouth = face.landmarks
    assert left < eye[0] < nose[0] < other_eye[0] < right  # left as seen in the picture
    assert mouth[0] < other_mouth[0]
    assert top < eye[1] < nose[1] < mouth[1] < bottom
    # Where they are, as read off the photograph.
    np.testing.assert_allclose(eye, (92, 91), atol=5)
    np.testing.assert_allclose(other_eye, (138, 92), atol=5)


def test_no_face(detector: Detector) -> None:
    grey = Image.new("RGB", (200, 200), "grey")
    noise = np.random.default_rng(0).integers(0, 256, (90, 200, 3), dtype=np.uint8)
    reasons = found(detector, grey, cat(), Image.fromarray(noise), grey)
    assert reasons == ["no face found"] * 4


@pytest.mark.parametrize("side", [1, 3, 59])
def test_a_photograph_smaller_than_a_face(detector: Detector, side: int) -> None:
    tiny = Image.new("RGB", (side, 500))
    reason, face = found(detector, tiny, astronaut())
    assert reason == "smaller than the smallest face looked for, 60 pixels"
    assert isinstance(face, Face)
    assert found(detector, Image.new("RGB", (60, 60))) == ["no face found"]


@pytest.mark.parametrize("size", [13, 49, 61, 107])
def test_the_smallest_size_that_is_looked_at_is_never_too_small(size: int) -> None:
    """Where the pyramid has no level by a rounding error, facenet-pytorch fails."""
    detector = Detector(min_face_size=size)
    for side in (size, size + 1):
        [reason] = found(detector, Image.new("RGB", (side, side)))
        assert isinstance(reason, str)


def test_one_of_two_faces_is_chosen(detector: Detector) -> None:
    photograph = two_faces(200, 300)
    [largest] = found(Detector(select="largest"), photograph)
    assert isinstance(largest, Face)
    assert largest.count == 2
    assert largest.box[0] > 200
    # The large one twice as far away as the small one, and the small one large enough.
    wide = Image.new("RGB", (900, 300), "grey")
    wide.paste(photograph.crop((0, 0, 200, 200)), (300, 50))
    wide.paste(photograph.crop((200, 0, 500, 300)), (600, 0))
    [central], [largest] = found(detector, wide), found(Detector(select="largest"), wide)
    assert isinstance(central, Face)
    assert isinstance(largest, Face)
    assert central.count == largest.count == 2
    assert central.box[2] < 500 < largest.box[0]


def test_a_batch_finds_what_each_finds_alone(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = astronaut().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    tiny = Image.new("RGB", (3, 3))
    batch = [astronaut(), two_faces(), cat(), tiny, turned, two_faces(230, 270), astronaut()]
    alone = [found(detector, photograph)[0] for photograph in batch]
    for pixels in (detection.BATCH_PIXELS, 1):
        monkeypatch.setattr(detection, "BATCH_PIXELS", pixels)
        for one, among in zip(alone, found(detector, *batch), strict=True):
            if isinstance(one, str):
                assert among == one
            else:
                assert isinstance(among, Face)
                np.testing.assert_allclose(among.box, one.box, atol=0.01)
                np.testing.assert_allclose(among.landmarks, one.landmarks, atol=0.01)
                assert among.count == one.count
    assert found(detector) == []


class Astray(nn.Module):
    """The first network, but that for dark pictures it proposes boxes outside of them."""

    def __init__(self, pnet: nn.Module, *, every: bool) -> None:
        super().__init__()
        self.pnet = pnet
        self.every = every

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        regression, probability = self.pnet(x)
        dark = x.mean((1, 2, 3)) < -0.9
        probability[dark] = 1
        regression[dark] = 0
        regression[dark, :, :, : None if self.every else 1] = 50
        return regression, probability


@pytest.mark.parametrize(
    ("every", "error"), [(True, (RuntimeError, ValueError)), (False, IndexError)]
)
def test_a_photograph_that_the_library_fails_at(every: bool, error: Any) -> None:
    detector = Detector()
    detector.mtcnn.pnet = Astray(detector.mtcnn.pnet, every=every)
    black = Image.new("RGB", astronaut().size)
    with pytest.raises(error):  # the library's own error, so that this tests something
        detector.mtcnn.detect([black, black])
    face, reason, again = found(detector, astronaut(), black, astronaut())
    assert isinstance(face, Face)
    assert isinstance(again, Face)
    assert reason == "the detector fails: it proposes a face outside of the photograph"


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector()

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(detector.mtcnn, "detect", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        found(detector, astronaut())


def test_a_box_outside_of_the_photograph_is_no_face(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector(select="largest")
    boxes = np.array([[[300, 300, 400, 400], [10, 10, 50, 60]]], object)
    landmarks = np.zeros((1, 2, 5, 2), object)
    probabilities = np.array([[0.9, 0.8]], object)
    monkeypatch.setattr(
        detector.mtcnn, "detect", lambda *_, **__: (boxes, probabilities, landmarks)
    )
    [face] = found(detector, Image.new("RGB", (200, 200)))
    assert isinstance(face, Face)
    assert (face.count, face.probability) == (1, 0.8)
    boxes[0, 1] = [-50, 10, 0.5, 60]
    assert found(detector, Image.new("RGB", (200, 200))) == ["no face found"]


def test_settings_that_there_are_not() -> None:
    with pytest.raises(ValueError, match="center or largest, not 'first'"):
        Detector(select="first")
    with pytest.raises(ValueError, match="at least 12 pixels, not 11"):
        Detector(min_face_size=11)


# What is cut out


def test_the_crop_is_that_of_the_library(detector: Detector) -> None:
    """With the settings of the stored embeddings, whole photograph to crop."""
    from facenet_pytorch import MTCNN

    library = MTCNN(
        image_size=160,
        margin=14,
        min_face_size=60,
        selection_method="center_weighted_size",
        post_process=False,
    )
    for photograph in (astronaut(), two_faces()):
        [face] = found(detector, photograph)
        assert isinstance(face, Face)
        crop = crop_face(photograph, face)
        assert (crop.shape, crop.dtype) == ((3, 160, 160), np.uint8)
        assert torch.equal(torch.from_numpy(crop).float(), library(photograph))


def marked(*, at: tuple[float, float], size: tuple[int, int] = (120, 100)) -> Image.Image:
    """A black photograph with a white square of 8 pixels about a point."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = int(at[0]), int(at[1])
    pixels[y - 4 : y + 4, x - 4 : x + 4] = 255
    return Image.fromarray(pixels)


def face_at(box: tuple[float, ...], point: tuple[float, float]) -> Face:
    return Face(np.array(box, float), np.array([point] * 5, float), 1.0, 1)


@pytest.mark.parametrize("size", [16, 32, 160])
@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_landmarks_are_where_the_image_shows_them(size: int, margin: float) -> None:
    point = (52.0, 44.0)
    face = face_at((30.5, 20.25, 70.25, 75.75), point)
    image, landmarks = training_image(marked(at=point), face, size, margin)
    assert (image.shape, image.dtype) == ((3, size, size), np.uint8)
    assert (landmarks.shape, landmarks.dtype) == ((5, 2), np.float32)
    weights = image[0] / image[0].sum()
    pixels = np.arange(size) + 0.5
    np.testing.assert_allclose(
        landmarks[0], (weights.sum(0) @ pixels, weights.sum(1) @ pixels), atol=0.3
    )


def test_the_square_is_the_boxs_mean_side_and_raised() -> None:
    face = face_at((20, 20, 60, 80), (40, 50))  # the box's centre
    _, landmarks = training_image(marked(at=(40, 50)), face, 50)
    np.testing.assert_allclose(landmarks[0], (25, 25 + 0.03 * 50))
    _, wider = training_image(marked(at=(40, 50)), face_at((20, 20, 60, 80), (65, 50)), 50, 1.0)
    np.testing.assert_allclose(wider[0], (37.5, 26.5))  # 25 pixels are a quarter of 100


def test_a_reduction_averages() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    face = face_at((0, 0.96 * 2, 64, 64 + 0.96 * 2), (0, 0))
    image, _ = training_image(Image.fromarray(pixels), face, 32)
    means = pixels.reshape(32, 2, 32, 2, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(image - means).max() <= 1


def test_beyond_the_photograph_its_edge_goes_on() -> None:
    rows = np.arange(100, dtype=np.uint8)[:, None, None] + 100
    photograph = Image.fromarray(np.broadcast_to(rows, (100, 120, 3)).copy())
    for box in ((-40, -40, 40, 40), (90, 60, 170, 140)):
        image, _ = training_image(photograph, face_at(box, (0, 0)), 40)
        assert image.min() >= 100
        assert (np.diff(image[0].astype(int), axis=0) >= 0).all()
        assert (image[0] == image[0][:, :1]).all()


def test_a_photograph_that_does_not_stand_upright_is_turned(detector: Detector) -> None:
    ways = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    photographs = [astronaut(), *(astronaut().transpose(way) for way in ways), cat()]
    *people, (animal, reason) = detect_upright(detector, photographs)
    assert [face.turned for _, face in people if isinstance(face, Face)] == [0, 270, 180, 90]
    for photograph, face in people:
        assert photograph.tobytes() == astronaut().tobytes()
        assert isinstance(face, Face)
        assert face.probability >= CERTAIN
    assert (animal.tobytes(), reason) == (cat().tobytes(), "no face found")


@pytest.mark.parametrize(
    ("probabilities", "turned", "probability"),
    [
        ([0.5, 0.98, None, 0.6], 0, 0.5),  # none is certain
        ([0.5, 0.995, None, 0.999], 270, 0.999),
        ([None, 0.98, None, 0.6], None, None),
        ([None, None, 0.99, None], 180, 0.99),
        ([0.99, 1.0, 1.0, 1.0], 0, 0.99),  # certain as it stands: no other way is tried
    ],
)
def test_which_way_is_taken(
    probabilities: list[float | None], turned: int | None, probability: float | None
) -> None:
    """By the probabilities of a face in a photograph turned by 0, 90, 180 and 270 degrees."""

    class Stated(QuickDetector):
        def detect(self, photographs: list[Image.Image]) -> list[Face | str]:
            assert len(photographs) == 1
            stated = probabilities[self.seen]
            self.seen += 1
            return [
                "no face found" if stated is None else replace(quick_face(), probability=stated)
            ]

    stated: Any = Stated()
    [(_, face)] = detect_upright(stated, [astronaut()])
    if turned is None:
        assert face == "no face found"
    else:
        assert isinstance(face, Face)
        assert (face.turned, face.probability) == (turned, probability)
