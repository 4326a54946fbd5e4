"""The benchmark's opponent is the same model, so that only the way of computing differs."""

import pytest
import torch

from benchmarks.masked import masked_form
from benchmarks.timing import alternate
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.testing import randomised


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("skip", [False, True])
def test_masked_form_computes_the_same_function(channels: int, skip: bool) -> None:
    model = randomised(
        GatedPixelCNN((channels, 6, 5), levels=4, features=6, layers=3, kernel_size=5, skip=skip)
    )
    x = torch.randint(0, 4, (3, channels, 6, 5), dtype=torch.uint8)
    masked = masked_form(model)
    torch.testing.assert_close(masked.params(x), model.params(x))
    # Masked weights get no gradient, so that both also train alike.
    masked.loss(x).backward()
    model.loss(x).backward()
    ours = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    theirs = torch.cat([p.grad.flatten() for p in masked.parameters() if p.grad is not None])
    torch.testing.assert_close(theirs.norm(), ours.norm())


def test_sides_take_turns() -> None:
    calls: list[str] = []
    sides = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    comparison = alternate("work", sides, rounds=3, scale={"b": 10.0})
    assert calls == ["a", "b"] * 4
    assert len(comparison.ratios("a", "b")) == 3
