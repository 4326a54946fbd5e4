"""The loss as torch.compile makes it, where it is written for the compiler: the same function."""

from typing import Any

import pytest
import torch
from cases import Case, one_of_each_structure, random_h, random_images, small_pixelcnn
from torch import Tensor

from repr_toolkit.decoders import GatedPixelCNN, Glow
from repr_toolkit.training.trainer import can_compile

pytestmark = pytest.mark.skipif(
    not can_compile(torch.device("cpu")), reason="torch.compile needs a C++ compiler"
)


def loss_and_gradients(
    model: GatedPixelCNN, x: Tensor, *, compiled: bool, autocast: bool
) -> list[Tensor]:
    model.zero_grad()
    loss = torch.compile(model.loss, dynamic=False) if compiled else model.loss
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(x)
    value.backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return [value.detach(), torch.cat([g.flatten() for g in gradients])]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("autocast", [False, True])
def test_compiled_loss_and_gradients(autocast: bool) -> None:
    torch.manual_seed(0)
    model = small_pixelcnn((3, 5, 4), layers=2, levels=11).float()
    x = torch.randint(0, 11, (4, 3, 5, 4), dtype=torch.uint8)
    expected = loss_and_gradients(model, x, compiled=False, autocast=False)
    found = loss_and_gradients(model, x, compiled=True, autocast=autocast)
    torch.compiler.reset()
    tolerance = 0.05 if autocast else 1e-5
    torch.testing.assert_close(found[0], expected[0], rtol=tolerance / 5, atol=0)
    error = (found[1] - expected[1]).norm() / expected[1].norm()
    assert error < tolerance


@pytest.mark.filterwarnings("ignore")
def test_a_level_too_high_cannot_pass_compiled() -> None:
    model = small_pixelcnn((1, 4, 4), layers=1).float()
    x = torch.full((1, 1, 4, 4), 9, dtype=torch.uint8)
    with pytest.raises(ValueError, match="value 9"):
        model.loss(x)
    assert torch.compile(model.loss, dynamic=False, backend="aot_eager")(x).isnan()
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore")
def test_a_flow_that_computes_its_steps_again_is_one_graph() -> None:
    torch.manual_seed(0)
    options: Any = {"scales": 1, "steps": 2, "features": 2}
    models = [Glow((1, 4, 4), **options, memory=memory).train() for memory in ("keep", "recompute")]
    models[1].load_state_dict(models[0].state_dict())
    x, gradients = random_images(models[0], 2), []
    for model in models:
        compiled = torch.compile(model.loss, fullgraph=True, backend="aot_eager", dynamic=False)
        torch.manual_seed(1)  # of the noise
        compiled(x).backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        )
    torch.compiler.reset()
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("case", one_of_each_structure(), ids=str)
@pytest.mark.filterwarnings("ignore")
def test_the_training_loss_is_one_graph(case: Case) -> None:
    """A break of the graph would cost torch.compile most of what it gains."""
    torch.manual_seed(0)
    model = case.build()
    x, h = random_images(model, 2), random_h(model, 2)
    compiled = torch.compile(model.loss, fullgraph=True, backend="eager", dynamic=False)
    torch.manual_seed(1)  # of a likelihood that draws noise
    loss = compiled(x, h)
    torch.manual_seed(1)
    torch.testing.assert_close(loss, model.loss(x, h))
    torch.compiler.reset()
