"""Recipes with all that can be set in them: themselves recipes, of the same models."""

from typing import Any

import pytest

from repr_toolkit.config.defaults import with_defaults
from repr_toolkit.config.recipe import complete, list_recipes, load_recipe, variants
from repr_toolkit.config.trainer import DEFAULTS
from repr_toolkit.config.yaml_text import parse_yaml, to_yaml
from repr_toolkit.models.assemble import assemble
from toys.decoders import PIXELCNN
from toys.runs import MUON, small, small_metric


class Shape:
    image_shape = (1, 8, 8)
    levels = 17


@pytest.mark.parametrize("name", list_recipes())
def test_of_a_packaged_recipe(name: str) -> None:
    recipe = load_recipe(name)
    filled = complete(parse_yaml(to_yaml(with_defaults(recipe))))
    assert {*filled["trainer"]} == {*DEFAULTS}
    for part in ("about", "data", "seed"):
        assert filled[part] == recipe[part]
    for part in filter(None, map(filled["model"].get, ("encoder", "decoder"))):
        assert "image_shape" not in part["init_args"]
    if "study" in recipe:
        assert [*variants(filled)] == [*variants(recipe)]


@pytest.mark.parametrize(
    "config",
    [
        small(),
        small_metric(),
        small(
            training__optimizer=MUON,
            model__encoder={
                "class_path": "repr_toolkit.encoders.ConvBottleneck",
                "init_args": {"h_dim": 2},
            },
            model__decoder=PIXELCNN,
        ),
    ],
    ids=["small", "metric", "pixelcnn"],
)
def test_they_make_the_same_model(config: dict[str, Any]) -> None:
    filled = complete(parse_yaml(to_yaml(with_defaults(config))))
    assert assemble(filled, Shape()).config["model"] == assemble(config, Shape()).config["model"]
    given = config["training"]["optimizer"]["init_args"]
    assert filled["training"]["optimizer"]["init_args"].items() >= given.items()
    assert len(filled["training"]["optimizer"]["init_args"]) > len(given)


def test_what_is_named_must_be_there() -> None:
    with pytest.raises(
        ImportError, match=r"model\.decoder\.class_path.*did you mean GatedPixelCNN"
    ):
        with_defaults(small(model__decoder={"class_path": "repr_toolkit.decoders.GatedPixelCN"}))
