"""A convolutional bottleneck: the encoder of an autoencoder."""

from torch import Tensor, nn

from repr_toolkit.encoders.images import scaled_images


class ConvBottleneck(nn.Module):
    """An image to h by strided convolutions, then one linear map of the last feature maps.

    Each convolution halves height and width, until the longer side is at most 4; the first has
    `features` maps and each further one twice as many, up to 4·`features`. Any image_shape
    (C, H, W); values are 0…levels−1.

    >>> import torch
    >>> encoder = ConvBottleneck((1, 28, 28), h_dim=10)
    >>> encoder(torch.zeros(4, 1, 28, 28, dtype=torch.uint8)).shape
    torch.Size([4, 10])
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

        Raises as `require_images` does.
        """
        dtype = self.bottleneck.weight.dtype
        scaled = scaled_images(x, self.levels, self.image_shape, dtype)
        h: Tensor = self.bottleneck(self.features(scaled))
        return h.to(dtype)  # autocast would leave it in bfloat16
