"""A study of frozen h: what is stored and trained, what is kept, and what its tables say."""

import csv
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from repr_toolkit.analyses.frozen import run_frozen, study
from repr_toolkit.analyses.frozen.study import WRITTEN
from repr_toolkit.analyses.frozen.variants import (
    folder_name,
    standardised,
    store,
    study_of,
    validate_every,
)
from repr_toolkit.analyses.information.controls import coordinate_bits
from repr_toolkit.config.build import build
from repr_toolkit.config.recipe import apply_settings, complete, variants
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.augment import Augmentation
from repr_toolkit.data.binarise import Draw, DrawnIndices
from repr_toolkit.representations import Representation, represent
from repr_toolkit.representations.thumbnail import last_of_blocks
from repr_toolkit.runs.kept import kept_in, read_kept
from repr_toolkit.runs.metrics import read_metrics
from repr_toolkit.runs.run import Run, data_arguments, load_with_decoder
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
        "training": {"steps": 4, "validate_every": 4, "pictures": 0},
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


@pytest.mark.parametrize("conditioning", ["vector", "positional", "spatial"])
def test_a_fresh_decoder_sees_h_of_any_source_alike(data: ImageData, conditioning: str) -> None:
    """Whatever the size of h, as an untrained encoder's is tiny: it enters at one size."""
    h = made("a", data)
    tiny = replace(h, h={s: 0.005 * v - 3 for s, v in h.h.items()})
    decoder = {**PIXELCNN, "init_args": {**PIXELCNN["init_args"], "conditioning": conditioning}}
    recipe = complete({**RECIPE, "model": {**RECIPE["model"], "decoder": decoder}})
    study = variants(study_of(recipe, [standardised(h)], Path(), [0], ()))
    fresh = build(study["a"], data).decoder
    x = data.splits["train"][range(20)]["image"]

    def moved(source: Representation) -> Tensor:
        """How an exchange of h moves what the decoder predicts."""
        given = torch.from_numpy(source.h["train"][:20])
        with torch.no_grad():
            return fresh.subpixel_log_prob(x, given) - fresh.subpixel_log_prob(x, given.roll(1, 0))

    seen = moved(standardised(h))
    torch.testing.assert_close(moved(standardised(tiny)), seen, rtol=1e-2, atol=1e-5)
    assert seen.square().mean() > 30**2 * moved(tiny).square().mean()


