"""What PixelCNNs and PixelRNNs have in common: an image as they see it, a map of h, a head."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from repr_toolkit.decoders.autoregressive import AutoregressiveDecoder
from repr_toolkit.decoders.conditioning import ConditioningKind, conditioning_of
from repr_toolkit.decoders.likelihoods import LikelihoodKind, likelihood_of
from repr_toolkit.decoders.masked import RowLeft, channel_groups
from repr_toolkit.decoders.streams import apart


class PixelDecoder(AutoregressiveDecoder):
    """An autoregressive decoder of feature maps in channel groups, with a head of two 1×1 layers.

    A model adds its layers and then the head (`_add_head`). In `params` it makes maps of `scale(x)`
    and `condition_map(h)`, and returns `_params` of them.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        h_dim: int,
        levels: int,
        *,
        h_shape: tuple[int, ...] | None,
        conditioning: ConditioningKind,
        map_features: int,
        likelihood: LikelihoodKind,
        mixtures: int = 10,
    ) -> None:
        channels, height, width = image_shape
        terms = likelihood_of(likelihood, channels, levels, mixtures)
        super().__init__(image_shape, h_dim, levels, h_shape=h_shape, likelihood=terms)
        with apart():
            self.conditioning = conditioning_of(
                conditioning, self.h_shape, (height, width), map_features
            )
        self.map_channels = self.conditioning.channels if self.conditioning else 0
        self.image_groups = torch.arange(channels) % self.groups
        """The groups of the image's channels: 0, 1, 2, or all 0 where it sees whole pixels."""

    def _add_head(self, features: int, head_features: int) -> None:
        groups, hidden_groups, parameters = (
            channel_groups(width, self.groups)
            for width in (features, head_features, self.groups * self.likelihood.size)
        )
        self.head_hidden = RowLeft(groups, hidden_groups)
        self.head_logits = RowLeft(hidden_groups, parameters)

    def scale(self, x: Tensor) -> Tensor:
        """Levels 0…levels−1 to the network's input in [−1, 1], in the parameters' dtype."""
        return x.to(self.head_logits.weight.dtype) * (2 / (self.levels - 1)) - 1

    def condition_map(self, h: Tensor | None) -> Tensor | None:
        """s (B, map_channels, H or 1, W or 1) of h, or None without h."""
        if self.conditioning is None or h is None:
            return None
        s: Tensor = self.conditioning(h)
        return s

    def _params(self, maps: Tensor) -> Tensor:
        """The likelihood's parameters (B, C or 1, H, W, K), from the last maps (B, p, H, W)."""
        return self._logits(F.relu(self.head_hidden(F.relu(maps))))

    def _logits(self, hidden: Tensor) -> Tensor:
        """The likelihood's parameters (B, C or 1, H, W, K), from the last layer's input."""
        # In channels-last memory the K parameters of a sub-pixel, or pixel, lie side by side.
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        if self.likelihood.coupled:
            # A mean in bfloat16 would be off by as much as half a level of 256.
            with torch.autocast(hidden.device.type, enabled=False):
                logits = self.head_logits(hidden.to(self.head_logits.weight.dtype))
        else:
            logits = self.head_logits(hidden)
        params: Tensor = rearrange(logits, "b (g k) h w -> b g h w k", g=self.groups)
        return params

    @property
    def values_per_image(self) -> int:
        _, height, width = self.image_shape
        return self.head_logits.out_channels * height * width
