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
from repr_toolkit.encoders.state import read_state, require_same_weights

URL = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"

# A name's files: one converted to safetensors, and the one that facenet-pytorch publishes.
FILES = {
    "vggface2": ("facenet_vggface2_512.safetensors", "20180402-114759-vggface2.pt"),
    "casia-webface": ("facenet_casia_webface_512.safetensors", "20180408-102900-casia-webface.pt"),
}

SIDE = 160  # pixels, of the faces that the weights were trained on


class FaceNet(nn.Module):
    """A face to its unit vector in 512 dimensions, by facenet-pytorch's InceptionResnetV1.

    `weights` is "vggface2", "casia-webface", or the path of a state dict, .safetensors or .pt, in
    any floating dtype. A name is looked for in $REPR_TOOLKIT_DATA, then in the folder where
    facenet-pytorch keeps its downloads, then downloaded to there. None reads and downloads
    nothing: the net is untrained, for weights that a state dict is about to bring, as when a
    trained run is loaded.

    Frozen unless `trainable`: no gradients, and batch norm and dropout stay in eval mode whatever
    `train()` says. The images' values are 0…levels−1.

    Raises FileNotFoundError for a name whose file is neither here nor to be had, naming the file,
    its URL and where to put it, and for what is neither a name nor a file; ValueError for a file
    that is damaged or holds the weights of another architecture.
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
            path = _find(weights)
            # Without the classifier that they were trained by.
            state = {k: v for k, v in read_state(path).items() if not k.startswith("logits.")}
            own = self.net.state_dict()
            require_same_weights(path, state, own, "FaceNet's InceptionResnetV1")
            self.net.load_state_dict(state)
        self.net.requires_grad_(trainable)
        self.train(self.training)

    def train(self, mode: bool = True) -> "FaceNet":
        """As for every module, but that a frozen net stays in eval mode."""
        super().train(mode)
        if not self.trainable:
            self.net.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Faces uint8 (B, 3, H, W), or grey (B, 1, H, W), to h, float32 (B, 512), of length 1.

        Any size is brought to 160×160 bilinearly, antialiased where it is reduced. The face should
        fill the image as in `repr_toolkit.faces`. Raises TypeError for another dtype, ValueError
        for another shape or, on a CPU, for values beyond the levels.
        """
        require_images(x, self.levels)
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise ValueError(
                f"images of shape (B, 3, H, W) or (B, 1, H, W) expected, not {tuple(x.shape)}"
            )
        values = x.expand(-1, 3, -1, -1).to(torch.float32)
        if self.levels < 256:
            values = values * (255 / (self.levels - 1))
        if values.shape[2:] != (SIDE, SIDE):
            # Where a side grows, antialiasing changes nothing.
            values = F.interpolate(values, (SIDE, SIDE), mode="bilinear", antialias=True)
        scaled = ((values - 127.5) / 128).to(next(self.net.parameters()).dtype)
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            h: Tensor = self.net(scaled)
        # Autocast leaves vectors in bfloat16 whose length is 1 only to its rounding.
        return F.normalize(h.to(torch.float32), dim=1)

    @property
    def identity(self) -> str:
        """Which FaceNet this is: a short digest of its weights as float16, such as
        "FaceNet 20e079139501", whichever file and dtype they came from.
        """
        digest = hashlib.sha256()
        for key, value in sorted(self.net.state_dict().items()):
            if not key.endswith("num_batches_tracked"):
                digest.update(key.encode())
                digest.update(value.cpu().to(torch.float16).contiguous().numpy().tobytes())
        return f"FaceNet {digest.hexdigest()[:12]}"

    @staticmethod
    def local_weights() -> list[str]:
        """The names whose weights are on this machine, and need no download."""
        return [name for name in FILES if any(path.is_file() for path in _places(name))]


def _find(weights: str) -> Path:
    """The file of these weights, downloaded if need be."""
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
    kept = places[-1]
    url = URL + kept.name
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(kept), progress=sys.stderr.isatty())
    except (OSError, HTTPException) as error:
        raise FileNotFoundError(
            f"the FaceNet weights {weights!r} are not here and could not be downloaded ({error}): "
            f"fetch {url} and put it into {kept.parent} or $REPR_TOOLKIT_DATA"
        ) from error
    return kept


def _places(name: str) -> list[Path]:
    """Where the file of a name may be; the last is where facenet-pytorch keeps what it fetched."""
    from facenet_pytorch.models.inception_resnet_v1 import get_torch_home

    data = os.environ.get("REPR_TOOLKIT_DATA")
    places = [Path(data).expanduser() / file for file in FILES[name]] if data else []
    return [*places, Path(get_torch_home(), "checkpoints", FILES[name][-1])]