def test_no_image_is_changed_of_which_h_is_kept(
    data: ImageData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {"data.flips": True, "data.shifts": 1, "data.crops": 0.9}
    recipe = apply_settings(RECIPE, asked)
    for config in variants(study_of(recipe, [made("a", data)], Path(), [0, 1], ["a"])).values():
        assert Augmentation.of(config["data"]) is None
    monkeypatch.setattr(study, "trained_variants", lambda *_, **__: nullcontext(None))
    with pytest.raises(TypeError):  # nothing was trained
        run_frozen(recipe, tmp_path, [made("a", data)], data)
    assert "no image is mirrored, moved by up to 1 pixel, cropped" in capsys.readouterr().out


def test_pixels_that_are_sampled_are_so_once_for_every_decoder(tmp_path: Path) -> None:
    """h is of one draw: a null that saw others would learn from more images."""
    recipe = apply_settings(RECIPE, {"data.binarise": "dynamic"})
    data = load_data("digits", binarise="dynamic")
    h = made("a", data)
    store(h, data, tmp_path)
    seen = []
    for config in variants(study_of(recipe, [h], tmp_path, [0], ())).values():
        images = load_data(**data_arguments(config)).splits["train"]
        drawn = [images[DrawnIndices([*range(50)], Draw(0, step))]["image"] for step in (0, 1)]
        assert torch.equal(*drawn)
        seen.append(drawn[0])
    assert torch.equal(*seen)


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
    kept = run_frozen(RECIPE, tmp_path / "s", sources, data, seeds=[0], candidates=4, control=False)
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
    text = " ".join((tmp_path / "s" / "frozen.md").read_text("utf-8").split())
    assert "| h of another image" in text
    # h = 0 is the null itself: the same weights, trained alike.
    assert np.abs(kept.arrays["saved_bits"][names.index("silent")]).max() < 1e-3
    assert numbers["silent"]["usable"]["sign"] is None
    assert "none (1 of at least 3 seeds)" in text
    assert "No positive control was trained." in text
    assert "Noise floor: unknown, as there is one null." in text


def test_names_are_folders() -> None:
    assert folder_name("pixelcnn_m10, untrained") == "pixelcnn_m10_untrained"
    assert folder_name("resnet18.layer3") == "resnet18.layer3"
    assert folder_name("without") == "without_h"
    assert folder_name("without_m3") == "without_m3_h"


@pytest.mark.parametrize("conditioning", ["vector", "positional", "spatial"])
def test_a_null_starts_from_the_weights_of_its_source(data: ImageData, conditioning: str) -> None:
    """All of them, at its own dimension; between dimensions, all whose number is the same."""
    decoder = {**PIXELCNN, "init_args": {**PIXELCNN["init_args"], "conditioning": conditioning}}
    recipe = complete({**RECIPE, "model": {**RECIPE["model"], "decoder": decoder}})
    sources = [made("a", data), made("b", data, 5)]
    study = variants(study_of(recipe, sources, Path(), [0, 1], ()))
    assert [*study] == [
        f"{name}{seed}"
        for seed in ("", "_seed1")
        for name in ("without_m3", "without_m5", "a", "b")
    ]
    weights = {name: build(config, data).decoder.state_dict() for name, config in study.items()}
    for null, own in (("without_m3", "a"), ("without_m5", "b"), ("without_m5_seed1", "b_seed1")):
        assert all(weights[null][key].equal(value) for key, value in weights[own].items())
    alike = [k for k, v in weights["a"].items() if v.shape == weights["b"][k].shape]
    assert len(alike) > len(weights["a"]) // 2
    differ = [k for k in alike if not weights["a"][k].equal(weights["b"][k])]
    assert all("project" in key for key in differ)  # a layer on h, whose bias starts by its size
    assert not any(weights["a"][k].equal(weights["a_seed1"][k]) for k in alike if "weight" in k)


def test_a_learning_curve_has_points_enough() -> None:
    for steps, own, expected in (
        (800, 400, 100),  # eight
        (3000, 750, 750),  # the recipe's own make four
        (90, 90, 18),  # five
        (7, 7, 1),  # each
        (17, 17, 17),  # no number of points divides the steps
    ):
        assert validate_every({"steps": steps, "validate_every": own}) == expected


def test_a_study(
    data: ImageData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "s"
    sources = [made("noise", data), made("more, noise", data, 5, seed=1)]
    how: dict[str, Any] = {"masked": True, "candidates": 4, "command": "typed"}
    kept = run_frozen(RECIPE, folder, sources, data, **how)
    assert kept is not None
    assert kept.command == "typed"
    assert [result.file for result in kept_in(folder, "frozen")] == [kept.file]
    names = ["without_m3", "noise", "noise_masked", "without_m5", "more_noise"]
    names += ["more_noise_masked", "without_m16", "thumbnail"]
    runs = {p.name for p in folder.iterdir() if (p / "config.yaml").is_file()}
    assert runs == {*names, *(f"{n}_seed{s}" for n in names for s in (1, 2))}
    own, null = Run(folder / "noise"), Run(folder / "without_m3")
    assert own.config["model"]["encoder"]["class_path"].endswith(".Precomputed")
    assert null.config["model"]["encoder"]["class_path"].endswith(".Constant")
    assert own.config["model"]["decoder"]["init_args"]["h_dim"] == 3
    assert null.config["model"]["decoder"] == own.config["model"]["decoder"]
    for key in ("training", "trainer", "seed"):
        assert own.config[key] == null.config[key]
    train = [Run(folder / name).load_data().splits["train"].column("image") for name in names[:2]]
    np.testing.assert_array_equal(*train)
    for file in (folder / "frozen").iterdir():  # every source enters at one size, the control too
        size = load_data(str(file)).splits["train"].column("embedding").std(0, correction=0)
        assert ((size - 1).abs() < 1e-4).logical_or(size == 0).all()

    found = kept.numbers
    assert (found["split"], found["seeds"], found["likelihood"]) == ("test", [0, 1, 2], "exact")
    assert found["fingerprint"] == data.fingerprint
    assert "nor a bound" in found["what"]
    weights = {name: Run(folder / name).weights_digest for name in runs}
    assert found["weights_of_runs"] == weights
    every = found["sources"]
    *compared, control = every
    assert {source["name"] for source in compared} == {"noise", "more_noise"}
    assert control["name"] == "thumbnail"
    assert [source["control"] for source in every] == [False, False, True]
    assert control["minus_best"] is compared[0]["minus_best"] is None
    assert control["minus"] == {}
    bits = [source["usable"]["bits"]["value"] for source in every]
    assert bits[:2] == sorted(bits[:2], reverse=True)
    nulls = {null["dim"]: null["bits_of_seeds"] for null in found["nulls"]}
    assert [*nulls] == [3, 5, 16]
    images = data.splits["test"][:]["image"]
    for source in every:
        usable = source["usable"]["bits"]
        pairs = zip(nulls[source["dim"]], source["bits_of_seeds"], strict=True)
        assert source["usable"]["of_seeds"] == pytest.approx([n - b for n, b in pairs])
        assert usable["value"] == pytest.approx(np.mean(source["usable"]["of_seeds"]))
        over = source["usable"]["over_seeds"]
        assert over["low"] < usable["value"] < over["high"]
        assert source["usable"]["sign"] == (over["low"] > 0) - (over["high"] < 0)
        curve = source["curve"]
        assert curve["steps"] == [1, 2, 3, 4]
        for seed, saved in enumerate(curve["of_seeds"]):
            suffix = f"_seed{seed}" if seed else ""
            values = [
                read_metrics(Run(folder / f"{name}{suffix}").metrics_file)["val/bits_per_dim"]
                for name in (f"without_m{source['dim']}", source["name"])
            ]
            assert saved == pytest.approx(
                [64 * (values[0][s] - values[1][s]) for s in (1, 2, 3, 4)]
            )
        assert curve["rise"] == pytest.approx(np.diff(curve["of_seeds"])[:, -1].mean())
        assert source["cumulative"][-1] == pytest.approx(usable["value"], abs=1e-3)
        assert len(source["cumulative"]) == 64
        assert source["lower_bound"]["ceiling"] == 2
        if source["control"]:
            continue
        assert len(source["masked"]["coordinates"]) == source["dim"]
        for seed, suffix in enumerate(("", "_seed1", "_seed2")):
            run = Run(folder / f"{source['name']}_masked{suffix}")
            alone = coordinate_bits([load_with_decoder(run)], run.load_data().splits["test"])
            for part in source["masked"]["coordinates"]:
                [worth] = [p.worth.mean for p in alone.coordinates if p.name == part["name"]]
                assert part["of_seeds"][seed] == pytest.approx(worth)
            null = source["masked"]["against_own_null"]
            assert null["of_seeds"][seed] == pytest.approx(alone.against_own_null.mean)
        assert "3 training seeds" in usable["how"]
    paid = []
    for suffix in ("", "_seed1", "_seed2"):
        null = load_with_decoder(Run(folder / f"without_m16{suffix}"))
        terms = null.decoder.subpixel_log_prob(images, torch.zeros(len(images), 16))
        last = last_of_blocks((1, 8, 8), null.decoder.order)
        assert last.sum() == 16
        paid.append(-float(terms.detach()[:, last].sum(1).mean()) / np.log(2))
    assert found["control_worth"] == pytest.approx(float(np.mean(paid)), rel=1e-4)
    rows = [*csv.DictReader((folder / "frozen.csv").read_text("utf-8").splitlines())]
    assert [float(row["usable_bits"]) for row in rows] == pytest.approx(bits)
    maps = kept.arrays
    assert maps["saved_map"].shape == (3, 1, 8, 8)
    assert maps["names"].tolist() == [source["name"] for source in found["sources"]]
    assert maps["null_dims"].tolist() == [*nulls]
    np.testing.assert_allclose(maps["null_bits"].mean(2), [*nulls.values()])
    for source, other in ((0, 1), (1, 0)):
        minus = found["sources"][source]["minus"][found["sources"][other]["name"]]
        of_images = maps["saved_bits"][source] - maps["saved_bits"][other]
        assert of_images.shape == (3, 180)
        assert minus["bits"]["value"] == pytest.approx(of_images.mean())
        assert minus["of_seeds"] == pytest.approx(of_images.mean(1))
    costs = [source["shuffled_costs"]["bits"]["value"] for source in found["sources"]]
    np.testing.assert_allclose(maps["other_h_costs"].mean((1, 2)), costs)
    np.testing.assert_allclose(maps["saved_map"].sum((1, 2, 3)), bits, atol=1e-3)
    text = (folder / "frozen.md").read_text("utf-8")
    assert max(map(len, text.splitlines())) <= 100
    assert "not the mutual information, nor a bound of it" in " ".join(text.split())
    flat = " ".join(text.split())
    assert "3 training seeds; leaves out fit bias" in flat
    assert "by decoders of this family at this budget" in flat
    assert (
        "Positive control: thumbnail, the means of blocks of 2×2 pixels, standardised, saves"
        in flat
    )
    floor = [bits for of_dim in nulls.values() for bits in of_dim]
    assert f"given h = 0 lie {max(floor) - min(floor):.1f} bits apart (m = 3: " in flat
    assert flat.count("Noise floor") == 2  # beside the table, and that of single coordinates

    # The same again keeps everything; another question is answered without training.
    capsys.readouterr()
    times = {file: file.stat().st_mtime_ns for file in folder.rglob("[!.]*.*")}
    (folder / "frozen.md").unlink()
    again = run_frozen(RECIPE, folder, sources, data, **{**how, "command": "again"})
    said = capsys.readouterr().out
    assert said.count("done before") == 24
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
    more |= {"seeds": [0], "control": False}
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
