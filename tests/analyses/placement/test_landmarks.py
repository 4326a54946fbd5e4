"""The reader of landmarks finds those that were planted, wherever the face stands."""

from pathlib import Path

import pytest
import torch

from repr_toolkit.analyses.placement.landmarks import LandmarkReader
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.windows import cut_windows
from toys.data import SIDE, face_file, faces, random_landmarks


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    folder = tmp_path_factory.mktemp("faces")
    return load_data(str(face_file(folder / "faces.npz", (3000, 100, 300))))


@pytest.fixture(scope="module")
def reader(data: ImageData) -> LandmarkReader:
    return LandmarkReader(data.splits["train"], data.splits["val"])


def test_planted_eyes_are_read(data: ImageData, reader: LandmarkReader) -> None:
    test = data.splits["test"]
    stated = test.column("landmarks").numpy()
    read = reader.read(test[:]["image"])
    assert read.shape == (300, 5, 2)
    error = reader.score(read, stated).mean()
    chance = reader.score(read, stated[::-1]).mean()
    assert error < 0.4
    assert chance > 2


def test_a_face_that_moves_is_found_to_move(reader: LandmarkReader) -> None:
    landmarks = random_landmarks(50, seed=1)
    landmarks += torch.tensor([SIDE / 2, SIDE / 2]) - landmarks.mean(1, keepdim=True)
    step = torch.tensor([1.0, -1.0])
    here, there = (reader.read(faces(points)) for points in (landmarks, landmarks + step))
    moved = (there - here)[:, :2].mean((0, 1))
    torch.testing.assert_close(torch.from_numpy(moved), step, atol=0.15, rtol=0)


def test_stages_are_worth_their_time(data: ImageData, reader: LandmarkReader) -> None:
    assert len(reader.stages) > 1
    val = data.splits["val"]
    truth = val.column("landmarks").numpy()
    stages = reader.stages
    errors = []
    for count in range(1, len(stages) + 1):
        reader.stages = stages[:count]
        errors.append(reader.score(reader.read(val[:]["image"]), truth).mean())
    reader.stages = stages
    assert errors == sorted(errors, reverse=True)


def test_the_reader_is_the_same_every_time(data: ImageData, reader: LandmarkReader) -> None:
    images = data.splits["test"][:]["image"]
    again = LandmarkReader(data.splits["train"], data.splits["val"])
    assert (again.read(images) == reader.read(images)).all()


def test_levels_do_not_matter_but_for_their_coarseness(
    data: ImageData, reader: LandmarkReader
) -> None:
    coarse = data.quantised(32)
    of_coarse = LandmarkReader(coarse.splits["train"], coarse.splits["val"])
    images = [d.splits["test"][:]["image"] for d in (data, coarse)]
    distance = reader.score(reader.read(images[0]), of_coarse.read(images[1]))
    assert distance.mean() < 0.3


def test_the_score_is_the_mean_distance_of_the_eyes(reader: LandmarkReader) -> None:
    stated = random_landmarks(4).numpy()
    read = stated.copy()
    read[:, 0] += [3, 4]
    read[:, 2:] += 100
    assert reader.score(read, stated).tolist() == pytest.approx([2.5] * 4, abs=1e-5)
    assert (reader.marks(stated) == stated[:, :2]).all()


def test_faces_at_the_edge_are_read_without_an_error(reader: LandmarkReader) -> None:
    outside = random_landmarks(8) + 40
    assert reader.read(faces(outside)).shape == (8, 5, 2)


def test_the_readers_error_on_real_windows() -> None:
    """About what the docstring states, from fewer windows."""
    try:
        data = load_data("lfw_faces_32.npz")
    except FileNotFoundError:
        pytest.skip("lfw_faces_32.npz is not here")
    windows = cut_windows(data, 24, copies=1)
    reader = LandmarkReader(windows.splits["train"], windows.splits["val"])
    test = windows.splits["test"]
    stated = test.column("landmarks").numpy()
    error = reader.score(reader.read(test[:]["image"]), stated).mean()
    assert error < 0.9


def test_a_few_images_make_a_reader_if_no_good_one(tmp_path: Path) -> None:
    data = load_data(str(face_file(tmp_path / "few.npz", (12, 3, 3))))
    reader = LandmarkReader(data.splits["train"], data.splits["val"])
    assert reader.read(data.splits["test"][:]["image"]).shape == (3, 5, 2)
