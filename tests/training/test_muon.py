"""Muon's steps are orthogonal matrix by matrix, keep masked entries, and elsewhere are Adam's."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.deconvnet import DeconvNet
from repr_toolkit.decoders.masked import RowLeft
from repr_toolkit.decoders.matrices import matrices, parts, state_matrices
from repr_toolkit.training.muon import Muon, orthogonalised


def step_of(weight: nn.Parameter, gradient: Tensor, **options: Any) -> Tensor:
    """What one step adds to a weight, over −lr."""
    before = weight.detach().clone()
    weight.grad = gradient
    Muon([weight], lr=0.5, **options).step()
    return (before - weight.detach()) / 0.5


@pytest.mark.parametrize("shape", [(8, 8), (4, 20), (30, 7)])
def test_orthogonalised_keeps_the_singular_vectors(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(3, *shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.mT @ orthogonalised(matrix) @ v.mT  # diagonal: the new singular values
    values = inner.diagonal(dim1=1, dim2=2)
    assert ((values > 0.6) & (values < 1.25)).all()
    torch.testing.assert_close(inner, torch.diag_embed(values), rtol=0, atol=1e-4)
    assert torch.equal(orthogonalised(torch.zeros(1, *shape)), torch.zeros(1, *shape))


def test_a_kernel_is_one_matrix_scaled_by_its_shape() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(16, 1, 2, 2)
    step = step_of(nn.Parameter(torch.randn(16, 1, 2, 2)), gradient)
    torch.testing.assert_close(step.flatten(1), 2 * orthogonalised(gradient.flatten(1)[None])[0])


def test_momentum_and_weight_decay_are_as_stated() -> None:
    torch.manual_seed(0)
    weight, (first, second) = nn.Parameter(torch.randn(4, 4)), torch.randn(2, 4, 4)
    expected = weight.detach().clone()
    optimizer = Muon([weight], lr=0.1, momentum=0.9, weight_decay=0.2)
    momentum = torch.zeros(4, 4)
    for gradient in (first, second):
        weight.grad = gradient.clone()
        optimizer.step()
        momentum = 0.9 * momentum + 0.1 * gradient
        update = orthogonalised((0.1 * gradient + 0.9 * momentum)[None])[0]
        expected = (1 - 0.1 * 0.2) * expected - 0.1 * update
    torch.testing.assert_close(weight.detach(), expected)


def test_stated_matrices_are_orthogonal_each_for_itself() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(8, 6)
    halves = nn.Parameter(torch.randn(8, 6))
    state_matrices(halves, parts(8, 2))
    alone = [orthogonalised(half[None])[0] for half in gradient.split(4)]
    torch.testing.assert_close(step_of(halves, gradient), torch.cat(alone))
    turned = nn.Parameter(torch.randn(8, 2))
    state_matrices(turned, turned=True)
    gradient = torch.randn(8, 2)
    torch.testing.assert_close(step_of(turned, gradient), orthogonalised(gradient.mT[None])[0].mT)


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize("kernel_size", [1, 5])
def test_a_masked_kernel_is_covered_once_and_its_masked_entries_stay(
    mask_type: str, kernel_size: int
) -> None:
    torch.manual_seed(0)
    groups = torch.arange(3).repeat_interleave(4)
    conv = RowLeft(groups, torch.cat([groups, groups]), kernel_size, mask_type=mask_type, halves=2)
    count = torch.zeros_like(conv.weight)
    for view in matrices(conv.weight, count):
        view += 1
    assert conv.mask is not None
    assert torch.equal(count, conv.mask)
    conv(torch.randn(2, 12, 5, 5)).square().sum().backward()
    assert conv.weight.grad is not None
    step = step_of(conv.weight, conv.weight.grad)
    assert torch.equal(step != 0, conv.mask != 0)
    for view in matrices(conv.weight, step):
        matrix = view.flatten(1) / max(1, len(view) / view[0].numel()) ** 0.5
        assert ((torch.linalg.svdvals(matrix) > 0.6) & (torch.linalg.svdvals(matrix) < 1.25)).all()


def test_every_kernel_of_the_models_is_covered() -> None:
    model = GatedPixelCNN((3, 8, 8), 4, features=6, layers=2, conditioning="spatial", skip=True)
    # Of a masked kernel a matrix for each group that sees any, in every half, and what is left.
    counts = {"vertical": 2, "vertical_to_horizontal": 2, "condition": 4}
    counts |= dict.fromkeys(("residual", "skip", "head_hidden", "head_logits"), 3)
    horizontal = {"layers.0": 2 * (2 + 1), "layers.1": 2 * (3 + 1)}
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            continue
        views = matrices(weight, weight)
        layer, part = name.rsplit(".", 2)[0], name.split(".")[-2]
        expected = horizontal.get(layer) if part == "horizontal" else counts.get(part)
        assert len(views) == (expected or 1)
        if part != "horizontal" and counts.get(part) != 3:
            assert sum(view.numel() for view in views) == weight.numel()
    net = DeconvNet(4, 3, (16, 16), 5)
    shapes = [tuple(matrices(p, p)[0].shape) for n, p in net.named_parameters() if "upsample" in n]
    assert shapes[0] == (5, 10, 4, 4)  # of a kernel that is kept as (10, 5, 4, 4)


def test_groups_that_are_not_orthogonal_take_adam() -> None:
    torch.manual_seed(0)
    values = [torch.randn(3, 2), torch.randn(5)]
    ours = [nn.Parameter(v.clone()) for v in values]
    theirs = [nn.Parameter(v.clone()) for v in values]
    muon = Muon(ours, lr=0.01, orthogonal=False, betas=(0.8, 0.95), eps=1e-6)
    adam = torch.optim.Adam(theirs, lr=0.01, betas=(0.8, 0.95), eps=1e-6, fused=True)
    for _ in range(4):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        muon.step()
        adam.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


def test_a_state_that_is_loaded_goes_on_exactly() -> None:
    torch.manual_seed(0)
    weight, vector = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(3))
    groups = [{"params": [weight]}, {"params": [vector], "orthogonal": False, "lr": 0.1}]
    gradients = [(torch.randn(4, 6), torch.randn(3)) for _ in range(4)]

    def steps(optimizer: Muon, some: list[tuple[Tensor, Tensor]]) -> None:
        for weight.grad, vector.grad in some:
            optimizer.step()

    optimizer = Muon(groups)
    steps(optimizer, gradients[:2])
    saved = deepcopy(optimizer.state_dict())
    middle = [weight.detach().clone(), vector.detach().clone()]
    steps(optimizer, gradients[2:])
    end = [weight.detach().clone(), vector.detach().clone()]
    with torch.no_grad():
        weight.copy_(middle[0])
        vector.copy_(middle[1])
    again = Muon([{"params": [weight]}, {"params": [vector], "orthogonal": False, "lr": 0.1}])
    again.load_state_dict(saved)
    steps(again, gradients[2:])
    assert torch.equal(weight, end[0])
    assert torch.equal(vector, end[1])


def test_a_state_goes_to_the_device_of_its_weights() -> None:
    """Both torch and Lightning leave a state named "step" on the device that it was loaded on."""
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    optimizer = Muon([weight], orthogonal=False)
    optimizer.step()
    elsewhere = nn.Parameter(torch.zeros(2, 2, device="meta"))
    again = Muon([elsewhere], orthogonal=False)
    again.load_state_dict(optimizer.state_dict())
    assert {value.device.type for value in again.state[elsewhere].values()} == {"meta"}


def test_parameters_without_gradients_stay() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    Muon([weight]).step()
    assert torch.equal(weight, torch.ones(2, 2))


def test_a_vector_is_no_matrix() -> None:
    vector = nn.Parameter(torch.zeros(3))
    with pytest.raises(ValueError, match=r"not a parameter of shape \(3,\).*orthogonal: false"):
        Muon([vector])
    with pytest.raises(ValueError, match="momentum is in"):
        Muon([vector], momentum=1.0)


def test_a_skipped_step_changes_nothing() -> None:
    """The first one too, with weight decay and gradients that are not finite; the next counts."""
    torch.manual_seed(0)
    start, gradients = [torch.randn(6, 4), torch.randn(5)], torch.randn(2, 29)
    bad = torch.full((29,), torch.nan)
    ends = []
    for steps in ([*gradients], [bad, gradients[0], bad, gradients[1], bad]):
        matrix, vector = (nn.Parameter(value.clone()) for value in start)
        groups = [{"params": [matrix]}, {"params": [vector], "orthogonal": False}]
        optimizer = Muon(groups, lr=0.1, weight_decay=0.3)
        for gradient in steps:
            matrix.grad, vector.grad = gradient[:24].reshape(6, 4), gradient[24:].clone()
            optimizer.found_inf = (~gradient.isfinite().all()).float()
            optimizer.step()
        states = [value for state in optimizer.state.values() for value in state.values()]
        ends.append([matrix.detach(), vector.detach(), *states])
    assert len(ends[0]) == 6
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    never = Muon([nn.Parameter(start[0].clone())], lr=0.1, weight_decay=0.3)
    [weight] = never.param_groups[0]["params"]
    for gradient in gradients:  # and without the question it is the same step
        weight.grad = gradient[:24].reshape(6, 4)
        never.step()
    assert torch.equal(weight.detach(), ends[0][0])
