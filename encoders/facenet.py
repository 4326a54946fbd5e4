"""FaceNet (arXiv:1503.03832): a face to numbers that tell one person from another."""

import hashlib
import os
import sys
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repr_toolkit.encoders.images import require_images
from repr_toolkit.encoders.state import load_weights

URL = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"

# The files of each name: a conversion to safetensors, and the one that facenet-pytorch publishes.
FILES = {
    "vggface2": ("facenet_vggface2_512.safetensors", "20180402-114759-vggface2.pt"),
    "casia-webface": ("facenet_casia_webface_512.safetensors", "20180408-102900-casia-webface.pt"),
}

SIDE = 160  # pixels of a side of the faces that the weights were trained on


class FaceNet(nn.Module):
    """A face to its unit vector in 512 dimensions, by facenet-pytorch's InceptionResnetV1.

    `weights` is "vggface2", "casia-webface", or the path of a state dict, .safetensors or .pt, in
    any floating dtype. The file of a name is looked up in $REPR_TOOLKIT_DATA, then in the download
    folder of facenet-pytorch, into which it is downloaded if it is missing. None reads nothing: the
    net is untrained, and a saved run loads its own weights into it.

    Frozen unless `trainable`: no gradients, and batch norm and dropout stay in eval mode even after
    `train()`. The values of images are 0…levels−1.

    Raises FileNotFoundError for a name whose file is missing and cannot be downloaded (with the
    file, its URL and where to put it), and for weights that are neither a name nor a file;
    ValueError for a file that is damaged or holds the weights of another architecture.

    >>> encoder = FaceNet(weights=None)
    >>> encoder(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape
    torch.Size([1, 512])
    """

    source = "image"
    h_dim = 512

    def __init__(
        self, weights: str | None = "vggface2", *, trainable: bool = False, levels: int = 256
    ) -> None:
        super().__init__()
        from facenet_pytorch import InceptionResnetV1

        self.trainable = trainable
        self.levels = levels
        self.net: nn.Module = InceptionResnetV1()
        if weights is not None:
            # The classifier of their training, "logits.", is not part of the net.
            name = "FaceNet's InceptionResnetV1"
            load_weights(self.net, _find(weights), name, skip="logits.")
        self.net.requires_grad_(trainable)
        self.train(self.training)

    def train(self, mode: bool = True) -> "FaceNet":
        """As for every module, except that a frozen net stays in eval mode."""
        super().train(mode)
        if not self.trainable:
            self.net.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Faces uint8 (B, 3, H, W), or grey (B, 1, H, W), to h, float32 (B, 512), of length 1.

        Images are resized to 160×160, bilinear and antialiased. The face should fill the image as
        in `repr_toolkit.faces`. Raises as `require_images` does.
        """
        require_images(x, self.levels)
        values = x.expand(-1, 3, -1, -1).to(torch.float32)
        if self.levels < 256:
            values = values * (255 / (self.levels - 1))
        if values.shape[2:] != (SIDE, SIDE):
            values = F.interpolate(values, (SIDE, SIDE), mode="bilinear", antialias=True)
        scaled = ((values - 127.5) / 128).to(next(self.net.parameters()).dtype)
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            h: Tensor = self.net(scaled)
        # Autocast leaves h in bfloat16, whose rounding changes its length.
        return F.normalize(h.to(torch.float32), dim=1)

    @property
    def identity(self) -> str:
        """ "FaceNet" and a digest of the weights as float16, such as "FaceNet 20e079139501".

        It does not depend on the file and the dtype that the weights came from.
        """
        digest = hashlib.sha256()
        for key, value in sorted(self.net.state_dict().items()):
            if not key.endswith("num_batches_tracked"):
                digest.update(key.encode())
                digest.update(value.cpu().to(torch.float16).contiguous().numpy().tobytes())
        return f"FaceNet {digest.hexdigest()[:12]}"

    @staticmethod
    def local_weights() -> list[str]:
        """The names whose weights are on this machine and need no download."""
        return [name for name in FILES if any(path.is_file() for path in _places(name))]


def _find(weights: str) -> Path:
    """The file of these weights, downloaded if it is missing."""
    if weights not in FILES:
        path = Path(weights).expanduser()
        if path.is_file():
            return path
        raise FileNotFoundError(
            f"no FaceNet weights {weights!r}: it is no file, nor one of {', '.join(FILES)}"
        )
    places = _places(weights)
    for path in places:
        if path.is_file():
            return path
    file = places[-1]
    url = URL + file.name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), progress=sys.stderr.isatty())
    except (OSError, HTTPException) as error:
        raise FileNotFoundError(
            f"the FaceNet weights {weights!r} are not here and could not be downloaded ({error}): "
            f"fetch {url} and put it into {file.parent} or $REPR_TOOLKIT_DATA"
        ) from error
    return file


def _places(name: str) -> list[Path]:
    """The places for the file of a name; the last is in facenet-pytorch's download folder."""
    from facenet_pytorch.models.inception_resnet_v1 import get_torch_home

    data = os.environ.get("REPR_TOOLKIT_DATA")
    places = [Path(data).expanduser() / file for file in FILES[name]] if data else []
    return [*places, Path(get_torch_home(), "checkpoints", FILES[name][-1])]
