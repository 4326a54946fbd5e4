"""PixelCNN++: held against the published network, written plainly, and its initialisation."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from cases import CATEGORICAL, H, pixelcnnpp, random_h, random_images
from torch import Tensor, nn

from repr_toolkit.decoders import PixelCNNpp
from repr_toolkit.decoders.pixelcnnpp.blocks import concatenated_elu, one_exponential
from repr_toolkit.decoders.pixelcnnpp.layers import ShiftedConv, ShiftedTranspose, WeightNormalised
from repr_toolkit.decoders.pixelcnnpp.preparation import draws_apart, initialising
from repr_toolkit.testing import check


class Reference:
    """The network as published, on images whose sides are multiples of 2^(scales−1).

    One convolution a kernel's entry, by sums over shifted maps.
    """

    def __init__(self, model: PixelCNNpp) -> None:
        self.model, self.weights = model, model.state_dict()

    def of(self, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """A convolution's v, gain and bias."""
        weight, gain, bias = (self.weights[f"{name}.{x}"] for x in ("weight", "gain", "bias"))
        return weight, gain, bias

    def conv(self, name: str, x: Tensor, *, right: bool, stride: int = 1) -> Tensor:
        v, g, b = self.of(name)
        rows, columns = v.shape[2:]
        left = columns - 1 if right else columns // 2
        height, width = x.shape[2:]
        x = F.pad(x, (left, columns - 1 - left, rows - 1, 0))
        total = b.view(1, -1, 1, 1)
        for i, j in product(range(rows), range(columns)):
            kernel = g[:, None] * v[:, :, i, j] / v.flatten(1).norm(dim=1)[:, None]
            seen = x[:, :, i : i + height : stride, j : j + width : stride]
            total = total + torch.einsum("oi,bihw->bohw", kernel, seen)
        return total

    def transpose(self, name: str, x: Tensor, *, right: bool) -> Tensor:
        v, g, b = self.of(name)
        rows, columns = v.shape[2:]
        height, width = 2 * x.shape[2], 2 * x.shape[3]
        whole = x.new_zeros(len(x), v.shape[1], height + rows, width + columns)
        for i, j in product(range(rows), range(columns)):
            kernel = g * v[:, :, i, j] / v.square().sum((0, 2, 3)).sqrt()
            made = torch.einsum("io,bihw->bohw", kernel, x)
            whole[:, :, i : i + height : 2, j : j + width : 2] += made
        first = 0 if right else columns // 2
        return whole[:, :, :height, first : first + width] + b.view(1, -1, 1, 1)

    def block(
        self, name: str, x: Tensor, beside: list[Tensor], s: Tensor | None, right: bool
    ) -> Tensor:
        inside = self.conv(f"{name}.first", elus([x]), right=right)
        if beside:
            inside = inside + self.conv(f"{name}.beside", elus(beside), right=right)
        both = self.conv(f"{name}.second", elus([inside]), right=right)
        if s is not None:
            both = both + F.conv2d(s, self.weights[f"{name}.condition.weight"])
        a, b = both.chunk(2, 1)
        return x + a * torch.sigmoid(b)

    def right(self, image: Tensor, s: list[Any]) -> Tensor:
        """The right stream's last maps, of images with a channel of ones."""
        model = self.model
        down = moved_down(self.conv("first.down", image, right=False))
        right = moved_down(self.conv("first.above", image, right=False))
        left = self.conv("first.left", image, right=True)
        right = right + F.pad(left, (1, 0))[..., :-1]
        passed = [(down, right)]
        for scale in range(model.scales):
            if scale:
                down = self.conv(f"shrink.{scale - 1}.down", down, right=False, stride=2)
                right = self.conv(f"shrink.{scale - 1}.right", right, right=True, stride=2)
                passed.append((down, right))
            for i in range(len(model.inward[scale])):
                name = f"inward.{scale}.{i}"
                down = self.block(f"{name}.down", down, [], s[scale], False)
                right = self.block(f"{name}.right", right, [down], s[scale], True)
                passed.append((down, right))
        passed.pop()
        for scale in reversed(range(model.scales)):
            for i in range(len(model.outward[scale])):
                name = f"outward.{scale}.{i}"
                before = passed.pop()
                down = self.block(f"{name}.down", down, [before[0]], s[scale], False)
                right = self.block(f"{name}.right", right, [down, before[1]], s[scale], True)
            if scale:
                down = self.transpose(f"enlarge.{scale - 1}.down", down, right=False)
                right = self.transpose(f"enlarge.{scale - 1}.right", right, right=True)
        assert not passed
        return right

    def params(self, x: Tensor, h: Tensor | None) -> Tensor:
        """Of padded images, cropped."""
        model = self.model
        cell = 2 ** (model.scales - 1)
        height, width = x.shape[2:]
        rows, columns = (side + -side % cell for side in (height, width))
        scaled = 2 * x.double() / (model.levels - 1) - 1
        image = x.new_zeros(len(x), x.shape[1] + 1, rows, columns, dtype=torch.float64)
        image[:, :-1, :height, :width] = scaled
        image[:, -1, :height, :width] = 1
        maps_of_h: list[Any] = [None] * model.scales
        if h is not None:
            assert model.conditioning is not None
            s = model.conditioning(h)
            padded = s.new_zeros(*s.shape[:2], rows, columns)
            padded[:, :, :height, :width] = s
            if everywhere := s.shape[2:] == (1, 1):
                padded[:] = s

            def inside(row: int, column: int, n: int) -> int:
                """How many of a cell's positions have an s: those of the image, or all."""
                if everywhere:
                    return n * n
                return max(0, min(n, height - row)) * max(0, min(n, width - column))

            for scale in range(model.scales):
                n = 2**scale
                cells = [
                    padded[:, :, r : r + n, c : c + n].sum((2, 3)) / max(1, inside(r, c, n))
                    for r in range(0, rows, n)
                    for c in range(0, columns, n)
                ]
                maps_of_h[scale] = torch.stack(cells, 2).unflatten(2, (rows // n, columns // n))
        top = F.elu(self.right(image, maps_of_h))[:, :, :height, :width]
        if model.groups == 1:
            return self.masked("head_logits", [top], 1)[0][:, None].movedim(2, -1)
        before = [torch.cat([top, scaled[:, :c]], 1) for c in range(model.groups)]
        hidden = [F.elu(maps) for maps in self.masked("head_hidden", before, 3)]
        before = [torch.cat(hidden[: c + 1], 1) for c in range(model.groups)]
        return torch.stack(self.masked("head_logits", before, 3), 1).movedim(2, -1)

    def masked(self, name: str, seen: list[Tensor], groups: int) -> list[Tensor]:
        """The outputs of each channel group of a 1×1 layer, of the maps that it sees."""
        parts = zip(seen, *(value.chunk(groups) for value in self.of(name)), strict=True)
        made = []
        for maps, v, g, b in parts:
            kernel = v[:, : maps.shape[1], 0, 0]
            kernel = g[:, None] * kernel / kernel.norm(dim=1, keepdim=True)
            made.append(torch.einsum("oi,bihw->bohw", kernel, maps) + b.view(1, -1, 1, 1))
        return made


def elus(maps: list[Tensor]) -> Tensor:
    """The concatenated ELU of the maps side by side."""
    together = torch.cat(maps, 1)
    both = torch.cat([together, -together], 1)
    return torch.where(both > 0, both, both.exp() - 1)


def moved_down(x: Tensor) -> Tensor:
    return F.pad(x, (0, 0, 1, 0))[:, :, :-1]


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((3, 29, 31), {}),
        ((1, 7, 5), {**CATEGORICAL, "blocks": 2}),
        ((3, 7, 5), {**H, **CATEGORICAL, "conditioning": "positional", "map_features": 3}),
        ((3, 7, 5), {**H, "scales": 2}),
        ((1, 6, 7), {"h_shape": (2, 3, 3), "scales": 4}),
    ],
)
@torch.no_grad()
def test_it_is_the_published_network_on_the_padded_image(
    shape: tuple[int, int, int], settings: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    model = pixelcnnpp(shape, **settings).build(features=3)
    x, h = random_images(model, 2), random_h(model, 2)
    expected = Reference(model).params(x, h)
    params = model.params(x, h)
    torch.testing.assert_close(params, expected, rtol=1e-9, atol=1e-9)
    log_prob = model.likelihood.log_prob(expected, x).flatten(1).sum(1)
    torch.testing.assert_close(model.log_prob(x, h), log_prob, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("likelihood", ["logistic_mixture", "categorical"])
def test_a_size_that_is_padded_is_causal(likelihood: str) -> None:
    """Chosen pixels of 29×31, at borders and within, depend on pixels before them alone."""
    torch.manual_seed(0)
    model = pixelcnnpp((3, 29, 31), likelihood=likelihood).build()
    height, width = model.image_shape[1:]
    x = random_images(model, 1).double().requires_grad_()
    params = model.params(x)  # (1, 1 or 3, H, W, K)
    place = torch.arange(height * width).view(height, width)
    for row, column in [(0, 0), (0, 30), (1, 0), (11, 30), (14, 13), (15, 16), (28, 0), (28, 30)]:
        for g in range(params.shape[1]):
            total = params[0, g, row, column].sum()
            (by_x,) = torch.autograd.grad(total, x, retain_graph=True)
            seen = by_x[0] != 0  # (C, H, W)
            assert not seen[:, place > place[row, column]].any()
            own = seen[:, row, column].tolist()
            assert own == [channel < g for channel in range(3)]
            near = [(r, c) for r, c in [(row, column - 1), (row - 1, column)] if min(r, c) >= 0]
            assert all(seen[:, r, c].all() for r, c in near)


@pytest.mark.parametrize("blocks", [1, 2])
def test_check_finds_nothing_against_few_blocks(blocks: int) -> None:
    check("repr_toolkit.decoders.PixelCNNpp", features=3, mixtures=1, blocks=blocks)


@contextmanager
def outputs(model: PixelCNNpp) -> Iterator[dict[str, Tensor]]:
    """What each weight-normalised convolution gives, by its name, once something is computed."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda layer, inputs, output: seen.update({name: output})

    hooks = [
        layer.register_forward_hook(keep(name))
        for name, layer in model.named_modules()
        if isinstance(layer, WeightNormalised)
    ]
    yield seen
    for hook in hooks:
        hook.remove()


def prepared(**settings: Any) -> tuple[PixelCNNpp, Tensor, Tensor | None]:
    """A model in training, prepared by the images x and h, float32."""
    torch.manual_seed(0)
    settings = {"features": 5, "blocks": 1, "levels": 8, "mixtures": 2} | settings
    model = PixelCNNpp((3, 9, 10), **settings).train()
    x, h = random_images(model, 16), random_h(model, 16)
    model.prepare(iter([(x, h), (x * 0, h)]))
    return model, x, h


@pytest.mark.parametrize(
    "settings", [{}, H | CATEGORICAL, {"dropout": 0.0, "h_shape": (2, 3, 3), "scales": 4}]
)
@torch.no_grad()
def test_preparing_gives_each_output_its_mean_and_deviation(settings: dict[str, Any]) -> None:
    """On the first batch, in the very pass that preparing made: with the same dropout."""
    model, x, h = prepared(**settings)
    with outputs(model) as seen, draws_apart(x.device):
        model.params(x, h)
    layers = dict(model.named_modules())
    assert len(seen) == len(model.convolutions()) >= 57
    for name, output in seen.items():
        scale = 0.1 if name.endswith(".second") else 1.0
        assert layers[name].init_scale == scale
        assert output.mean((0, 2, 3)).abs().max() < 0.05 * scale, name
        deviation = output.std((0, 2, 3), correction=0)
        torch.testing.assert_close(deviation, torch.full_like(deviation, scale), rtol=1e-3, atol=0)
    with outputs(model) as seen:
        model.params(x, h)  # with dropout of another seed
    means = torch.cat([output.mean((0, 2, 3)) for output in seen.values()])
    assert (means.abs().max() > 1e-3) == (settings.get("dropout") != 0)


@torch.no_grad()
def test_preparing_leaves_random_numbers_alone_and_depends_on_its_batch_alone() -> None:
    model, x, h = prepared()
    again = deepcopy(model)
    again.prepared.fill_(False)
    for layer in again.convolutions():
        nn.init.normal_(layer.gain)
    torch.rand(3)
    state = torch.get_rng_state()
    again.prepare([(x, h)])
    assert torch.equal(state, torch.get_rng_state())
    after = again.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in model.state_dict().items())


@torch.no_grad()
def test_what_was_prepared_or_loaded_is_not_initialised_again() -> None:
    model, x, h = prepared()
    loaded = PixelCNNpp((3, 9, 10), levels=8, features=5, blocks=1, mixtures=2)
    loaded.load_state_dict(model.state_dict())
    before = deepcopy(model.state_dict())
    for one in (model, loaded):
        one.prepare([(x // 2, h)])
        assert all(torch.equal(before[name], value) for name, value in one.state_dict().items())
    with pytest.raises(ValueError, match="there is none"):
        PixelCNNpp((3, 9, 10), features=5).prepare([])


@pytest.mark.parametrize("layer", ["conv", "transpose"])
@torch.no_grad()
def test_an_output_that_does_not_vary_keeps_its_gain(layer: str) -> None:
    torch.manual_seed(0)
    made: Any = (
        ShiftedConv(3, 4, "down", kernel=(1, 1), init_scale=0.1)
        if layer == "conv"
        else ShiftedTranspose(3, 4, "right")
    )
    constant = torch.full((2, 3, 4, 4), 0.3)
    if layer == "transpose":
        made.weight[:, 0] = made.weight[:, 0, :1, :1]  # the first output is constant
    with initialising([made]):
        output = made(constant)
    flat = slice(None) if layer == "conv" else slice(1)
    assert torch.equal(made.gain[flat], torch.full_like(made.gain[flat], made.init_scale))
    assert output[:, flat].abs().max() < 1e-6
    if layer == "transpose":
        deviation = output[:, 1:].std((0, 2, 3), correction=0)
        torch.testing.assert_close(deviation, torch.ones(3))


@torch.no_grad()
def test_flat_images_prepare_a_model_that_is_finite() -> None:
    torch.manual_seed(0)
    model = PixelCNNpp((1, 4, 4), levels=8, features=4, blocks=1, scales=1).train()
    x = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    model.prepare([(x, None)])
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert model.eval().log_prob(x).isfinite().all()


@pytest.mark.parametrize("axis", [0, 1])
def test_kernels_are_normalised_over_all_that_an_output_sees(axis: int) -> None:
    """A transposed convolution's (in, out, kh, kw) over in, kh and kw."""
    torch.manual_seed(0)
    layer: Any = ShiftedTranspose(3, 4, "down") if axis else ShiftedConv(3, 4, "down")
    nn.init.uniform_(layer.gain, 1, 2)
    kernel = layer.kernel()
    norms = kernel.transpose(0, axis).flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, layer.gain.detach())
    with torch.no_grad():
        layer.weight.mul_(3)
    torch.testing.assert_close(layer.kernel(), kernel)


def test_impossible_sizes_are_refused() -> None:
    for arguments in ({"features": 0}, {"blocks": 0}, {"scales": 0}, {"dropout": 1.0}):
        with pytest.raises(ValueError, match=r"at least 1|dropout is in"):
            PixelCNNpp((1, 4, 4), **({"features": 4} | arguments))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_form_for_the_compiler_is_the_concatenated_elu(dtype: torch.dtype) -> None:
    values = torch.tensor([[-200.0, -5, -1e-3, -0.0, 0, 1e-3, 5, 200]], dtype=dtype)
    found, expected = (values.clone().requires_grad_() for _ in range(2))
    weights = torch.linspace(1, 2, 16, dtype=dtype).view(1, -1)
    for maps, function in ((found, one_exponential), (expected, concatenated_elu)):
        (function(maps) * weights).sum().backward()
    tolerance = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        one_exponential(values), concatenated_elu(values), rtol=0, atol=tolerance
    )
    torch.testing.assert_close(found.grad, expected.grad, rtol=0, atol=tolerance)
