"""Recipes and settings: what is accepted, completed, and refused with which words."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from repr_toolkit.config.recipe import (
    apply_settings,
    complete,
    differences,
    list_recipes,
    load_recipe,
    variants,
)
from repr_toolkit.config.yaml_text import parse_yaml

RAW: dict[str, Any] = {
    "data": {"source": "digits"},
    "model": {"decoder": {"class_path": "a.B", "init_args": {"features": 3}}},
}


def test_defaults_are_filled_in_and_the_given_is_left_alone() -> None:
    raw = deepcopy(RAW)
    config = complete(raw)
    assert raw == RAW
    assert config["model"]["encoder"] is None
    assert config["training"]["optimizer"]["class_path"] == "torch.optim.Adam"
    assert config["data"]["batch_size"] == 32
    assert complete(config) == config


def test_a_recipe_survives_yaml(tmp_path: Path) -> None:
    config = complete(RAW)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(config))
    config["data"]["place"] = str(tmp_path)
    assert load_recipe(file) == config


@pytest.mark.parametrize("name", list_recipes())
def test_packaged_recipes_are_whole(name: str) -> None:
    config = load_recipe(name)
    assert all(config["about"].values())
    if "study" in config:
        assert len(variants(config)) == len(config["study"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"training.stepz": 3},
            r"unknown setting training\.stepz \(did you mean training\.steps\?",
        ),
        ({1: 2}, "unknown setting 1: it is no text"),
        ({"model.encodr": 3}, r"unknown setting model\.encodr \(did you mean model\.encoder\?"),
        ({"steps": 3}, r"unknown setting steps \(did you mean training\.steps\?"),
        ({"model.decoder.features": 3}, r"did you mean model\.decoder\.init_args\.features\?"),
        ({"model.decoder.feature": 3}, r"did you mean model\.decoder\.init_args\.features\?"),
        ({"model.decoder.dropout": 3}, r"did you mean model\.decoder\.init_args\.dropout\?"),
        ({"training.optimizer.lr": 3}, r"did you mean training\.optimizer\.init_args\.lr\?"),
        (
            {
                "model.decoder.init_args.inner.class_path": "a.C",
                "model.decoder.init_args.inner.n": 3,
            },
            r"unknown setting .*inner\.n \(did you mean model\.decoder.*inner\.init_args\.n",
        ),
        ({"trainer.": 3}, "unknown setting trainer"),
        ({"training.steps": "many"}, r"training\.steps.*many"),
        ({"training.steps": "-5"}, r"training\.steps .* from 1 to 2147483647, not -5"),
        ({"training.steps": 700}, r"training\.steps \(700\) is not a multiple"),
        ({"training.ema_decay": 1}, r"training\.ema_decay is in \[0, 1\)"),
        ({"training.schedule": "cosin"}, r"training\.schedule.*cosin"),
        ({"data.levels": "1"}, r"data\.levels is 2…256, not 1"),
        ({"data.source": None}, r"data\.source is missing"),
        ({"model.decoder": None}, r"model\.decoder is missing"),
        ({"model.decoder": {"init_args": {}}}, r"model\.decoder\.class_path is missing"),
        ({"model.encoder.init_args.h_dim": 3}, r"model\.encoder\.init_args is not in this recipe"),
        ({"model.decoder.init_args.a.b": 3}, r"model\.decoder\.init_args\.a is not in this recipe"),
        ({"training.steps.a": 3}, r"unknown setting training\.steps\.a"),
        (
            {"trainer.max_epochs": 3},
            r"trainer\.max_epochs cannot be set: .*training\.steps",
        ),
        ({"trainer.logger": True}, r"trainer\.logger cannot be set: .*--wandb"),
        ({"seed": "x"}, "seed is a whole number"),
        ({"data.workers": "1000"}, r"data\.workers is a whole number from 0 to 256, not 1000"),
        ({"data.batch_size": "9999999"}, r"data\.batch_size is .* from 1 to 1048576, not 9999999"),
        ({"data.size": "[1"}, r"data\.size: '\[1' is no valid YAML"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply_settings(complete(RAW), settings)


def test_settings_are_yaml_and_make_a_new_config() -> None:
    config = complete(RAW)
    before = deepcopy(config)
    changed = apply_settings(
        config,
        {
            "training.steps": "1000",
            "training.optimizer.init_args.lr": "1e-3",
            "data.levels": "null",
            "data.download": "true",
            "model.encoder": "{class_path: c.D, init_args: {h_dim: 4}}",
            "model.encoder.init_args.h_dim": "5",
            "model.encoder.init_args.inner": "{class_path: c.E, init_args: {n: 1}}",
            "model.encoder.init_args.inner.init_args.n": "2",
            "trainer.precision": "bf16-mixed",
        },
    )
    assert config == before
    assert changed["training"]["optimizer"]["init_args"]["lr"] == 1e-3
    assert changed["data"]["levels"] is None
    assert changed["data"]["download"] is True
    inner = {"class_path": "c.E", "init_args": {"n": 2}}
    arguments = {"h_dim": 5, "inner": inner}
    assert changed["model"]["encoder"] == {"class_path": "c.D", "init_args": arguments}
    assert changed["trainer"] == {"precision": "bf16-mixed"}
    assert differences(config, changed) == ["model.encoder", "trainer.precision"]


def test_another_class_drops_the_arguments_of_the_one_before() -> None:
    inner = {"class_path": "c.Inner", "init_args": {"n": 1}}
    model = {
        "encoder": {"class_path": "a.Old", "init_args": {"h_dim": 4, "inner": inner}},
        "decoder": {"class_path": "a.B", "init_args": {"features": 3, "inner": inner}},
    }
    optimizer = {
        "class_path": "torch.optim.SGD",
        "init_args": {"momentum": 0.9},
        "groups": [{"match": 2, "options": {"nesterov": True}}],
    }
    config = complete({**RAW, "model": model, "training": {"optimizer": optimizer}})
    changed = apply_settings(
        config,
        {
            # In any order: it is the new class's argument.
            "model.encoder.init_args.width": "7",
            "model.encoder.class_path": "b.New",
            "model.decoder.init_args.inner.class_path": "c.Other",
            "training.optimizer.class_path": "torch.optim.Adam",
        },
    )
    assert changed["model"]["encoder"] == {"class_path": "b.New", "init_args": {"width": 7}}
    other = {"class_path": "c.Other", "init_args": {}}
    assert changed["model"]["decoder"]["init_args"] == {"features": 3, "inner": other}
    adam = {"class_path": "torch.optim.Adam", "init_args": {}, "groups": []}
    assert changed["training"]["optimizer"] == adam
    same = apply_settings(config, {"model.encoder.class_path": "a.Old"})
    assert same == config
    bare = apply_settings(complete(RAW), {"model.encoder.class_path": "b.New"})
    assert bare["model"]["encoder"] == {"class_path": "b.New", "init_args": {}}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({**RAW, "modle": {}}, r"unknown key modle \(did you mean model\?\)"),
        (
            {**RAW, "data": {"source": "digits", "level": 3}},
            r"unknown key data\.level \(did you mean levels\?",
        ),
        ({**RAW, "data": 3}, "data is a mapping"),
        (
            {**RAW, "study": {"a": {"training.stps": 1}}},
            r"study\.a: unknown setting training\.stps",
        ),
        ({**RAW, "study": {"../a": {}}}, r"study\.\.\./a: a variant's name"),
        ({"data": {"source": "digits"}}, r"model\.decoder is missing"),
    ],
)
def test_recipes_that_cannot_be(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        complete(raw)


def test_unknown_recipe_names_the_closest_and_all() -> None:
    with pytest.raises(FileNotFoundError, match=r"did you mean bottleneck_mnist5k\?.*gated_"):
        load_recipe("botleneck_mnist5k")


@pytest.mark.parametrize(
    "text", ["[1, 2]", "a: [", "seed: 1\nseed: 2", "a: !!python/name:os.system"]
)
def test_files_that_are_no_recipe(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"broken\.yaml"):
        load_recipe(file)


def test_yaml_numbers() -> None:
    assert parse_yaml("[1e-3, -2E4, 1.5e2, 3, e3]") == [1e-3, -2e4, 150.0, 3, "e3"]


def test_variants_replace_a_whole_class_and_leave_the_base() -> None:
    study = {"a": {"model.decoder": {"class_path": "c.D"}}, "b": {"seed": 3}}
    config = complete({**RAW, "study": study})
    found = variants(config)
    assert found["a"]["model"]["decoder"] == {"class_path": "c.D", "init_args": {}}
    assert found["b"]["seed"] == 3
    assert found["b"]["model"] == config["model"]
    assert all("study" not in variant for variant in found.values())


def test_differences_ignore_what_changes_no_result() -> None:
    config = complete(RAW)
    moved = apply_settings(
        config, {"data.root": "/elsewhere", "data.workers": 3, "about.what": "x"}
    )
    assert differences(config, moved) == []
    assert differences(config, apply_settings(config, {"seed": 1})) == ["seed"]


def test_reading_a_recipe_imports_nothing_heavy() -> None:
    code = (
        "import sys; from repr_toolkit.config.recipe import load_recipe, list_recipes;"
        "[load_recipe(name) for name in list_recipes()];"
        "heavy = {'torch', 'lightning', 'wandb', 'sklearn'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
