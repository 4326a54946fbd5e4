"""The benchmark's machinery: what it counts, compares and prints. No time is ever asserted."""

import subprocess
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import ceilings, evaluation, learning, neighbour, sampling
from benchmarks.agreement import ENGINES, agreement
from benchmarks.ceilings import Ceilings
from benchmarks.curves import Curve, picture, race_table
from benchmarks.curves import table as table_of_curves
from benchmarks.flops import forward_flops, training_flops, weights_read
from benchmarks.masked import masked_form
from benchmarks.memory import MB, Meter
from benchmarks.results import Row, compared
from benchmarks.sampling import FORWARD, NAIVE, Draws, working
from benchmarks.table import table
from benchmarks.thumbnail import Thumbnail
from benchmarks.timing import Comparison, alternate
from benchmarks.training import COMMON, SIDES, SWITCHES, Steps, patches, training
from repr_toolkit.config.optimizer import optimizer_factory
from repr_toolkit.config.recipe import apply_settings, load_recipe
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.likelihoods import LikelihoodKind
from repr_toolkit.testing import randomised
from repr_toolkit.training.trainer import quiet_lightning

CEILINGS = Ceilings(
    products=dict.fromkeys(("fp32", "bf16", "paper fp32"), 1e11),
    convolutions=dict.fromkeys(("fp32", "bf16", "paper fp32"), 2e11),
    cell=1e10,
    bandwidth=1e10,
)


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


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 6, 5), {}),
        ((1, 4, 7), {"kernel_size": 5}),
        ((3, 6, 5), {"skip": True, "head_features": 9}),
        ((3, 6, 5), {"h_dim": 4}),
        ((3, 6, 5), {"h_dim": 4, "conditioning": "spatial", "map_features": 5}),
        ((3, 9, 13), {"h_dim": 4, "conditioning": "spatial", "map_features": 5}),
    ],
)
def test_flops_of_a_forward_are_those_that_torch_counts(
    shape: tuple[int, int, int], options: dict[str, Any]
) -> None:
    model = GatedPixelCNN(shape, levels=4, features=6, layers=3, **options)
    x = torch.zeros(2, *shape, dtype=torch.uint8)
    h = torch.zeros(2, model.h_dim) if model.h_dim else None
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.params(x, h)
    assert 2 * forward_flops(model) == counter.get_total_flops()


def test_flops_of_a_training_step_are_those_that_torch_counts() -> None:
    model = GatedPixelCNN((3, 6, 5), levels=4, features=6, layers=3)
    with FlopCounterMode(display=False) as counter:
        model.loss(torch.zeros(2, 3, 6, 5, dtype=torch.uint8)).backward()
    assert 2 * training_flops(model) == counter.get_total_flops()


def test_weights_that_a_single_image_reads() -> None:
    model = GatedPixelCNN((1, 2, 5), levels=4, features=2, layers=1)
    a_row = 2 * 3 * 1 * 4 + 4 * 4  # vertical, and its way to the horizontal stack
    a_pixel = 2 * 1 * 4 + 2 * 2 + 2 * 2 + 2 * 4  # horizontal, residual, head
    assert weights_read(model) == 4 * (2 * a_row + 2 * 5 * a_pixel)


def test_the_ceiling_is_the_better_of_both_ways() -> None:
    assert CEILINGS.of("fp32") == 2e11
    assert ceilings.STEP.product == (16 * 32 * 32, 2 * 3 * 66, 2 * 66)
    console = Console(width=100, file=StringIO())
    console.print(ceilings.table(CEILINGS))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "200 GFLOP/s" in text
    assert "10 GB/s" in text


def test_sides_take_turns() -> None:
    calls: list[str] = []
    sides = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    comparison = alternate("work", sides, rounds=3, scale={"b": 10.0})
    assert calls == ["a", "b"] * 4
    assert len(comparison.ratios("a", "b")) == 3


def test_a_slow_side_is_run_once() -> None:
    calls: list[str] = []
    sides = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    comparison = alternate("work", sides, rounds=2, limit=0.0)
    assert calls == ["a", "b"]
    assert [len(values) for values in comparison.seconds.values()] == [1, 1]
    calls.clear()
    alternate("work", sides, rounds=2, limit=0.0, warm_up=False)
    assert calls == ["a", "b"] * 2


def test_ratios_are_taken_round_by_round() -> None:
    comparison = Comparison("work, seconds", {"a": [2.0, 9.0], "b": [1.0, 3.0], "once": [8.0]}, 0.0)
    rows = compared(comparison, "b", flops=6e9, ceiling=lambda side: 12e9).rows
    assert [row.ratios for row in rows] == [[2.0, 3.0], [1.0, 1.0], [4.0]]
    assert rows[1].flops_per_second == 3e9  # of the median, 2 s


