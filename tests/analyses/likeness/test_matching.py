"""The measures of likeness, against brute force and against cases whose answer is known."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from repr_toolkit.analyses.likeness.matching import (
    choose_people,
    embed_faces,
    hardest,
    match,
    nearest_images,
    similar_faces,
)
from repr_toolkit.data import ImageSplit


def random_case(faces: int = 40, people: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    person = np.arange(faces) % people
    similarity = draw.normal(size=(faces, people)).round(1)  # with ties
    similarity[np.arange(faces), person] += 0.5
    unit = draw.normal(size=(people, 5))
    return similarity, person, hardest(unit / np.linalg.norm(unit, axis=1, keepdims=True), 3)


def test_the_areas_are_those_of_scikit_learn() -> None:
    similarity, person, hard = random_case()
    found = match(similarity, person, hard)
    own = np.eye(8, dtype=bool)[person]
    assert found.auc.value == pytest.approx(roc_auc_score(own.ravel(), similarity.ravel()))
    kept = own | hard[person]
    assert found.auc_hard.value == pytest.approx(roc_auc_score(own[kept], similarity[kept]))
    assert (found.faces, found.people) == (40, 8)


def test_rank_one_counts_no_ties() -> None:
    similarity = np.array([[0.9, 0.1, 0.1], [0.5, 0.5, 0.1], [0.2, 0.3, 0.9], [0.9, 0.0, 0.1]])
    hard = ~np.eye(3, dtype=bool)
    assert match(similarity, np.array([0, 1, 2, 1]), hard).rank_1.value == 0.5


def test_perfect_likeness_is_uncertain_and_none_has_chance() -> None:
    hard = ~np.eye(30, dtype=bool)
    perfect = match(np.eye(30), np.arange(30), hard)
    assert perfect.auc.value == perfect.rank_1.value == perfect.auc_hard.value == 1
    assert 0.85 < perfect.auc.low < perfect.auc.high == 1  # of thirty people
    noise = np.random.default_rng(0).normal(size=(300, 30))
    chance = match(noise, np.arange(300) % 30, hard)
    low, high = chance.auc.low, chance.auc.high
    assert low is not None
    assert high is not None
    assert low < 0.5 < high
    assert 0.02 < high - low < 0.2


def test_the_interval_is_over_people_and_not_faces() -> None:
    """Many faces of the same few people make nothing more certain."""
    draw = np.random.default_rng(0)
    of_people = draw.normal(size=(10, 10)) + np.eye(10)
    hard = ~np.eye(10, dtype=bool)
    one, other = (
        match(np.tile(of_people, (copies, 1)), np.tile(np.arange(10), copies), hard).auc
        for copies in (20, 40)
    )
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_few_people_have_no_interval() -> None:
    for people, enough in ((2, False), (4, False), (5, True)):
        found = match(np.eye(people), np.arange(people), ~np.eye(people, dtype=bool))
        for number in (found.auc, found.rank_1, found.auc_hard):
            assert (number.low is not None) == enough


def test_matching_needs_people_to_tell_apart() -> None:
    with pytest.raises(ValueError, match="two people"):
        match(np.ones((3, 1)), np.zeros(3, dtype=np.int64), np.zeros((1, 1), dtype=bool))
    with pytest.raises(ValueError, match="hard to tell"):
        match(np.ones((2, 2)), np.arange(2), np.eye(2, dtype=bool))


def test_the_hardest_are_the_most_similar() -> None:
    angles = np.radians([0, 10, 25, 90, 100])
    hard = hardest(np.stack([np.cos(angles), np.sin(angles)], axis=1), 1)
    assert hard.argmax(1).tolist() == [1, 0, 1, 4, 3]
    assert (hard.sum(1) == 1).all()
    assert not hardest(np.eye(3), 10).diagonal().any()


def test_similar_faces_by_rank() -> None:
    angles = np.radians([10, 50, 90])
    others = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    source = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert similar_faces(source, others, [0, 0]).tolist() == [0, 2]
    assert similar_faces(source, others, [2, 1]).tolist() == [2, 1]


def test_nearest_images() -> None:
    others = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    others[1] = 100
    others[2] = 200
    index, distance = nearest_images(torch.full((1, 1, 2, 2), 120, dtype=torch.uint8), others)
    assert index.tolist() == [1]
    assert distance == pytest.approx([20 / 255])


def test_embeddings_are_unit_vectors_in_order() -> None:
    images = torch.arange(1, 6, dtype=torch.uint8)[:, None, None, None].expand(5, 1, 2, 2)
    found = embed_faces(lambda x: torch.stack([x[:, 0, 0, 0], 0 * x[:, 0, 0, 0] + 3], 1), images)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(5))
    assert found[:, 0] / found[:, 1] == pytest.approx(np.arange(1, 6) / 3)
    batched = embed_faces(
        lambda x: torch.stack([x[:, 0, 0, 0], 0 * x[:, 0, 0, 0] + 3], 1), images, batch_size=2
    )
    np.testing.assert_array_equal(batched, found)


def test_embeddings_are_in_full_precision() -> None:
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    images = torch.tensor([[37, 5, 201, 9], [1, 2, 3, 4]], dtype=torch.uint8)[:, :, None, None]

    def embed(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).float() @ weight

    with torch.autocast("cpu", torch.bfloat16):
        found = embed_faces(embed, images)
    np.testing.assert_array_equal(found, embed_faces(embed, images))


def test_people_with_two_photographs_are_chosen() -> None:
    identity = np.array([3, 0, 3, 1, 1, 2, 3])
    arrays = {"image": np.zeros((7, 1, 2, 2), np.uint8), "identity": identity}
    split = ImageSplit(arrays, np.arange(7), 256)
    assert choose_people(split) == ([3, 0], [4, 2])
    with pytest.raises(ValueError, match="two people"):
        choose_people(ImageSplit(arrays, np.arange(3), 256))
