"""The activations of any layer of any torch network as h."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from difflib import get_close_matches
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repr_toolkit.encoders.images import require_images
from repr_toolkit.encoders.networks import IMAGENET, build_network, inputs_of
from repr_toolkit.encoders.state import weights_digest

Function = TypeVar("Function")
uncompiled: Callable[[Function], Function] = torch.compiler.disable
POOLS = {
    "mean": "mean over places",
    "max": "max over places",
    "none": "flattened",
    "cls": "class token",
    "patches": "mean over patches",
}
MOST_PREFIXED = 32  # tokens before those of the patches
LARGE = 16  # pixels; smaller images may well end in maps of one
GREY = (0.299, 0.587, 0.114)  # luma of R, G and B (ITU-R BT.601)


class LayerActivations(nn.Module):
    """h is the output of a layer of a network for the image, pooled to one vector.

    `model` is an nn.Module, which is copied, or the import path of a class or function that gives
    one: torchvision.models.resnet18, timm.create_model, or your own class. It is called with
    `init_args`, and with image_shape and levels if it has parameters for them. `layer` is a name
    from the network's `named_modules`; None takes the output of the network. A module that is
    called several times in one pass gives the output of its first call. `pool` makes one vector of
    spatial maps (B, C, H, W) or of tokens (B, T, C): their "mean", their "max", or "none", which
    flattens them; of tokens "cls", the class token alone, and "patches", the mean of the patches
    alone. Maps (B, H, W, C) are recognised by their shape, and the axis of the images by what
    grows with them.
    `weights` is a file or a name (see `networks.build_network`); None draws the weights by `seed`.
    Images, with values 0…levels−1, are resized to `size` (one side, or height and width) with
    antialiasing, repeated to RGB or turned to grey as the network needs, and scaled to
    (x − `mean`) / `std` of intensities x in [0, 1]. What is None the network or its library
    states (see `networks.inputs_of`); where they state nothing, images keep their size, and mean
    and std are ImageNet's. A network that is itself an encoder takes the images as they are.

    Frozen: no gradients, full precision under autocast, and eval mode even after `train()`.

    Attributes: `h_dim`; `description`, how images and the layer's output are processed;
    `identity`, that description with a digest of it and of the weights; `input`, how images are
    processed; `caution`, why they may be too small for the network, or "".

    Raises ValueError for a layer that the network lacks (with close names) or does not use, and
    for images that it does not take; and as `build_network` does.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, kernel_size=3), nn.ReLU())
    >>> encoder = LayerActivations(net, "0", image_shape=(3, 16, 16))
    >>> encoder(torch.zeros(4, 3, 16, 16, dtype=torch.uint8)).shape
    torch.Size([4, 8])
    """

    source = "image"

    def __init__(
        self,
        model: str | nn.Module,
        layer: str | None = None,
        pool: str = "mean",
        *,
        init_args: dict[str, Any] | None = None,
        weights: str | None = None,
        seed: int = 0,
        image_shape: tuple[int, int, int] | None = None,
        levels: int = 256,
        size: int | tuple[int, int] | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
    ) -> None:
        super().__init__()
        if pool not in POOLS:
            raise ValueError(f"pool is one of {', '.join(POOLS)}, not {pool!r}")
        self.layer, self.pool, self.levels = layer, pool, levels
        if isinstance(model, nn.Module):
            if init_args or weights is not None:
                raise ValueError("init_args and weights are for a model that is an import path")
            self.name = f"{type(model).__module__}.{type(model).__qualname__}"
            self.net, inputs = deepcopy(model), inputs_of(model)
        else:
            arguments = ", ".join(f"{key}={v}" for key, v in sorted((init_args or {}).items()))
            self.name = f"{model}({arguments})" if arguments else model
            given = {"image_shape": image_shape and tuple(image_shape), "levels": levels}
            provided = {key: value for key, value in given.items() if value is not None}
            self.net, inputs = build_network(
                model, init_args or {}, weights, seed=seed, provided=provided
            )
        _require_layer(self.name, self.net, layer)
        self.is_encoder = hasattr(self.net, "source") and hasattr(self.net, "h_dim")
        if self.is_encoder and self.net.source != "image":
            raise ValueError(f"{self.name} reads {self.net.source!r}, not images")
        shape = image_shape or (3, *(inputs.size or (224, 224)))
        # The channels that the first convolution reads.
        channels = next((m.in_channels for m in self.net.modules() if isinstance(m, nn.Conv2d)), 0)
        self.channels = shape[0] if self.is_encoder else channels or shape[0]
        if self.channels not in (1, 3):
            raise ValueError(f"{self.name} reads {self.channels} channels, and images have 1 or 3")
        if isinstance(size, int):
            size = (size, size)
        self.size = None if self.is_encoder else size or inputs.size
        self.made_for = inputs.size
        self.interpolation = inputs.interpolation
        self.mean: Tensor
        self.std: Tensor
        for key, values in {"mean": mean or inputs.mean, "std": std or inputs.std}.items():
            if len(values) != self.channels:
                values = [sum(values) / len(values)] * self.channels
            self.register_buffer(key, torch.tensor(values).view(-1, 1, 1))
        self.luma: Tensor
        self.register_buffer("luma", torch.tensor(GREY).view(-1, 1, 1), persistent=False)
        # A buffer, so that the saved weights of a run bring their size with them.
        self.geometry: Tensor
        bicubic = int(self.interpolation == "bicubic")
        self.register_buffer("geometry", torch.tensor([*(self.size or (0, 0)), bicubic]))
        self.net.requires_grad_(False)
        self.train(self.training)
        # _find_h_dim sets these.
        self.has_places = self.channels_last = False
        self.batch_axis = self.prefixed = 0
        self.smallest: tuple[int, int] | None = None
        self.h_dim = self._find_h_dim(shape)

    def train(self, mode: bool = True) -> "LayerActivations":
        """As for every module, except that the network stays in eval mode."""
        super().train(mode)
        self.net.eval()
        return self

    @uncompiled  # an exception stops the network, which no graph can hold
    def forward(self, x: Tensor) -> Tensor:
        """Images uint8 (B, C, H, W) to h, float32 (B, h_dim).

        Raises as `require_images` does.
        """
        require_images(x, self.levels)
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            h = self.pooled(self.activation(self.prepared(x)), len(x))
        if h.shape[1] != self.h_dim:
            raise ValueError(
                f"images of shape {tuple(x.shape[1:])} give {h.shape[1]} activations, but h_dim "
                f"is {self.h_dim}: give the size that all are brought to"
            )
        return h

    def prepared(self, x: Tensor) -> Tensor:
        """The network's input for images uint8 (B, C, H, W)."""
        if self.is_encoder:
            return x
        values = x.to(torch.float32) / (self.levels - 1)
        if self.channels == 3:
            values = values.expand(-1, 3, -1, -1)
        elif x.shape[1] == 3:
            values = (values * self.luma).sum(1, keepdim=True)
        if self.size is not None and tuple(x.shape[2:]) != self.size:
            mode = self.interpolation  # antialiasing acts only on sides that shrink
            values = F.interpolate(values, self.size, mode=mode, antialias=True).clamp(0, 1)
        parameter = next((p for p in self.net.parameters() if p.is_floating_point()), None)
        scaled = (values - self.mean) / self.std
        return scaled if parameter is None else scaled.to(parameter.dtype)

    def activation(self, prepared: Tensor) -> Tensor:
        """The layer's output, (B, …); the pass stops at the layer."""
        if self.layer is None:
            return self._batch_first(_tensor(self.net(prepared)))

        def stop(module: nn.Module, arguments: Any, output: Any) -> None:
            raise _Reached(output)

        # For this pass only, so that no copy, pickle or later pass of the network has the hook.
        handle = self.net.get_submodule(self.layer).register_forward_hook(stop)
        try:
            self.net(prepared)
        except _Reached as reached:
            return self._batch_first(_tensor(reached.output))
        finally:
            handle.remove()
        raise ValueError(f"{self.name} does not use its layer {self.layer!r} for an image")

    def _batch_first(self, output: Tensor) -> Tensor:
        return output.movedim(self.batch_axis, 0) if self.batch_axis else output

    def pooled(self, activation: Tensor, count: int) -> Tensor:
        """One vector for each image, float32 (count, h_dim)."""
        if activation.ndim < 2 or len(activation) != count:
            raise ValueError(
                f"the layer {self.layer!r} of {self.name} gives the shape "
                f"{tuple(activation.shape)} for {count} images, not one entry an image"
            )
        if self.pool in ("cls", "patches"):
            first = self.prefixed
            part = activation[:, :1] if self.pool == "cls" else activation[:, first:]
            activation = part.mean(1)
        elif activation.ndim > 2 and self.pool != "none":
            tokens = activation.ndim == 3 or self.channels_last
            axes = tuple(range(1, activation.ndim - 1) if tokens else range(2, activation.ndim))
            activation = activation.mean(axes) if self.pool == "mean" else activation.amax(axes)
        return activation.flatten(1).to(torch.float32)

    @property
    def description(self) -> str:
        """Layer, pooling and preprocessing of the images, in words."""
        layer = self.layer or "output"
        words = [f"{self.name} {layer}", *([POOLS[self.pool]] if self.has_places else [])]
        return ", ".join([*words, *([self.input] if self.input else [])])

    @property
    def input(self) -> str:
        """Size, channels and scale of the network's input, in words; "" for an encoder's images."""
        if self.is_encoder:
            return ""
        side = "in their own size"
        if self.size is not None:
            side = f"{self.interpolation} to {_by(self.size)}"
        mean, std = ([round(v, 4) for v in t.flatten().tolist()] for t in (self.mean, self.std))
        imagenet = (mean, std) == tuple([round(v, 4) for v in values] for values in IMAGENET)
        scale = "ImageNet's mean and std" if imagenet else f"mean {mean} and std {std}"
        return f"images {side}, in {'RGB' if self.channels == 3 else 'grey'}, scaled by {scale}"

    @property
    def caution(self) -> str:
        """Why its images may be too small for the network, in a sentence; "" if they are not."""
        side = self.size or self.image_size
        if self.is_encoder:
            return ""
        if self.made_for is not None:
            if 2 * max(side) > max(self.made_for):
                return ""
            return f"{self.name} was made for images of {_by(self.made_for)} and gets {_by(side)}"
        if self.smallest is None or max(self.smallest) > 1 or max(side) < LARGE:
            return ""
        return (
            f"{self.name} states no size that it was made for, and of images of {_by(side)} its "
            f"last maps are of {_by(self.smallest)}: it may have been made for larger ones"
        )

    @property
    def identity(self) -> str:
        """The description and a short digest of it and of the weights."""
        return f"{self.description}, {weights_digest(self, self.description)[:12]}"

    def _find_h_dim(self, image_shape: tuple[int, int, int]) -> int:
        """h_dim, from black images; sets what is known of the layer's output by its shape, too."""
        self.image_size = image_shape[1:]
        images = torch.zeros(2, *image_shape, dtype=torch.uint8)
        try:
            with torch.no_grad():
                prepared = self.prepared(images)
                with self._maps_watched():
                    output = self.activation(prepared)
                if [*output.shape].count(2) != 1 or output.shape[0] != 2:  # which are the images?
                    more = self.activation(self.prepared(images[[0, 0, 1]]))
                    pairs = zip(output.shape, more.shape, strict=False)
                    grown = [pair == (2, 3) for pair in pairs]
                    self.batch_axis = grown.index(True) if True in grown else 0
                    output = self._batch_first(output)
        except (RuntimeError, AssertionError, TypeError, IndexError) as error:
            reason = " ".join(str(error).split())[:200]
            shape = "×".join(map(str, (self.channels, *(self.size or image_shape[1:]))))
            raise ValueError(
                f"{self.name} does not take images of {shape} ({reason}); give another size, "
                f"or arguments for this one"
            ) from error
        self.has_places = output.ndim > 2
        height, width = prepared.shape[2:]
        if output.ndim == 4:
            first, last = (_fits(output.shape[i : i + 2], height, width) for i in (2, 1))
            self.channels_last = last and not first
        if self.pool in ("cls", "patches"):
            self.prefixed = self._prefix(output, height, width)
        return self.pooled(output, len(images)).shape[1]

    def _prefix(self, output: Tensor, height: int, width: int) -> int:
        """How many tokens stand before those of the patches, the class token first.

        Raises ValueError for an output that is no tokens, or has no class token where it is pooled.
        """
        layer = f"the {'layer ' + repr(self.layer) if self.layer else 'output'} of {self.name}"
        if output.ndim != 3:
            shape = tuple(output.shape[1:])
            raise ValueError(f"{layer} gives no tokens but {shape}: pool it by mean, max or none")
        cuts = (m for m in self.net.modules() if isinstance(m, nn.Conv2d))
        cut = next((m for m in cuts if m.kernel_size == m.stride != (1, 1)), None)
        if cut is None:
            raise ValueError(f"{self.name} cuts no patches, so that {layer} has no class token")
        patches = (height // int(cut.stride[0])) * (width // int(cut.stride[1]))
        prefix = output.shape[1] - patches
        if not 0 <= prefix <= MOST_PREFIXED or (self.pool == "cls" and prefix == 0):
            raise ValueError(
                f"{layer} has {output.shape[1]} tokens of {patches} patches, so that "
                f"there is no telling the class token: pool it by mean, max or none"
            )
        return prefix

    @contextmanager
    def _maps_watched(self) -> Iterator[None]:
        """Note the smallest maps that a convolution over several pixels gives."""

        def note(module: nn.Module, arguments: Any, output: Tensor) -> None:
            height, width = output.shape[-2:]
            self.smallest = min(self.smallest or (height, width), (height, width), key=max)

        spatial = (m for m in self.net.modules() if isinstance(m, nn.Conv2d))
        handles = [m.register_forward_hook(note) for m in spatial if max(m.kernel_size) > 1]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *rest: Any, **more: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest, **more)
        height, width, bicubic = self.geometry.tolist()
        self.size = (height, width) if height else None
        self.interpolation = "bicubic" if bicubic else "bilinear"


