"""The graph engine: its steps can be recorded once and replayed, which needs no GPU to be shown."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from decoders_models import MODELS, condition, small_pixelcnn
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from repr_toolkit.decoders.engines.cached import Steps, sample
from repr_toolkit.decoders.engines.draw import Draw


class Recording(TorchDispatchMode):
    """A CUDA graph in small: the operations of one run, replayed on the memory of that run."""

    def __init__(self, step: Callable[[], None]) -> None:
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
        assert torch.Tag.dynamic_output_shape not in func.tags, func
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


@pytest.mark.parametrize(("image_shape", "kwargs"), MODELS)
@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("complete", [False, True])
@torch.inference_mode()
def test_recorded_steps_draw_the_image(
    image_shape: tuple[int, int, int], kwargs: dict[str, Any], temperature: float, complete: bool
) -> None:
    torch.manual_seed(0)
    model = small_pixelcnn(image_shape, **kwargs)
    h = condition(model, 3).get("h")
    noise = torch.rand(3, *image_shape, dtype=torch.float64)
    known = mask = None
    if complete:
        known = torch.randint(0, model.levels, noise.shape, dtype=torch.uint8)
        mask = torch.rand(noise.shape) < 0.3
    draw = Draw(h, noise, temperature, known, mask)
    steps = Steps(model, draw)
    row, pixel = Recording(steps.row), Recording(steps.pixel)
    assert len(pixel.calls) > 10
    steps.restart()
    images = steps.images(row.replay, pixel.replay)
    assert torch.equal(images, sample(model, draw))


@torch.inference_mode()
def test_restart_forgets_every_step() -> None:
    torch.manual_seed(0)
    model = small_pixelcnn((3, 5, 4), kernel_size=5)
    noise = torch.rand(2, 3, 5, 4, dtype=torch.float64)
    steps = Steps(model, Draw(None, noise))
    first = steps.images(steps.row, steps.pixel)
    steps.restart()
    assert torch.equal(first, steps.images(steps.row, steps.pixel))


def test_off_cuda_it_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="'graph' cannot run here: it needs a CUDA device"):
        small_pixelcnn((1, 4, 4)).sample(engine="graph")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("image_shape", "kwargs"), MODELS)
@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.0])
def test_on_cuda_it_draws_the_naive_images(
    image_shape: tuple[int, int, int], kwargs: dict[str, Any], temperature: float
) -> None:
    torch.manual_seed(0)
    model = small_pixelcnn(image_shape, **kwargs).cuda()
    arguments = condition(model, 3) | {
        "noise": torch.rand(3, *image_shape, dtype=torch.float64),
        "temperature": temperature,
        "known": torch.randint(0, model.levels, (3, *image_shape), dtype=torch.uint8),
        "mask": torch.rand(image_shape) < 0.3,
    }
    assert model.obstacle("graph") is None
    naive = model.sample(**arguments, engine="naive")
    for _ in range(2):  # graphs are recorded anew, and freed, in every call
        assert torch.equal(model.sample(**arguments, engine="graph"), naive)
