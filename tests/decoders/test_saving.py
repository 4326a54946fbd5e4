"""The names of parameters and buffers stay for ever: saved runs are read by them."""

from typing import Any

import pytest
import torch
from cases import Case, gated, random_h, random_images, those

CONV = ("weight", "bias")
FIRST = [
    *(f"vertical.{name}" for name in CONV),
    *(f"horizontal.{name}" for name in CONV),
    *(f"vertical_to_horizontal.{name}" for name in CONV),
]
HEAD = [f"{layer}.{name}" for layer in ("head_hidden", "head_logits") for name in CONV]
M = [
    f"conditioning.m.{layer}.{name}"
    for layer in ("project.0", "upsample.0.0", "out")
    for name in CONV
]
RESIDUAL, SKIP = ([f"{layer}.{name}" for name in CONV] for layer in ("residual", "skip"))


@pytest.mark.parametrize(
    ("conditioning", "keys"),
    [("vector", []), ("positional", ["conditioning.positions"]), ("spatial", M)],
)
@pytest.mark.parametrize("h", [{"h_dim": 2}, {"h_shape": (1, 2, 2)}])
@pytest.mark.parametrize("skip", [False, True])
def test_the_keys_of_a_gated_pixelcnn(
    conditioning: str, keys: list[str], h: dict[str, Any], skip: bool
) -> None:
    model = gated((3, 4, 4)).build(layers=2, conditioning=conditioning, skip=skip, **h)
    layer = [*FIRST, "condition.weight"]
    last = SKIP if skip else RESIDUAL
    layers = [
        *(f"layers.0.{name}" for name in [*layer, *RESIDUAL, *(SKIP if skip else [])]),
        *(f"layers.1.{name}" for name in [*layer, *last]),
    ]
    assert list(model.state_dict()) == [*keys, *layers, *HEAD]


@those()
def test_weights_alone_bring_a_model_back(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build()
    again = case.build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    again.load_state_dict(model.state_dict())
    x, h = random_images(model, 2), random_h(model, 2)
    torch.manual_seed(1)
    expected = model.log_prob(x, h)
    torch.manual_seed(1)
    assert torch.equal(again.log_prob(x, h), expected)
