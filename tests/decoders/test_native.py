"""The native engine under teacher forcing, interrupts and sanitizers, and without a compiler."""

import logging
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import Case, levels_of, random_h, random_images, small_pixelcnn, those
from torch import Tensor

from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.decoders.engines.library import library
from repr_toolkit.decoders.likelihoods import Bernoulli
from repr_toolkit.decoders.walks.gated_pixelcnn_native import sample

WITHOUT = small_pixelcnn((1, 2, 2)).obstacle("native")
native = pytest.mark.skipif(WITHOUT is not None, reason=f"no native engine: {WITHOUT}")


def forced(model: GatedPixelCNN, x: Tensor, h: Tensor | None, u: Tensor) -> tuple[Tensor, Tensor]:
    """The engine's parameters and choices for noise u where the past is that of the images x."""
    one_logit = isinstance(model.likelihood, Bernoulli)
    size = (len(x), model.groups, *x.shape[2:], 2 if one_logit else model.likelihood.size)
    params = torch.empty(size, dtype=u.dtype)
    choices = torch.empty_like(x)
    mask = torch.ones(x.shape, dtype=torch.bool)
    drawn = sample(model, Draw(h, u, known=x, mask=mask), params=params, choices=choices)
    assert torch.equal(drawn, x)
    return params[..., 1:] if one_logit else params, choices


@native
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@those(lambda case: "native" in case.make.engines)
@torch.no_grad()
def test_parameters_and_choices_are_those_of_the_forward(case: Case, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = case.build().to(dtype)
    x, h = random_images(model, 11), random_h(model, 11)
    u = torch.rand(11, *case.shape, dtype=dtype)
    params, choices = forced(model, x, h, u)
    expected = model.params(x, h)
    tolerance = 1e-13 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(params, expected, rtol=0, atol=tolerance)
    assert (choices == levels_of(model, expected, x, u)).double().mean() > 0.999


@native
@pytest.mark.parametrize("features", [3, 24, 51])
@pytest.mark.parametrize("batch", [1, 2, 7, 8, 9, 20])
@torch.no_grad()
def test_every_size_of_a_block(features: int, batch: int) -> None:
    torch.manual_seed(0)
    model = small_pixelcnn((3, 3, 9), features=features, levels=70, layers=2, h_dim=3)
    x, h = random_images(model, batch), random_h(model, batch)
    u = torch.rand(x.shape, dtype=torch.float64)
    params, choices = forced(model, x, h, u)
    expected = model.params(x, h)
    torch.testing.assert_close(params, expected, rtol=0, atol=1e-12)
    assert torch.equal(choices, model.likelihood.draw(expected, u).to(torch.uint8))


@native
def test_draws_as_the_likelihood_does_at_the_edges() -> None:
    torch.manual_seed(0)
    model = small_pixelcnn((1, 4, 5), levels=37, layers=1)
    with torch.no_grad():
        # Mass on two levels alone, neither first nor last, whatever the image.
        assert model.head_logits.bias is not None
        model.head_logits.weight.zero_()
        model.head_logits.bias.fill_(-1e4)
        model.head_logits.bias[[5, 20]] = 0.0
    for dtype in (torch.float64, torch.float32):
        model = model.to(dtype)
        ones = torch.ones(1, 1, 4, 5, dtype=dtype)
        below_one = torch.nextafter(ones, 0 * ones)
        for u in (0 * ones, 0.499 * ones, 0.501 * ones, below_one):
            for temperature in (0.0, 1e-3, 1.0, 50.0, 1e38, 1e300):
                arguments: dict[str, Any] = {"noise": u, "temperature": temperature}
                native = model.sample(**arguments, engine="native")
                assert torch.equal(native, model.sample(**arguments, engine="naive"))


@native
def test_number_of_threads_changes_nothing() -> None:
    torch.manual_seed(0)
    model = small_pixelcnn((3, 5, 5))
    u = torch.rand(19, 3, 5, 5, dtype=torch.float64)
    threads = torch.get_num_threads()
    images = []
    try:
        for count in (1, 3, 64):
            torch.set_num_threads(count)
            images.append(model.sample(n=19, noise=u, engine="native"))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])


