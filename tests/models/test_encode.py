"""In how many directions h varies."""

from typing import Any

import pytest
import torch

from repr_toolkit.data import load_data
from repr_toolkit.encoders import OneHot
from repr_toolkit.models.encode import effective_dimension, require_readable, to_device


def test_the_effective_dimension_counts_directions_that_vary_alike() -> None:
    draw = torch.Generator().manual_seed(0)
    alike = torch.randn(20_000, 8, generator=draw) + 5
    assert effective_dimension(alike) == pytest.approx(8, rel=0.01)
    line = torch.arange(9.0)[:, None] * torch.tensor([1.0, -2.0, 3.0])
    assert effective_dimension(line) == pytest.approx(1)
    scaled = alike * torch.tensor([3.0, 1, 0, 0, 0, 0, 0, 0])
    assert effective_dimension(scaled) == pytest.approx(10**2 / 82, rel=0.02)
    wide = torch.randn(5, 40, generator=draw)
    values = torch.linalg.eigvalsh(torch.cov(wide.T.double()))
    assert effective_dimension(wide) == pytest.approx(values.sum() ** 2 / values.square().sum())
    assert effective_dimension(torch.ones(4, 3)) == 0
    assert effective_dimension(wide[:, :, None]) == pytest.approx(effective_dimension(wide))


class OnDevice:
    """What `to_device` asks of a tensor; only one on the CPU can be pinned."""

    def __init__(self, device: str, pinned: bool = False) -> None:
        self.device, self.pinned = torch.device(device), pinned

    def pin_memory(self) -> "OnDevice":
        assert self.device.type == "cpu"
        return OnDevice("cpu", pinned=True)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> tuple[str, bool, bool]:
        return device.type, self.pinned, non_blocking


def test_only_what_comes_from_the_cpu_is_pinned() -> None:
    def moved(start: str, end: str) -> Any:
        value: Any = OnDevice(start)
        return to_device(value, torch.device(end))

    assert moved("cpu", "cuda") == ("cuda", True, True)
    assert moved("cuda", "cuda") == ("cuda", False, False)
    assert moved("cpu", "cpu") == ("cpu", False, False)


def test_values_that_an_encoder_refuses_are_found_on_the_cpu() -> None:
    data = load_data("digits")
    require_readable(OneHot(10), data, "it")
    with pytest.raises(ValueError, match="labels 0…9 do not fit num_classes=9"):
        require_readable(OneHot(9), data, "it")
