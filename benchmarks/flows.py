"""Glow against normflows' Glow of the same size: a training step, samples, what a step keeps, bits.

normflows (PyPI) is the extra `bench`; its Glow is built as its own example builds it. Without it
the toolkit's sides stand alone.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from math import inf, log, prod
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.results import Results, compared
from benchmarks.timing import alternate
from benchmarks.training import last_losses, patches
from repr_toolkit.decoders import Flow, Glow
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.training.memory import keep_freed_memory
from repr_toolkit.training.trainer import has_bfloat16

SHAPE, BATCH, SCALES, STEPS, FEATURES = (3, 32, 32), 16, 3, 8, 128
ADDED = 4
"""Steps of flow whose memory is measured, beside those of a shorter one."""
KINDS = ("keep", "recompute", "invert")


def run(rounds: int) -> Results:
    """Training steps, with normflows' and with less memory, then samples."""
    keep_freed_memory()
    torch.manual_seed(0)
    x = torch.randint(0, 256, (BATCH, *SHAPE)).to(torch.uint8)
    results = Results()
    models = {kind: glow(x, memory=kind) for kind in KINDS}
    sides = {
        "compiled": partial(step, models["keep"], torch.compile(models["keep"].loss), x),
        "compiled, a thread for each part": partial(step, *in_parts(models["keep"]), x),
        "eager": partial(step, models["keep"], models["keep"].loss, x),
        **{kind: partial(step, models[kind], models[kind].loss, x) for kind in KINDS[1:]},
    }
    if has_bfloat16("cpu"):
        bf16 = torch.autocast("cpu", torch.bfloat16)(torch.compile(models["keep"].loss))
        sides["compiled, bf16-mixed"] = partial(step, models["keep"], bf16, x)
    drawn: dict[str, Callable[[], object]] = {"Glow": partial(models["keep"].sample, n=BATCH)}
    if find_spec("normflows") is None:
        results.remarks.append("normflows is not installed: pip install 'repr-toolkit[bench]'")
    else:
        other, floats = normflows_glow(), (x + torch.rand(x.shape)) / 256
        other(floats)  # sets its actnorms
        sides["normflows, compiled"] = partial(step, other, torch.compile(other), floats)
        sides["normflows, eager"] = partial(step, other, other, floats)
        drawn["normflows"] = torch.no_grad()(partial(other.sample, BATCH))
    size = f"L = {SCALES}, K = {STEPS}, {FEATURES} features, 32×32 RGB, batch {BATCH}"
    work = f"training step, Glow {size}, seconds"
    # The first run of a compiled side takes a minute, and is not what its steps take.
    results.add(compared(alternate(work, sides, rounds=rounds, limit=inf), "compiled"))
    work = f"sampling {BATCH} images, Glow {size}, seconds"
    results.add(compared(alternate(work, drawn, rounds=rounds), "Glow"))
    for kind in KINDS:
        kept = kept_by_a_step(kind) / 2**20
        results.remarks.append(f"Glow, memory: {kind} keeps {kept:.3f} MB for each added step")
    return results


def losses(steps: int = 200, seeds: int = 3) -> tuple[Table, dict[str, Any]]:
    """The bits of Glow and of normflows' over equal steps of Adam, from the same images.

    Both see the same noise; normflows counts the density of images in [0, 1).
    """
    made: dict[str, list[list[float]]] = {"normflows": [], "Glow": []}
    for seed in range(seeds):
        images = patches(steps, seed)[1].split(BATCH)
        for name, curves in made.items():
            torch.manual_seed(seed)
            model = normflows_glow() if name == "normflows" else glow(images[0])
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
            noise = torch.Generator().manual_seed(seed)
            curves.append([])
            for x in images:
                u = torch.rand(x.shape, generator=noise)
                y = (x + u) / 256
                log_p = -model(y) if name == "normflows" else model.log_density(y - 0.5)
                loss = 8 - log_p.mean() / (prod(SHAPE) * log(2))
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                curves[-1].append(loss.item())
    return last_losses(made)


def glow(x: Tensor, steps: int = STEPS, **options: Any) -> Flow:
    """A prepared Glow for images x."""
    model = Glow(SHAPE, scales=SCALES, steps=steps, features=FEATURES, **options)
    model.train().prepare([(x, None)])
    return model


def in_parts(flow: Flow) -> tuple[EncoderDecoder, Callable[[Tensor], Tensor]]:
    """A flow and its loss as a CPU trains it: compiled, in as many parts of a batch as threads."""
    threads = torch.get_num_threads()
    fitting = {"compile": True, "micro_batch": -(-BATCH // threads), "threads": threads}
    model = EncoderDecoder(None, flow, **fitting)
    model.on_fit_start()
    return model, lambda x: model.training_step({"image": x})


def normflows_glow() -> Any:
    """The same size in normflows: {GlowBlock × K, Squeeze} × L, Gaussian bases."""
    import normflows

    channels, height, width = SHAPE
    bases, merges, flows = [], [], []
    for i in range(SCALES):
        inside = channels * 2 ** (SCALES + 1 - i)
        blocks = [
            normflows.flows.GlowBlock(inside, FEATURES, split_mode="channel", scale=True)
            for _ in range(STEPS)
        ]
        flows.append([*blocks, normflows.flows.Squeeze()])
        deep = SCALES - i
        leaving = (inside // 2 if i else inside, height >> deep, width >> deep)
        merges += [normflows.flows.Merge()] if i else []
        bases.append(normflows.distributions.DiagGaussian(leaving))
    return normflows.MultiscaleFlow(bases, flows, merges, class_cond=False)


def step(model: nn.Module, loss: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """The mean loss of images and its gradients."""
    model.zero_grad()
    loss(x).mean().backward()


def kept_by_a_step(memory: str, batch: int = BATCH) -> float:
    """Bytes that one more step of flow keeps from the forward to the backward pass, at 16×16×12."""
    kept: list[int] = []
    for steps in (1, 1 + ADDED):
        torch.manual_seed(0)
        options: dict[str, Any] = {"features": FEATURES, "memory": memory}
        model = Glow(SHAPE, scales=1, steps=steps, **options).train()
        x = torch.randint(0, 256, (batch, *SHAPE)).to(torch.uint8)
        with Alive() as alive:
            loss = model.loss(x)
        kept.append(alive.bytes)
        del loss
    return (kept[1] - kept[0]) / ADDED


class Alive(TorchDispatchMode):
    """Remembers all memory that operations make; `bytes` is what is still held of it."""

    def __init__(self) -> None:
        untyped: Any = super()
        untyped.__init__()
        self.storages: list[tuple[StorageWeakRef, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.storages.append((StorageWeakRef(storage), storage.nbytes()))
        return result

    @property
    def bytes(self) -> int:
        held = {ref.cdata: size for ref, size in self.storages if not ref.expired()}
        return sum(held.values())
