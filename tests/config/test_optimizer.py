"""An optimizer is built with checked arguments, and every parameter is in exactly one group."""

from typing import Any

import pytest
import torch
from torch import nn

from repr_toolkit.config.optimizer import optimizer_factory
from repr_toolkit.config.recipe import complete
from toys.runs import small

NAMED = [
    ("decoder.layers.0.weight", nn.Parameter(torch.zeros(3, 2))),
    ("decoder.layers.0.bias", nn.Parameter(torch.zeros(3))),
    ("decoder.layers.1.weight", nn.Parameter(torch.zeros(3, 3))),
    ("decoder.scale", nn.Parameter(torch.zeros(()))),
]


def with_groups(*groups: dict[str, Any]) -> dict[str, Any]:
    return small(training__optimizer__groups=list(groups))


def test_arguments_and_fused_kernels() -> None:
    adam = optimizer_factory(small(), fused=True)(NAMED)
    assert isinstance(adam, torch.optim.Adam)
    assert adam.defaults["lr"] == 0.05
    assert adam.defaults["fused"] is True
    assert [len(group["params"]) for group in adam.param_groups] == [4]
    unfused = small(training__optimizer__init_args__foreach=True)
    assert not optimizer_factory(unfused, fused=True)(NAMED).defaults["fused"]
    betas = small(training__optimizer__init_args__betas=[0.8, 0.9])
    assert optimizer_factory(betas)(NAMED).defaults["betas"] == (0.8, 0.9)


def test_groups_take_their_own_options() -> None:
    config = with_groups(
        {"match": [0, 1], "options": {"lr": 1, "betas": [0.5, 0.6]}},
        {"match": "decoder.layers.0.w*", "options": {"weight_decay": 0.1}},
    )
    rest, vectors, first = optimizer_factory(config)(NAMED).param_groups
    ids = [[id(p) for p in group["params"]] for group in (rest, vectors, first)]
    parameters = [id(p) for _, p in NAMED]
    assert ids == [[parameters[2]], [parameters[1], parameters[3]], [parameters[0]]]
    assert (rest["lr"], vectors["lr"], first["lr"]) == (0.05, 1.0, 0.05)
    assert (rest["betas"], vectors["betas"]) == ((0.9, 0.999), (0.5, 0.6))
    assert (rest["weight_decay"], first["weight_decay"]) == (0, 0.1)


def test_a_group_may_hold_every_parameter() -> None:
    (group,) = optimizer_factory(with_groups({"match": "*", "options": {"lr": 2}}))(
        NAMED
    ).param_groups
    assert group["lr"] == 2


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            [{"match": "*.weight"}, {"match": [2]}],
            r"groups\[0\] and \[1\] both match",
        ),
        ([{"match": 7}], r"groups\[0\]\.match: 7 matches no parameter"),
        ([{"match": "*.wieght"}], r"groups\[0\]\.match: '\*\.wieght' matches no parameter.*weight"),
    ],
)
def test_groups_that_do_not_fit_the_model(groups: list[dict[str, Any]], message: str) -> None:
    make = optimizer_factory(with_groups(*groups))
    with pytest.raises(ValueError, match=message):
        make(NAMED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 1}, r"groups\[0\]\.options\.learning_rate: torch\.optim\.Adam has none"),
        ({"beta": [0.5, 0.6]}, "did you mean betas"),
        ({1: 2}, r"groups\[0\]\.options\.1: torch\.optim\.Adam has none"),
        ({"lr": "fast"}, r"groups\[0\].*fast"),
        ({"lr": -1}, r"groups\[0\]\.options: Invalid learning rate"),
    ],
)
def test_options_that_the_optimizer_has_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimizer_factory(with_groups({"match": 1, "options": options}))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"match": 1}, "groups is a list of"),
        ([{"options": {}}], r"groups\[0\]\.match is a pattern .*, not None"),
        ([{"match": True}], r"groups\[0\]\.match is a pattern"),
        ([{"match": []}], r"groups\[0\]\.match is a pattern"),
        ([{"match": 1, "option": {}}], r"unknown key training\.optimizer\.groups\[0\]\.option"),
    ],
)
def test_groups_that_are_none(groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        complete({**small(), "training": {"optimizer": {"class_path": "a.B", "groups": groups}}})


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"init_args__learning_rate": 0.1}, ValueError, r"init_args\.learning_rate"),
        ({"init_args__lr": "fast"}, ValueError, r"training\.optimizer.*fast"),
        ({"class_path": "torch.optim.Addam"}, ImportError, "did you mean Adam"),
        ({"class_path": "torch.nn.Linear"}, TypeError, "not a subclass of Optimizer"),
        ({"init_args__lr": -1}, ValueError, r"training\.optimizer: Invalid learning rate"),
        ({"init_args__lr": float("inf")}, ValueError, r"training\.optimizer: .* not finite"),
        (
            {"init_args": {"fused": True, "foreach": True}},
            ValueError,
            r"training\.optimizer: .*foreach.* cannot be",
        ),
        ({"class_path": "torch.optim.SparseAdam"}, ValueError, "optimizer: .*dense gradients"),
    ],
)
def test_optimizers_that_cannot_be(
    settings: dict[str, Any], kind: type[Exception], message: str
) -> None:
    config = small(**{f"training__optimizer__{key}": value for key, value in settings.items()})
    with pytest.raises(kind, match=message):
        optimizer_factory(config)
