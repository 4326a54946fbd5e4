"""A study of frozen h: what is stored and trained, what is kept, and what its tables say."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repr_toolkit.analyses.frozen import run_frozen, study
from repr_toolkit.analyses.frozen.study import WRITTEN
from repr_toolkit.analyses.frozen.variants import folder_name, standardised, store
from repr_toolkit.analyses.information.controls import coordinate_bits
from repr_toolkit.config.recipe import complete
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.representations import Representation, represent
from repr_toolkit.runs.kept import kept_in, read_kept
from repr_toolkit.runs.run import Run, load_with_decoder
from toys.decoders import PIXELCNN


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_data("digits")


def made(name: str, data: ImageData, width: int = 3, seed: int = 0) -> Representation:
    draw = np.random.default_rng(seed)
    h = {
        split: draw.normal(5, 3, (len(images), width)).astype(np.float32)
        for split, images in data.splits.items()
    }
    return Representation(name, f"maker of {name} {seed}", data.fingerprint, data.levels, h)


RECIPE = complete(
    {
        "data": {"source": "digits", "batch_size": 8},
        "model": {
            "encoder": {"class_path": "repr_toolkit.encoders.OneHot"},
            "decoder": PIXELCNN,
        },
        "training": {"steps": 2, "validate_every": 2, "pictures": 0},
        "trainer": {"accelerator": "cpu", "devices": 1},
    }
)


def test_h_is_standardised_by_training_images(data: ImageData) -> None:
    h = made("a", data)
    np.asarray(h.h["train"])[:, 1] = 7.1
    found = standardised(h)
    np.testing.assert_allclose(found.h["train"].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(found.h["train"].std(0), [1, 0, 1], atol=1e-5)
    expected = (h.h["test"][:, 0] - h.h["train"][:, 0].mean()) / h.h["train"][:, 0].std()
    np.testing.assert_allclose(found.h["test"][:, 0], expected, rtol=1e-4, atol=1e-5)
    assert not found.h["test"][:, 1].any()  # a constant is no information
    assert found.made_by == "maker of a 0, standardised"


def test_what_is_stored_is_a_data_file_of_the_same_images(data: ImageData, tmp_path: Path) -> None:
    coarse = data.quantised(4)
    h = Representation("a", "me", data.fingerprint, 4, made("a", data).h)
    file = tmp_path / "a.npz"
    store(h, coarse, tmp_path)
    again = load_data(str(file))
    assert (again.levels, again.encoder) == (4, "me")
    assert set(again.arrays) == {*data.arrays, "embedding"}  # labels and all
    for split, images in coarse.splits.items():
        np.testing.assert_array_equal(again.splits[split].column("image"), images.column("image"))
        np.testing.assert_array_equal(again.splits[split].column("embedding"), h.h[split])
    before = file.stat().st_mtime_ns
    store(h, coarse, tmp_path)
    assert file.stat().st_mtime_ns == before
    other = Representation("a", "me", data.fingerprint, 4, made("a", data, seed=1).h)
    with pytest.raises(ValueError, match=r"a\.npz holds another h than a is now"):
        store(other, coarse, tmp_path)
    with pytest.raises(ValueError, match="levels"):
        store(replace(h, name="b"), data, tmp_path)


def test_where_most_h_are_one_another_s_is_counted_where_it_is_another(
    data: ImageData, tmp_path: Path
) -> None:
    nought = {s: (i.column("label") == 0).numpy()[:, None] for s, i in data.splits.items()}
    sources = [
        replace(made(name, data), h={s: h.astype(np.float32) for s, h in values.items()})
        for name, values in (
            ("nought", nought),
            ("silent", {split: 0 * h for split, h in nought.items()}),
        )
    ]
    kept = run_frozen(RECIPE, tmp_path / "s", sources, data, seeds=[0], candidates=4)
    assert kept is not None
    numbers = {source["name"]: source for source in kept.numbers["sources"]}
    names = kept.arrays["names"].tolist()
    costs = kept.arrays["other_h_costs"][names.index("nought"), 0]
    counted = ~np.isnan(costs)
    assert 0.1 < counted.mean() < 0.3
    assert costs[counted].all()
    assert numbers["nought"]["shuffled_costs"]["bits"]["value"] == pytest.approx(np.nanmean(costs))
    assert np.isnan(kept.arrays["other_h_costs"][names.index("silent")]).all()
    assert "shuffled_costs" not in numbers["silent"] or numbers["silent"]["shuffled_costs"] is None
    assert "| h of another image" in (tmp_path / "s" / "frozen.md").read_text("utf-8")


def test_names_are_folders() -> None:
    assert folder_name("pixelcnn_m10, untrained") == "pixelcnn_m10_untrained"
    assert folder_name("resnet18.layer3") == "resnet18.layer3"
    assert folder_name("without") == "without_h"


def test_a_study(
    data: ImageData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "s"
    sources = [made("noise", data), made("more, noise", data, 5, seed=1)]
    how: dict[str, Any] = {"seeds": [0, 4], "masked": True, "candidates": 4, "command": "typed"}
    kept = run_frozen(RECIPE, folder, sources, data, **how)
    assert kept is not None
    assert kept.command == "typed"
    assert [result.file for result in kept_in(folder, "frozen")] == [kept.file]
    names = ["without", "noise", "noise_masked", "more_noise", "more_noise_masked"]
    runs = {p.name for p in folder.iterdir() if (p / "config.yaml").is_file()}
    assert runs == {*names, *(f"{name}_seed4" for name in names)}
    own, null = Run(folder / "noise"), Run(folder / "without")
    assert own.config["model"]["encoder"]["class_path"].endswith(".Precomputed")
    assert null.config["model"]["encoder"]["class_path"].endswith(".Constant")
    assert own.config["model"]["decoder"]["init_args"]["h_dim"] == 3
    for key in ("training", "trainer", "seed"):
        assert own.config[key] == null.config[key]
    train = [Run(folder / name).load_data().splits["train"].column("image") for name in names[:2]]
    np.testing.assert_array_equal(*train)

    found = kept.numbers
    assert (found["split"], found["seeds"], found["likelihood"]) == ("test", [0, 4], "exact")
    assert found["fingerprint"] == data.fingerprint
    assert "nor a bound" in found["what"]
    weights = {name: Run(folder / name).weights_digest for name in runs}
    assert found["weights_of_runs"] == weights
    assert {source["name"] for source in found["sources"]} == {"noise", "more_noise"}
    bits = [source["usable"]["bits"]["value"] for source in found["sources"]]
    assert bits == sorted(bits, reverse=True)
    for source in found["sources"]:
        assert len(source["usable"]["of_seeds"]) == 2
        usable = source["usable"]["bits"]
        assert usable["value"] == pytest.approx(found["null_bits"] - source["bits"])
        pairs = zip(found["null_bits_of_seeds"], source["bits_of_seeds"], strict=True)
        assert source["usable"]["of_seeds"] == pytest.approx([n - b for n, b in pairs])
        assert source["cumulative"][-1] == pytest.approx(usable["value"], abs=1e-3)
        assert len(source["cumulative"]) == 64
        assert source["lower_bound"]["ceiling"] == 2
        assert len(source["masked"]["coordinates"]) == source["dim"]
        for seed, suffix in enumerate(("", "_seed4")):
            run = Run(folder / f"{source['name']}_masked{suffix}")
            alone = coordinate_bits([load_with_decoder(run)], run.load_data().splits["test"])
            for part in source["masked"]["coordinates"]:
                [worth] = [p.worth.mean for p in alone.coordinates if p.name == part["name"]]
                assert part["of_seeds"][seed] == pytest.approx(worth)
            null = source["masked"]["against_own_null"]
            assert null["of_seeds"][seed] == pytest.approx(alone.against_own_null.mean)
        assert "2 training seeds" in usable["how"]
    rows = [*csv.DictReader((folder / "frozen.csv").read_text("utf-8").splitlines())]
    assert [float(row["usable_bits"]) for row in rows] == pytest.approx(bits)
    maps = kept.arrays
    assert maps["saved_map"].shape == (2, 1, 8, 8)
    assert maps["names"].tolist() == [source["name"] for source in found["sources"]]
    np.testing.assert_allclose(maps["null_bits"].mean(1), found["null_bits_of_seeds"])
    for source, other in ((0, 1), (1, 0)):
        minus = found["sources"][source]["minus"][found["sources"][other]["name"]]
        of_images = maps["saved_bits"][source] - maps["saved_bits"][other]
        assert of_images.shape == (2, 180)
        assert minus["bits"]["value"] == pytest.approx(of_images.mean())
        assert minus["of_seeds"] == pytest.approx(of_images.mean(1))
    costs = [source["shuffled_costs"]["bits"]["value"] for source in found["sources"]]
    np.testing.assert_allclose(maps["other_h_costs"].mean((1, 2)), costs)
    np.testing.assert_allclose(maps["saved_map"].sum((1, 2, 3)), bits, atol=1e-3)
    text = (folder / "frozen.md").read_text("utf-8")
    assert max(map(len, text.splitlines())) <= 100
    assert "not the mutual information, nor a bound of it" in " ".join(text.split())
    assert "2 training seeds; leaves out fit bias" in " ".join(text.split())

    # The same again keeps everything; another question is answered without training.
    capsys.readouterr()
    times = {file: file.stat().st_mtime_ns for file in folder.rglob("*.*")}
    (folder / "frozen.md").unlink()
    again = run_frozen(RECIPE, folder, sources, data, **{**how, "command": "again"})
    said = capsys.readouterr().out
    assert said.count("done before") == 10
    assert "measured before" in said
    assert again is not None
    assert (again.when, again.command) == (kept.when, "typed")
    shown = {folder / f"frozen{suffix}" for suffix in WRITTEN}
    assert (folder / "frozen.md").read_text("utf-8") == text
    for file, time in times.items():
        assert file in shown or file.stat().st_mtime_ns == time
    folder = folder.rename(tmp_path / "moved")
    times = {folder / file.relative_to(tmp_path / "s"): time for file, time in times.items()}
    logged: dict[str, Any] = {}
    monkeypatch.setattr(
        study,
        "log_sections",
        lambda sections, folder, **to: logged.update(to, of=sections, folder=folder),
    )
    more: dict[str, Any] = {"masked": True, "split": "val", "candidates": 4, "wandb": True}
    run_frozen(RECIPE, folder, sources[:1], data, **more)
    [section] = logged["of"]
    assert {block.kind for block in section.blocks} == {"table", "picture", "chart", "notes"}
    assert (logged["folder"], logged["group"], logged["name"]) == (folder, "moved", "frozen")
    moved, _ = represent(str(folder / "noise"))
    assert moved.h["test"].shape == (180, 3)
    other = read_kept(folder / "frozen.json").numbers
    assert (other["split"], len(other["sources"])) == ("val", 1)
    assert [result.asked["split"] for result in kept_in(folder, "frozen")] == ["val", "test"]
    assert all((folder / f"frozen{suffix}").is_file() for suffix in WRITTEN)
    for name in runs:
        file = Run(folder / name).weights_file
        assert times[file] == file.stat().st_mtime_ns


def test_what_cannot_be_studied(data: ImageData, tmp_path: Path) -> None:
    h = made("a", data)
    with pytest.raises(ValueError, match="name one or more sources"):
        run_frozen(RECIPE, tmp_path / "s", [], data)
    with pytest.raises(ValueError, match="two sources are called a"):
        run_frozen(RECIPE, tmp_path / "s", [h, h], data)
    with pytest.raises(ValueError, match="no split 'valid'"):
        run_frozen(RECIPE, tmp_path / "s", [h], data, split="valid")
    other = Representation("a", "me", "other", data.levels, h.h)
    with pytest.raises(ValueError, match="fingerprint"):
        run_frozen(RECIPE, tmp_path / "s", [other], data)
    alone = {**RECIPE, "model": {**RECIPE["model"], "decoder": None}}
    with pytest.raises(ValueError, match=r"give a recipe with a model\.decoder"):
        run_frozen(alone, tmp_path / "s", [h], data)
