"""From photographs of people to the h that a run draws their portraits from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from repr_toolkit.encoders import FaceNet
from repr_toolkit.faces.detection import Detector
from repr_toolkit.faces.pipeline import embed_photograph
from repr_toolkit.models.encode import encode_batch

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder


def knows_faces(model: "EncoderDecoder") -> bool:
    """Whether a model's h is made of the face in a photograph."""
    return isinstance(model.encoder, FaceNet) or hasattr(model.encoder, "made_by")


def facenet_of(model: "EncoderDecoder", weights: str | None = None) -> FaceNet:
    """The FaceNet that made the embeddings a model was trained on, on its device, in eval mode.

    That is the model's own encoder where it is a FaceNet. Otherwise the encoder says in
    ``made_by`` which one it was, and it is looked for in ``weights``, a name or a file, or else
    among the weights that are on this machine. Raises ValueError for a model without an encoder,
    where the encoder says nothing of the kind or ``weights`` are others, FileNotFoundError where
    the right ones are not found.
    """
    encoder = model.encoder
    if isinstance(encoder, FaceNet):
        return encoder
    if encoder is None:
        raise ValueError(
            "the model has no encoder: it draws nobody in particular, and no photograph has an h"
        )
    made_by = getattr(encoder, "made_by", None)
    if made_by is None or not made_by.startswith("FaceNet "):
        told = f"was trained on what {made_by} made" if made_by else "does not name a FaceNet"
        raise ValueError(
            f"the model's encoder {told}, so a photograph cannot become its h; train with "
            f"embeddings of `repr-toolkit faces`, and name their encoder in "
            f"model.encoder.init_args.made_by"
        )
    found = {}
    for name in [weights] if weights else FaceNet.local_weights():
        facenet = FaceNet(name)
        if facenet.identity == made_by:
            return facenet.to(model.device).eval()
        found[name] = facenet.identity
    others = ", ".join(f"{name} is {identity}" for name, identity in found.items())
    if weights:
        raise ValueError(f"the model was trained on embeddings of {made_by}, but {others}")
    raise FileNotFoundError(
        f"the model was trained on embeddings of {made_by}, whose weights are not on this machine "
        f"({others or 'there are none'}); give their file by --weights"
    )


def sitters(
    model: "EncoderDecoder",
    photographs: Sequence[str | Path],
    facenet: FaceNet,
    detector: Detector | None = None,
) -> tuple[Tensor, Tensor]:
    """The face in each photograph as the data file of `faces` would show it, and its h.

    uint8 (N, C, H, W) on the CPU, and (N, h_dim) on the model's device. Raises ValueError, naming
    the file, where no face is found or the file cannot be read, FileNotFoundError where there is
    none, and ValueError for a model whose images are not square, in colour and of 256 levels.
    """
    channels, height, width = model.decoder.image_shape
    if channels != 3 or height != width or model.decoder.levels != 256:
        raise ValueError(
            f"faces are square, RGB, of 256 levels, but the model's images are (C, H, W) = "
            f"{model.decoder.image_shape} of {model.decoder.levels} levels"
        )
    detector = detector or Detector(device=model.device)
    found = [embed_photograph(path, detector, facenet, image_size=height) for path in photographs]
    assert model.encoder is not None
    source = model.encoder.source
    given = [face.face if source == "image" else face.embedding for face in found]
    h = encode_batch(model, {source: torch.stack(given)})
    assert h is not None
    return torch.stack([face.image for face in found]), h