def test_the_table_fits_a_terminal() -> None:
    console = Console(width=100, file=StringIO())
    rows = [
        Row(
            "training without one setting, seconds a step",
            "naive, scaled, and more",
            [1234.5, 0.01234],
            [12345.6, 0.1234, 3210.0],
            flops=1e12,
            ceiling=1e12,
        ),
        Row("training without one setting, seconds a step", "recipe", [0.5]),
        Row("memory of training", "recipe", peak_mb=12345.6),
    ]
    console.print(table(rows))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    for value in ("617", "0.0123–1,234", "3,210 (0.123–12,346)", "12,346", "0.2%"):
        assert value in text
    assert text.count("training") == 2  # a comparison's name stands once


def test_every_engine_that_works_here_is_a_side() -> None:
    net = GatedPixelCNN((3, 32, 32), levels=2, features=3, layers=1)
    engines = working(net)
    assert engines[:1] == ["naive"]
    draws = Draws(net, 2, engines)
    assert list(draws.sides) == [NAIVE, *engines[1:], FORWARD]
    draws.sides[NAIVE]()
    draws.sides[FORWARD]()


def test_without_a_native_engine_the_paper_size_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = {name: GatedPixelCNN.engines[name] for name in ("naive", "cached")}
    monkeypatch.setattr(GatedPixelCNN, "engines", slow)
    net = GatedPixelCNN((3, 32, 32), levels=2, features=3, layers=1)
    monkeypatch.setattr(sampling, "paper_model", lambda: net)
    results = sampling.paper(1, CEILINGS)
    assert not results.rows
    assert "native" in results.remarks[0]


def test_evaluation_is_held_against_its_own_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    net = GatedPixelCNN((3, 32, 32), features=3, layers=1).eval()
    monkeypatch.setattr(evaluation, "model", lambda: net)
    results = evaluation.run(1, CEILINGS)
    assert [row.side for row in results.rows] == ["bits_per_dim", "forwards alone"]
    assert all(row.flops == 128 * forward_flops(net) for row in results.rows)


