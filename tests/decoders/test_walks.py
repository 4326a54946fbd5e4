"""A walk's steps can be recorded once a kind and replayed, which needs no GPU to be shown."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import Case, draw_for, small_pixelcnn, those
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from repr_toolkit.decoders.engines import cached, graph

Step = Callable[[], None]


def has_walk(case: Case) -> bool:
    return "graph" in case.make.engines


class Recording(TorchDispatchMode):
    """A CUDA graph in small: the operations of one run, replayed on the memory of that run."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []
        with self:
            step()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        # A value that leaves the device (as .item() or nonzero take one) cannot be recorded.
        assert torch.Tag.data_dependent_output not in func.tags, func
        if torch.Tag.dynamic_output_shape in func.tags:
            # An index of integers has their shape; one of bools waits for their count.
            assert func is torch.ops.aten.index.Tensor, func
            assert all(x.dtype == torch.int64 for x in tree_leaves(args[1]) if x is not None)
        given = {x.untyped_storage().data_ptr() for x in tree_leaves(args) if torch.is_tensor(x)}
        made = [x for x in tree_leaves(result) if x.untyped_storage().data_ptr() not in given]
        self.calls.append((func, args, kwargs, made))
        return result

    def replay(self) -> None:
        for func, args, kwargs, made in self.calls:
            result = tree_leaves(func(*args, **kwargs))
            if made:
                for then, now in zip(made, result, strict=True):
                    then.copy_(now)


@those(has_walk)
@torch.inference_mode()
def test_recorded_steps_draw_the_image(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build()
    draw = draw_for(model, case)
    recordings: list[Recording] = []

    def record(step: Step, start: Step) -> Step:
        start()
        recordings.append(Recording(step))
        return recordings[-1].replay

    images = graph.replayed(model.walk(draw.h, 3), draw, record)
    assert torch.equal(images, cached.sample(model, draw))
    kinds = {
        (axis, kind)
        for row in range(case.shape[1])
        for column in range(case.shape[2])
        for axis, kind in enumerate(model.walk(draw.h, 3).kinds(row, column))
    }
    assert len(recordings) == len(kinds)


@those(has_walk)
@torch.inference_mode()
def test_restart_forgets_every_step(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build()
    draw = draw_for(model, case)
    walk = model.walk(draw.h, 3)
    row_kind, pixel_kind = walk.kinds(0, 0)
    walk.row(row_kind)
    walk.pixel(pixel_kind)
    for c in range(case.shape[0]):
        if c < walk.groups:
            walk.params(c)
        walk.take(c, torch.full((3,), model.levels - 1))
    replayed = graph.replayed(walk, draw, lambda step, start: step)
    assert torch.equal(replayed, cached.sample(model, draw))


def test_off_cuda_it_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="'graph' cannot run here: it needs a CUDA device"):
        small_pixelcnn((1, 4, 4)).sample(engine="graph")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@those(has_walk)
def test_on_cuda_it_draws_the_naive_images(case: Case) -> None:
    torch.manual_seed(0)
    model = case.build()
    draw = draw_for(model, case)
    model = model.cuda()
    n = 3 if draw.h is None else None
    options = {"noise": draw.noise, "temperature": draw.temperature}
    options |= {"known": draw.known, "mask": draw.mask}
    assert model.obstacle("graph") is None
    naive = model.sample(draw.h, n, **options, engine="naive")
    for _ in range(2):  # graphs are recorded anew, and freed, in every call
        assert torch.equal(model.sample(draw.h, n, **options, engine="graph"), naive)
