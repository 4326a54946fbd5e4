"""Parts of a representation: principal components, and what its encoder gives a name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repr_toolkit.analyses.probing.columns import gather
from repr_toolkit.data import ImageData
from repr_toolkit.representations import Representation, Source, represent
from repr_toolkit.representations.parts import part_of
from toys.flows import LOGISTIC, Logistic
from toys.runs import untrained_run


def test_a_source_says_what_part_of_it_is_meant() -> None:
    source = Source.parse("small=pca10:untrained:runs/a")
    assert (source.name, source.part, source.whole) == ("small", "pca10", "untrained:runs/a")
    assert (source.kind, source.path, source.untrained, source.fitted) == (
        "run",
        "runs/a",
        True,
        True,
    )
    plain = Source("untrained:runs/a")
    assert (plain.part, plain.whole, plain.fitted) == ("", plain.text, False)
    scale = Source("scale1:runs/a")
    assert not scale.fitted
    assert scale.with_path("runs/b", untrained=True).text == "scale1:untrained:runs/b"
    assert Source("pca").fitted


def test_principal_components_are_those_of_the_training_images(data: ImageData) -> None:
    h, _ = represent("pca3:pixels", data)
    train = data.splits["train"][:]["image"].flatten(1).double().numpy() / 16
    axes = np.linalg.svd(train - train.mean(0))[2][:3]
    for split, values in h.h.items():
        images = data.splits[split][:]["image"].flatten(1).numpy() / 16
        wanted = (images - train.mean(0)) @ axes.T
        assert values.dtype == np.float32
        np.testing.assert_allclose(np.abs(values), np.abs(wanted), atol=1e-4)
    assert (h.name, h.made_by, h.dim) == ("pixels.pca3", "pixels, pca3", 3)


def test_parts_have_the_names_that_the_encoder_gives_them(data: ImageData) -> None:
    h, _ = represent("pixels", data)
    named = replace(h, parts={"top": slice(0, 8)})
    top = part_of(named, "top")
    assert top.dim == 8
    np.testing.assert_array_equal(top.h["val"], h.h["val"][:, :8])
    with pytest.raises(ValueError, match="has no part 'scale9', only top, pca1 to pca20"):
        part_of(named, "scale9")
    with pytest.raises(ValueError, match="has 20 principal components, not 21"):
        part_of(named, "pca21")


def test_z_and_its_scales_are_representations(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "flow", encoder=None, decoder=LOGISTIC)
    whole, data = represent(str(run.path))
    assert isinstance(whole, Representation)
    assert whole.dim == 64
    assert whole.made_by.startswith("Logistic ")
    assert whole.made_by.endswith(" of 1×8×8 images")
    first, _ = represent(f"scale1:{run.path}", data)
    rest, _ = represent(f"scale2:{run.path}", data)
    for split in data.splits:
        np.testing.assert_array_equal(
            np.concatenate([first.h[split], rest.h[split]], 1), whole.h[split]
        )
    untrained, _ = represent(f"untrained:{run.path}", data)
    np.testing.assert_array_equal(untrained.h["test"], whole.h["test"])  # it never was


def test_a_path_with_a_colon_names_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Source("all:runs/a").part == "all"
    Path("all:runs/a").mkdir(parents=True)
    assert (Source("all:runs/a").part, Source("all:runs/a").path) == ("", "all:runs/a")
    assert Source("C:/runs/a").part == ""


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("untraind", "no part 'untraind', only scale1, scale2, pca1 to pca64"),
        ("pca65", "has 64 principal components, not 65"),
    ],
)
def test_a_part_that_there_is_not_is_an_error_before_anything_is_encoded(
    part: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = untrained_run(tmp_path / "flow", encoder=None, decoder=LOGISTIC)
    monkeypatch.setattr(Logistic, "encode", lambda flow, x: pytest.fail("it was encoded"))
    with pytest.raises(ValueError, match=told):
        represent(f"{part}:{run.path}")
    with pytest.raises(ValueError, match=told):
        gather([str(run.path), f"{part}:{run.path}"])
