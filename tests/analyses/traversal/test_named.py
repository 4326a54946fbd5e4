"""What a user calls a class, an attribute or a direction is found, or told what there is."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from repr_toolkit.analyses.traversal.directions import mean_difference
from repr_toolkit.analyses.traversal.named import default_directions, find_directions
from repr_toolkit.data import ImageData
from repr_toolkit.data.attributes import find_attribute
from toys.data import cloud


def data(**more: np.ndarray) -> ImageData:
    images = np.zeros((12, 1, 2, 2), np.uint8)
    labels = np.array([2, 5, 2, 5, 2, 5, 2, 5, 2, 5, 2, 5])
    rows = {"train": np.arange(6), "val": np.arange(6, 9), "test": np.arange(9, 12)}
    names = {"label": ("a", "b", "cat", "d", "e", "7")}
    return ImageData("tiny", {"image": images, "label": labels, **more}, rows, names=names)


def test_attributes_by_name_code_and_key() -> None:
    smile = np.array([0, 1, 1, 0] * 3)
    signed = np.array([-1, 1, 1, -1] * 3)
    many = np.arange(12)
    half = np.array([0, 0.5] * 6)
    found = data(smile=smile, signed=signed, many=many, identity=many % 3, half=half)

    def known(text: str) -> tuple[str, int]:
        attribute = find_attribute(found, text)
        assert attribute.name == text
        return attribute.key, attribute.code

    assert known("cat") == ("label", 2)
    assert known("7") == ("label", 5)  # the class of that name
    assert known("smile") == ("smile", 1)
    assert known("signed") == ("signed", 1)
    assert known("signed=-1") == ("signed", -1)
    assert known("many=3") == ("many", 3)
    assert known("label=cat") == ("label", 2)
    assert known("identity=1") == ("identity", 1)
    flags = find_attribute(found, "smile").flags(found, "train", [0, 1, 2])
    assert flags.tolist() == [False, True, True]
    for text, told in (
        ("laugh", "neither a class nor an attribute 'laugh'; its keys .* image|label, smile"),
        ("many", "'many' has 6 values in tiny, not two; say which is meant, as many=VALUE"),
        ("many=99", "no many=99"),
        ("2", "neither a class nor an attribute '2'; .*its labels a, b, cat"),  # a code
        ("label=2", "no label=2; .*its labels a, b, cat"),
        ("9", "its labels a, b, cat"),
        ("²", "neither a class nor an attribute '²'"),
        ("half", "'half' has the values 0.0 and 0.5 in tiny, which are not whole numbers"),
    ):
        with pytest.raises(ValueError, match=told):
            find_attribute(found, text)


def test_attributes_that_are_columns_of_a_key() -> None:
    numbers = np.arange(12)
    flags = np.stack([numbers % 3 == 0, numbers % 2, numbers % 3], 1)
    found = data(attributes=flags, truth=flags[:, :1] == 1)
    for text, key, code in (
        ("attributes[0]", "attributes[0]", 1),
        ("attributes[0]=0", "attributes[0]", 0),
        ("attributes[2]=2", "attributes[2]", 2),
        ("truth[0]", "truth[0]", 1),
    ):
        attribute = find_attribute(found, text)
        assert (attribute.key, attribute.code) == (key, code)
    wanted = found.splits["train"].column("attributes").numpy()[:, 1] == 1
    indices = list(range(len(wanted)))
    assert (find_attribute(found, "attributes[1]").flags(found, "train", indices) == wanted).all()
    for text, told in (
        ("attributes[3]", r"'attributes' has attributes\[0\] to attributes\[2\]"),
        ("attributes[3]=1", r"there is no attributes\[3\]"),
        ("attributes[0]=7", r"has no attributes\[0\]=7"),
        ("attributes[2]", "values in tiny, not two; say which"),
        ("attributes", r"one value an image are label, attributes\[0\] to attributes\[2\]"),
        ("label[0]", "'label' is one number an image"),
    ):
        with pytest.raises(ValueError, match=told):
            find_attribute(found, text)
    h = {split: cloud(len(part)) for split, part in found.splits.items()}
    rows = {split: list(range(len(part))) for split, part in found.splits.items()}
    [(direction, _)] = find_directions(["mean:attributes[1]"], found, h, rows)
    means = [h["train"][wanted == flag].mean(0) for flag in (False, True)]
    np.testing.assert_allclose(direction.vector * direction.scale, means[1] - means[0], atol=1e-5)


def test_directions_by_their_texts() -> None:
    found = data()
    h = {"train": cloud(6), "val": cloud(3, 1)}
    indices = {"train": list(range(6)), "val": list(range(3))}
    [(direction, attribute)] = find_directions(["coordinate:3"], found, h, indices)
    assert (direction.name, attribute) == ("coordinate 3", None)
    for kind in ("mean", "probe"):
        [(direction, attribute)] = find_directions([f"{kind}:cat"], found, h, indices)
        assert attribute is not None
        assert (direction.name, attribute.code) == (f"{kind} cat", 2)
    cats = np.array([True, False] * 3)
    np.testing.assert_array_equal(
        find_directions(["mean:cat"], found, h, indices)[0][0].vector,
        mean_difference(h["train"], cats, "cat").vector,
    )
    for spec in ("smile", "principal:x", "principal:²", "mean:", "sideways:3", ""):
        with pytest.raises(ValueError, match="names no direction"):
            find_directions([spec], found, h, indices)
    assert default_directions(found, 2) == ["principal:0", "principal:1", "mean:cat", "mean:7"]
    # A class by its name alone, unless that means something else.
    for cat in (np.array([0, 1] * 6), np.arange(12)):
        assert default_directions(data(cat=cat), 1)[1:] == ["mean:label=cat", "mean:7"]


def test_principal_directions_are_of_one_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    found, fits, fit = data(), [], PCA.fit
    monkeypatch.setattr(PCA, "fit", lambda pca, x: (fits.append(pca.n_components), fit(pca, x))[1])
    h = {"train": cloud(6), "val": cloud(3, 1)}
    specs = ["principal:2", "mean:cat", "principal:0", "principal:1"]
    indices = {"train": list(range(6)), "val": list(range(3))}
    names = [direction.name for direction, _ in find_directions(specs, found, h, indices)]
    assert names == ["principal 2", "mean cat", "principal 0", "principal 1"]
    assert fits == [3]
