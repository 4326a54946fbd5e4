"""A small face net of one's own, for training by triplets."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TripletNet(nn.Module):
    """An image to a unit vector h by strided convolutions and one linear map, as FaceNet's ends.

    F. Schroff et al., "FaceNet", arXiv:1503.03832, §3: h on the unit sphere, for a loss that
    compares distances. Each image is first brought to mean 0 and standard deviation 1, so that
    the light it was taken in counts less. Every convolution halves height and width, until the
    longer side is at most 8; the first has `features` maps (a multiple of 8) and each further one
    twice as many, up to 8·`features`; group normalisation makes an image's h its own affair,
    whatever else is in the batch. Any image_shape (C, H, W); values are 0…levels−1.

    In training mode `augment` shows another view of every image each time (`random_views`), drawn
    on the device from torch's global generator, as dropout is; in eval mode h is deterministic.
    """

    source = "image"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int = 64,
        levels: int = 256,
        *,
        features: int = 32,
        augment: bool = True,
    ) -> None:
        super().__init__()
        if h_dim < 1:
            raise ValueError(f"h_dim is at least 1, not {h_dim}")
        if features < 8 or features % 8:
            raise ValueError(f"features is a multiple of 8, not {features}")
        channels, height, width = image_shape
        self.image_shape = image_shape
        self.h_dim = h_dim
        self.levels = levels
        self.augment = augment
        stages: list[nn.Module] = []
        maps, wider, kernel_size = channels, features, 5
        while max(height, width) > 8 or not stages:
            stages += [
                nn.Conv2d(maps, wider, kernel_size, stride=2, padding=kernel_size // 2),
                nn.GroupNorm(wider // 8, wider),
                nn.ReLU(),
            ]
            height, width = -(-height // 2), -(-width // 2)
            maps, wider, kernel_size = wider, min(2 * wider, 8 * features), 3
        self.features = nn.Sequential(*stages, nn.Flatten())
        self.embedding = nn.Linear(maps * height * width, h_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Images uint8 (B, C, H, W) to h (B, h_dim), float32, of length 1.

        Raises TypeError for another dtype, ValueError for another shape.
        """
        if x.dtype != torch.uint8:
            raise TypeError(f"images are uint8 with values 0…{self.levels - 1}, not {x.dtype}")
        if tuple(x.shape[1:]) != tuple(self.image_shape):
            raise ValueError(
                f"images of shape (B, {', '.join(map(str, self.image_shape))}) expected, "
                f"not {tuple(x.shape)}"
            )
        pixels = x.to(self.embedding.weight.dtype) * (2 / (self.levels - 1)) - 1
        if self.training and self.augment:
            pixels = random_views(pixels)
        h: Tensor = self.embedding(self.features(standardised(pixels)))
        # In the weights' dtype: autocast would leave h, and its length, in bfloat16.
        return functional.normalize(h.to(self.embedding.weight.dtype), dim=1)


def standardised(images: Tensor) -> Tensor:
    """Images (B, C, H, W) in [−1, 1], each with mean 0 and standard deviation 1."""
    offsets = images - images.mean((1, 2, 3), keepdim=True)
    # The constant keeps a single grey tone, or a single pixel, from being divided by 0.
    return offsets / (offsets.square().mean((1, 2, 3), keepdim=True) + 1e-4).sqrt()


def random_views(images: Tensor) -> Tensor:
    """Images (B, C, H, W) in [−1, 1] as they might have been taken too, each drawn for itself.

    Half of them are mirrored; all are turned by up to 10°, scaled by up to 15 % and each side by
    up to 8 % more or less, and shifted by up to 5 % of a side; contrast changes by up to 30 %,
    brightness by up to 0.2. What comes into view continues the border.
    """
    count, _, height, width = images.shape
    device_type = images.device.type
    with torch.autocast(device_type, enabled=False):  # bfloat16 cannot tell neighbouring pixels
        u = 2 * torch.rand(8, count, device=images.device) - 1  # in [−1, 1)
        mirror = torch.where(u[0] < 0, -1.0, 1.0)
        scale, stretch = 1 + 0.15 * u[1], 1 + 0.08 * u[2]
        cos, sin = torch.cos(0.175 * u[3]), torch.sin(0.175 * u[3])
        side = height / width  # in the coordinates of affine_grid both sides have length 2
        x, y = scale * stretch, scale / stretch
        rows = (
            torch.stack([mirror * x * cos, -x * sin * side, 0.1 * u[4]], 1),
            torch.stack([mirror * y * sin / side, y * cos, 0.1 * u[5]], 1),
        )
        places = functional.affine_grid(
            torch.stack(rows, 1), list(images.shape), align_corners=False
        )
        views = functional.grid_sample(
            images.float(), places, padding_mode="border", align_corners=False
        )
        contrast, brightness = 1 + 0.3 * u[6], 0.2 * u[7]
        return views * contrast[:, None, None, None] + brightness[:, None, None, None]
