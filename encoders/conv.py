"""A convolutional bottleneck: the encoder of an autoencoder."""

import torch
from torch import Tensor, nn


class ConvBottleneck(nn.Module):
    """An image to h by strided convolutions, then one linear map of the last feature maps.

    Each convolution halves height and width, until the longer side is at most 4; the first has
    `features` maps and each further one twice as many, up to 4·`features`. Any image_shape
    (C, H, W); values are 0…levels−1.
    """

    source = "image"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int,
        levels: int = 256,
        *,
        features: int = 32,
    ) -> None:
        super().__init__()
        if h_dim < 1:
            raise ValueError(f"h_dim is at least 1, not {h_dim}")
        channels, height, width = image_shape
        self.image_shape = image_shape
        self.h_dim = h_dim
        self.levels = levels
        stages: list[nn.Module] = [nn.Conv2d(channels, features, 3, padding=1), nn.ReLU()]
        maps = features
        while max(height, width) > 4:
            wider = min(2 * maps, 4 * features)
            stages += [nn.Conv2d(maps, wider, 3, stride=2, padding=1), nn.ReLU()]
            height, width, maps = -(-height // 2), -(-width // 2), wider
        self.features = nn.Sequential(*stages, nn.Flatten())
        self.bottleneck = nn.Linear(maps * height * width, h_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Images uint8 (B, C, H, W) to h (B, h_dim), in the parameters' dtype.

        Raises TypeError for another dtype, ValueError for another shape or, on a CPU, for values
        beyond the levels.
        """
        if x.dtype != torch.uint8:
            raise TypeError(f"images are uint8 with values 0…{self.levels - 1}, not {x.dtype}")
        if tuple(x.shape[1:]) != tuple(self.image_shape):
            raise ValueError(
                f"images of shape (B, {', '.join(map(str, self.image_shape))}) expected, "
                f"not {tuple(x.shape)}"
            )
        # On an accelerator the check would make every step wait for the device, and in a compiled
        # step it would break the graph.
        checked = x.device.type == "cpu" and not torch.compiler.is_compiling()
        if checked and self.levels < 256 and x.numel() and x.max() >= self.levels:
            raise ValueError(
                f"an image has the value {int(x.max())}, but this encoder's levels are "
                f"0…{self.levels - 1}"
            )
        scaled = x.to(self.bottleneck.weight.dtype) * (2 / (self.levels - 1)) - 1
        h: Tensor = self.bottleneck(self.features(scaled))
        return h.to(self.bottleneck.weight.dtype)  # autocast would leave it in bfloat16
