"""A small face net, for training by triplets."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from repr_toolkit.encoders.images import scaled_images

LARGEST = 64  # pixels of the longer side that the convolutions see
SMALLEST = 8  # of the last feature maps


class TripletNet(nn.Module):
    """An image to a unit vector h by strided convolutions and one linear map, as FaceNet's ends.

    F. Schroff et al., "FaceNet", arXiv:1503.03832, §3: h on the unit sphere, for a loss that
    compares distances. Images whose longer side is above 64 pixels are halved until it is not.
    Then every convolution halves height and width, until the longer side is at most 8; the first
    has `features` maps (a multiple of 8) and each further one twice as many, up to 8·`features`.
    With group normalisation h of an image does not depend on the rest of the batch. Any image_shape
    (C, H, W); values are 0…levels−1.

    In training mode `augment` replaces every image by a random view (`random_views`), drawn on the
    device from torch's global generator, as dropout is. In eval mode h is deterministic.

    >>> encoder = TripletNet((3, 32, 32), h_dim=16)
    >>> encoder(torch.zeros(4, 3, 32, 32, dtype=torch.uint8)).shape
    torch.Size([4, 16])
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
        self.halvings = 0
        while max(height, width) > LARGEST:
            height, width = -(-height // 2), -(-width // 2)
            self.halvings += 1
        stages: list[nn.Module] = []
        maps, wider = channels, features
        while max(height, width) > SMALLEST or not stages:
            stages += [
                nn.Conv2d(maps, wider, 3, stride=2, padding=1),
                nn.GroupNorm(wider // 8, wider),
                nn.ReLU(),
            ]
            height, width = -(-height // 2), -(-width // 2)
            maps, wider = wider, min(2 * wider, 8 * features)
        self.features = nn.Sequential(*stages, nn.Flatten())
        self.embedding = nn.Linear(maps * height * width, h_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Images uint8 (B, C, H, W) to h (B, h_dim), float32, of length 1.

        Raises as `require_images` does.
        """
        dtype = self.embedding.weight.dtype
        pixels = scaled_images(x, self.levels, self.image_shape, dtype)
        for _ in range(self.halvings):
            pixels = functional.avg_pool2d(pixels, 2, ceil_mode=True)
        if self.training and self.augment:
            pixels = random_views(pixels)
        h: Tensor = self.embedding(self.features(pixels))
        # In the weights' dtype: autocast would leave h, and its length, in bfloat16.
        return functional.normalize(h.to(dtype), dim=1)


def random_views(images: Tensor) -> Tensor:
    """Random views of images (B, C, H, W) in [−1, 1], of the same shape.

    Half of them are mirrored. The middle of the picture is shifted against its edges by up to a
    tenth of a side, as if the head turned or nodded. The picture is rotated by up to 2.5°, scaled
    by up to 4 % and shifted by up to 1.25 % of a side; the border is continued outside. Contrast
    changes by up to 5 % and brightness by up to 0.03 only, since how light skin and hair are helps
    to identify people.
    """
    count, _, height, width = images.shape
    with torch.autocast(images.device.type, enabled=False):  # bfloat16 misses pixels
        u = 2 * torch.rand(9, count, device=images.device) - 1  # in [−1, 1)
        mirror, scale = torch.where(u[0] < 0, -1.0, 1.0), 1 + 0.04 * u[1]
        cos, sin = torch.cos(0.044 * u[2]), torch.sin(0.044 * u[2])
        side = height / width  # in the coordinates of affine_grid both sides have length 2
        rows = (
            torch.stack([mirror * scale * cos, -scale * sin * side, 0.025 * u[3]], 1),
            torch.stack([mirror * scale * sin / side, scale * cos, 0.025 * u[4]], 1),
        )
        places = functional.affine_grid(
            torch.stack(rows, 1), list(images.shape), align_corners=False
        )
        turned = 0.2 * u[5:7].T[:, None, None]  # (B, 1, 1, 2)
        views = functional.grid_sample(
            images.float(),
            places + turned * (1 - places.square()),
            padding_mode="border",
            align_corners=False,
        )
        contrast, brightness = 1 + 0.05 * u[7], 0.03 * u[8]
        return views * contrast[:, None, None, None] + brightness[:, None, None, None]