@native
def test_channels_last_weights_give_the_same_images() -> None:
    torch.manual_seed(0)
    model = small_pixelcnn((3, 5, 5), h_dim=2, conditioning="spatial")
    h = torch.randn(3, 2, dtype=torch.float64)
    u = torch.rand(3, 3, 5, 5, dtype=torch.float64)
    before = model.sample(h, noise=u, engine="native")
    model.to(memory_format=torch.channels_last)
    assert torch.equal(model.sample(h, noise=u, engine="native"), before)


@native
def test_progress_rises_to_one_and_can_stop_the_engine() -> None:
    seen: list[float] = []
    model = GatedPixelCNN((3, 32, 32), features=48, layers=4)
    model.sample(engine="native", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def interrupt(done: float) -> None:
        assert done < 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.sample(n=2000, engine="native", progress=interrupt)


PROGRAM = """
import os, pathlib, signal, threading, torch, repr_toolkit.decoders as d
# A shell's background job, which a test run may be, ignores interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
kernels = lambda: len(list(pathlib.Path(os.environ["REPR_TOOLKIT_CACHE"]).rglob("*.so")))
model = d.GatedPixelCNN((3, 64, 64), features=96, layers=8)
print(kernels(), flush=True)
model.sample(n=1, mask=torch.tensor(True), known=torch.tensor(0, dtype=torch.uint8))
print(kernels(), flush=True)
interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)
for seconds in (1.0, 1.01, 1.02):
    threading.Timer(seconds, interrupt).start()
model.sample(n=500, engine="native")
"""


@native
def test_importing_builds_nothing_and_interrupting_twice_is_safe(tmp_path: Path) -> None:
    """What the engine works on is freed only once its threads have ended."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"REPR_TOOLKIT_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["0", "1"]
    assert done.returncode in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in done.stderr


class Mode(Draw):
    """A draw that decides in Python, by the largest logit."""

    def level(
        self, likelihood: Any, params: Tensor, at: Any, before: Tensor | None = None
    ) -> Tensor:
        return self.keep(params.argmax(-1), at)


def test_a_draw_that_decides_in_python_is_an_obstacle() -> None:
    model = small_pixelcnn((1, 3, 3))
    draw = Mode(None, torch.rand(2, 1, 3, 3, dtype=torch.float64))
    assert model.obstacle("native", draw) == (
        "it decides the levels in C++, and a Mode decides them in Python"
    )
    assert model.choose_engine("auto", draw) != "native"


def test_without_a_compiler_auto_takes_the_cached_engine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    library.cache_clear()
    model = small_pixelcnn((1, 3, 3))
    u = torch.rand(1, 1, 3, 3)
    try:
        with caplog.at_level(logging.WARNING, "repr_toolkit.sampling"):
            first, again = model.sample(noise=u), model.sample(noise=u)
        with pytest.raises(ValueError, match="'native' cannot run here: CXX names no-such-comp"):
            model.sample(noise=u, engine="native")
    finally:
        library.cache_clear()
    assert torch.equal(first, again)
    assert len(caplog.messages) == 1
    assert "CXX names no-such-compiler, which is not there" in caplog.messages[0]


@native
@pytest.mark.skipif("REPR_TOOLKIT_CXXFLAGS" in os.environ, reason="this is the inner run")
def test_no_undefined_behaviour(tmp_path: Path) -> None:
    """The other tests again, under AddressSanitizer and UndefinedBehaviorSanitizer."""
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    # The second one, because a library that Python loads later may throw before it is there.
    runtimes = [
        subprocess.run(
            [*compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so.6")
    ]
    if not all(Path(runtime).is_absolute() for runtime in runtimes):
        pytest.skip("the compiler has no AddressSanitizer")
    environment = os.environ | {
        "LD_PRELOAD": " ".join(runtimes),
        # Python's own leaks are not the subject, nor are exceptions that torch's libraries throw.
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "REPR_TOOLKIT_CACHE": str(tmp_path),
        "REPR_TOOLKIT_CXXFLAGS": "-g1 -O1 -fsanitize=address,undefined -fno-sanitize-recover=all",
    }
    chosen = "parameters or every_size or edges or threads_changes or progress"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-v", __file__, "-k", chosen],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "SKIPPED" not in done.stdout
    assert "passed" in done.stdout
