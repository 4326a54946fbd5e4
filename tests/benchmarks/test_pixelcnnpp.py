"""The bench of PixelCNN++: its sides, what it counts, and the networks of its recipe."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from benchmarks import pixelcnnpp, training
from benchmarks.ceilings import Ceilings
from benchmarks.sampling import FORWARD, NAIVE
from benchmarks.training import Way
from repr_toolkit.decoders import PixelCNNpp
from repr_toolkit.training.trainer import quiet_lightning

CEILINGS = Ceilings(
    products=dict.fromkeys(("fp32", "bf16"), 1e11),
    convolutions=dict.fromkeys(("fp32", "bf16"), 2e11),
    cell=1e10,
    bandwidth=1e10,
)
TINY = {"class_path": "repr_toolkit.decoders.PixelCNNpp"}
TINY |= {"init_args": {"features": 4, "blocks": 1, "mixtures": 1, "dropout": 0.0}}


def test_both_sides_start_alike_from_prepared_weights() -> None:
    pytest.importorskip("skimage")
    data, images = training.patches(steps=2)
    losses = []
    for way in pixelcnnpp.SIDES.values():
        tiny = way.also({"model.decoder": TINY, **training.EAGER})
        with quiet_lightning():
            steps = training.Steps(tiny, data, images)
        assert isinstance(steps.model.decoder, PixelCNNpp)
        assert steps.model.decoder.prepared
        steps.block(2)
        losses.append(torch.stack(steps.losses))
    torch.testing.assert_close(*losses, rtol=2e-2, atol=0)


def test_samples_are_counted_in_forwards_for_each_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    net = PixelCNNpp((3, 32, 32), features=4, blocks=1, mixtures=1).eval()
    monkeypatch.setattr(pixelcnnpp, "STEPS", 2)
    results = pixelcnnpp.sampling(net, 1, 1, 1e6, CEILINGS)
    assert [row.side for row in results.rows] == ["cached", FORWARD]
    assert any("as fast as 1,024 forwards; published 2 ×" in line for line in results.remarks)
    assert NAIVE in pixelcnnpp.Draws(net, 16, ["naive"]).sides
    forward, step = pixelcnnpp.flops(net)
    weights = sum(p.numel() for p in net.parameters())
    assert 2 * 16 * 16 * weights / 16 < forward < step < 4 * forward


def test_networks_take_turns_with_their_own_optimizers(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Side:
        def __init__(self, name: str, way: Way) -> None:
            self.name = name
            assert set(way.settings) == set(pixelcnnpp.VARYING)
            kind = way.settings["model.decoder"]["class_path"].rpartition(".")[2]
            assert kind == ("PixelCNNpp" if name == "pixelcnnpp" else "GatedPixelCNN")

        def block(self, steps: int) -> float:
            calls.append(self.name)
            return float(steps * len(calls))

    @contextmanager
    def sides(ways: dict[str, Way], steps: int) -> Iterator[dict[str, Side]]:
        yield {name: Side(name, way) for name, way in ways.items()}

    monkeypatch.setattr(pixelcnnpp, "training", sides)
    rows = pixelcnnpp.networks(1).rows
    names = ["gated_softmax", "gated_mixture", "pixelcnnpp"]
    assert calls == names * 2
    assert [(row.side, row.seconds) for row in rows] == list(
        zip(names, ([4], [5], [6]), strict=True)
    )