def test_a_neighbour_works_while_the_work_does(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start, work = subprocess.Popen, list[bool]()

    def starting(*arguments: Any) -> "subprocess.Popen[bytes]":
        started.append(start(*arguments))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", starting)
    results = neighbour.compare("work", lambda: work.append(bool(started)), 1, warm_up=False)
    assert work == [False, True]
    assert started[0].poll() is not None
    assert [(row.side, len(row.ratios)) for row in results.rows] == [
        ("quiet", 1),
        ("beside a neighbour", 1),
    ]


def test_the_demo_runs_with_a_share_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    neighbour.demo(rounds=1, share=0.01)
    for command in commands:
        assert command[1:5] == ["-m", "repr_toolkit", "study", "bottleneck_mnist5k"]
        recipe = load_recipe("bottleneck_mnist5k")
        settings = dict(option.removeprefix("--").split("=") for option in command[5:])
        changed = apply_settings(recipe, {key: int(value) for key, value in settings.items()})
        assert changed["training"]["steps"] == 8
    assert len(commands) == 2


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16"), (False, "fp32")])
def test_both_sides_of_training_start_alike(
    fast: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skimage")
    monkeypatch.setattr("repr_toolkit.training.trainer.has_bfloat16", lambda _: fast)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    tiny = {**COMMON["model.decoder"], "init_args": {"features": 3, "layers": 1}}
    ways = {name: way.also({"model.decoder": tiny}) for name, way in {**SIDES, **SWITCHES}.items()}
    data, images = patches(steps=2)
    with quiet_lightning():
        sides = {name: Steps(way, data, images) for name, way in ways.items()}
    for side in sides.values():
        side.block(2)
    first = torch.stack([side.losses[0] for side in sides.values()])
    torch.testing.assert_close(first, first[:1].expand_as(first), rtol=1e-2, atol=0)
    assert {name: side.precision for name, side in sides.items() if name in SIDES} == {
        "eager fp32 masked": "fp32",
        "recipe": precision,
    }


def test_a_side_trains_in_a_process_of_its_own() -> None:
    pytest.importorskip("skimage")
    tiny = {**COMMON["model.decoder"], "init_args": {"features": 3, "layers": 1}}
    way = SIDES["eager fp32 masked"].also({"model.decoder": tiny})
    with training({"masked": way}, steps=2) as sides:
        sides["masked"].block(2)
        assert len(sides["masked"].losses()) == 2
        assert sides["masked"].precision == "fp32"


def test_a_curve_of_learning_has_a_point_for_each_validation() -> None:
    pytest.importorskip("mlxtend")
    decoder = "model.decoder.init_args"
    small = {f"{decoder}.features": 4, f"{decoder}.layers": 1, "training.compile": False}
    curves = [
        learning.learn("mnist5k", way, small, seed, steps=4, every=2)
        for way in ("usual 1e-3", "recipe, mixture")
        for seed in (0, 1)
    ]
    for curve in curves:
        assert curve.steps == [2, 4]
        assert 0 < curve.seconds[0] < curve.seconds[1]
    bits = [curve.bits[-1] for curve in curves]
    assert len(set(bits)) == 4
    console = Console(file=StringIO(), width=100)
    console.print(table_of_curves("mnist5k", curves))
    text = console.file.getvalue()
    assert f"{bits[0]:.3f} {bits[1]:.3f}" in text
    assert f"{(bits[2] + bits[3]) / 2:.4f} ±" in text
    drawn = picture("mnist5k", curves).axes
    assert [len(axes.lines) for axes in drawn] == [4, 4]


def test_a_race_ends_at_the_time_of_the_first_and_at_the_bits_of_the_first() -> None:
    pytest.importorskip("mlxtend")
    decoder = "model.decoder.init_args"
    small = {f"{decoder}.features": 4, f"{decoder}.layers": 1, "training.compile": False}
    first, other, late = (
        learning.learn("mnist5k", "usual 1e-3", small, 0, 9000, 2, **ends)
        for ends in ({"seconds": 1e-3}, {"bits": 9.0}, {"seconds": 1e-3, "bits": 0.0})
    )
    assert first.steps == other.steps == late.steps == [2]
    half = replace(first, way="half", first=first.first / 2, seconds=[first.seconds[-1] / 2])
    late = replace(late, way="late", bits=[99.0])
    console = Console(file=StringIO(), width=100)
    console.print(race_table("mnist5k", [first, half, late]))
    lines = console.file.getvalue().splitlines()
    assert [line.split()[-2:] for line in lines if line.split()[:1] in (["half"], ["late"])] == [
        ["2.00", "2.00"],
        ["–", "–"],
    ]


@pytest.mark.parametrize("task", ["mnist5k", "photos"])
def test_every_way_makes_a_model(task: str) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("mlxtend")
    for way in learning.WAYS:
        (_, join, config), _ = learning.configuration(task, way, {}, 0, 8, 4)
        join(optimizer=optimizer_factory(config)).make_optimizer()


def test_the_bits_that_a_thumbnail_saves() -> None:
    without = Curve("spatial, no h", 0, 768, [2], [1.0], [5.0], 2.0)
    curves = [without, Curve("spatial", 0, 768, [2], [1.0], [4.5], 2.0)]
    console = Console(file=StringIO(), width=120)
    console.print(table_of_curves("thumbnail", curves))
    assert "384" in console.file.getvalue()
    x = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    h = Thumbnail((1, 8, 8), levels=64)(x)
    means = [16 * row + 2 * column + 4.5 for row in range(4) for column in range(4)]
    assert h.flatten().tolist() == pytest.approx([mean * 2 / 63 - 1 for mean in means])
    assert not Thumbnail((1, 8, 8), levels=64, blank=True)(x).any()
    assert Thumbnail((1, 6, 8), levels=64, as_map=True).h_shape == (1, 3, 4)


def test_the_meter_sees_a_peak() -> None:
    meter = Meter()
    assert meter.peak(lambda: torch.ones(64 * MB // 4)) > 32


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("likelihood", ["categorical", "logistic_mixture"])
def test_agreement_tells_a_tie_from_an_error(
    likelihood: LikelihoodKind, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = GatedPixelCNN((3, 6, 6), h_dim=2, features=12, layers=2, likelihood=likelihood)
    if obstacle := model.obstacle(engine):
        pytest.skip(obstacle)
    x = torch.randint(0, 256, (4, 3, 6, 6), dtype=torch.uint8)
    h, u = torch.randn(4, 2), torch.rand(4, 3, 6, 6)
    found = agreement(model, x, h, u, engine)
    assert found.decisions == x.numel()
    assert found.largest_difference < 1e-5
    assert found.other_choices <= 1
    assert found.widest_tie < 1e-5
    # A forward that the engine does not follow: the network of the inverted image.
    params = model.params
    monkeypatch.setattr(model, "params", lambda x, h=None: params(255 - x, h))
    found = agreement(model, x, h, u, engine)
    assert found.largest_difference > 1e-3
    assert found.images_parted == 4
    assert found.widest_tie > 1e-4