class _Reached(Exception):
    """The layer gave its output, so that the rest of the network need not run."""

    def __init__(self, output: Any) -> None:
        self.output = output


def _require_layer(name: str, net: nn.Module, layer: str | None) -> None:
    layers = [known for known, _ in net.named_modules() if known]
    if layer is not None and layer not in layers:
        close = get_close_matches(layer, layers, n=5, cutoff=0.5)
        hint = "close ones are" if close else "it has, among others,"
        known = close or [key for key, _ in net.named_children()]
        raise ValueError(f"{name} has no layer {layer!r}; {hint} {', '.join(known)}")


def _tensor(output: Any) -> Tensor:
    """The first tensor of a module's output: itself, or in a tuple, list or mapping."""
    parts = output.values() if isinstance(output, Mapping) else output
    for part in parts if isinstance(output, Mapping | tuple | list) else [output]:
        if isinstance(part, Tensor):
            return part
    raise ValueError(f"the layer gives a {type(output).__name__} without a tensor")


def _by(size: tuple[int, ...]) -> str:
    return "×".join(map(str, size))


def _fits(side: torch.Size, height: int, width: int) -> bool:
    """Whether two lengths have the aspect ratio of an image, up to rounding."""
    return abs(side[0] * width - side[1] * height) < max(height, width)
