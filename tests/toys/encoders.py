"""Encoders whose h is known, or that break one promise, and the specifications of small ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional

CONV = {
    "class_path": "repr_toolkit.encoders.ConvBottleneck",
    "init_args": {"h_dim": 3, "features": 4},
}

ONE_HOT = {"class_path": "repr_toolkit.encoders.OneHot", "init_args": {"num_classes": 10}}

WIDE_CONV = {
    "class_path": "repr_toolkit.encoders.ConvBottleneck",
    "init_args": {"h_dim": 6, "features": 4},
}

TRIPLET = {
    "class_path": "repr_toolkit.encoders.TripletNet",
    "init_args": {"h_dim": 6, "features": 8, "augment": False},
}

PIXELS = {"class_path": "toys.encoders.Pixels", "init_args": {"h_dim": 64}}


class Pixels(nn.Module):
    """h is the image itself."""

    source = "image"

    def __init__(self, h_dim: int) -> None:
        super().__init__()
        self.h_dim = h_dim

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).float()


class Thumbnail(nn.Module):
    """h is a map: the mean intensities of the image's quarters."""

    source = "image"
    h_shape = (1, 2, 2)
    h_dim = 4

    def forward(self, x: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(x.float(), 2).mean(1, keepdim=True)


class IsNought(nn.Module):
    """h says whether the label is 0, which a tenth of the labels are."""

    source = "label"
    h_dim = 1

    def forward(self, x: Tensor) -> Tensor:
        return (x == 0).float()[:, None]


class Mean(nn.Module):
    """h is the image's mean intensity."""

    source = "image"
    h_dim = 1

    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean((1, 2, 3))[:, None]


class ChannelMean(nn.Module):
    """h is a linear map of the image's mean intensities; knows no image_shape."""

    source = "image"

    def __init__(self, h_dim: int, channels: int = 1) -> None:
        super().__init__()
        self.h_dim = h_dim
        self.linear = nn.Linear(channels, h_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.float().mean((2, 3)) / 8).float()


class Narrow(nn.Module):
    """Unit vectors that differ by no more than about `width`, which each step multiplies by `fade`.

    As in a collapse: all that comes before is the same constant.
    """

    source = "image"
    h_dim = 4

    def __init__(self, width: float, fade: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("width", torch.tensor(width))
        self.fade = fade
        self.linear = nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.linear(x.flatten(1).float() / 16)
        if self.training:
            self.width *= self.fade
        return functional.normalize(torch.ones(4) + self.width * h.tanh(), dim=1)


class Long(nn.Module):
    """h of any length: the two means of an image's halves, times a weight."""

    source = "image"
    h_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        upper, lower = x.float().mean((1, 3)).tensor_split(2, 1)
        return self.weight * torch.cat([upper.mean(1, True), lower.mean(1, True)], 1)


class NotAModule:
    """No nn.Module at all."""


class ReadsText(nn.Module):
    """An encoder of a batch key that no image data have."""

    source = "text"

    def __init__(self, h_dim: int) -> None:
        super().__init__()
        self.h_dim = h_dim
