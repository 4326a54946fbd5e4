"""From photographs of people to the h from which a run draws their portraits."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from repr_toolkit.encoders import FaceNet
from repr_toolkit.faces.detection import CERTAIN, Detector
from repr_toolkit.faces.pipeline import embed_photograph
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.support.console import tell
from repr_toolkit.support.speech import either


def knows_faces(model: EncoderDecoder) -> bool:
    """Whether a model's h is made from the face in a photograph."""
    return isinstance(model.encoder, FaceNet) or hasattr(model.encoder, "made_by")


def facenet_of(model: EncoderDecoder, weights: str | None = None) -> FaceNet:
    """The FaceNet that made the embeddings of a model's training, on its device, in eval mode.

    It is the model's encoder where that is a FaceNet. Otherwise the encoder names it in `made_by`,
    and it is looked for in `weights`, a name or a file, or else among the weights on this machine.
    Raises ValueError for a model without an encoder, for an encoder that names no FaceNet, and for
    `weights` of another one; FileNotFoundError where the right weights are not on this machine.
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
        reason = f"was trained on what {made_by} made" if made_by else "does not name a FaceNet"
        raise ValueError(
            f"the model's encoder {reason}, so a photograph cannot become its h; train with "
            f"embeddings of `repr-toolkit faces`, and name their encoder in "
            f"model.encoder.init_args.made_by"
        )
    identities = {}
    for name in [weights] if weights else FaceNet.local_weights():
        facenet = FaceNet(name)
        if facenet.identity == made_by:
            return facenet.to(model.device).eval()
        identities[name] = facenet.identity
    others = ", ".join(f"{name} is {identity}" for name, identity in identities.items())
    if weights:
        raise ValueError(f"the model was trained on embeddings of {made_by}, but {others}")
    raise FileNotFoundError(
        f"the model was trained on embeddings of {made_by}, whose weights are not on this machine "
        f"({others or 'there are none'}); give their file by " + either("--weights", "weights")
    )


def other_facenet(facenet: FaceNet, weights: str) -> FaceNet:
    """The FaceNet of these `weights`, a name or a file, in eval mode, on the CPU.

    Raises ValueError where it is `facenet` itself, and as `FaceNet` does.
    """
    other = FaceNet(weights, levels=facenet.levels).eval()
    if other.identity == facenet.identity:
        raise ValueError(
            f"{weights} is the {facenet.identity} that the portraits are drawn from: another one "
            "is to judge them"
        )
    return other


def encode_photographs(
    model: EncoderDecoder,
    photographs: Sequence[str | Path],
    facenet: FaceNet,
    detector: Detector | None = None,
) -> tuple[Tensor, Tensor]:
    """The face in each photograph, cut as `repr-toolkit faces` cuts it, and its h.

    uint8 (N, C, H, W) on the CPU, and (N, h_dim) on the model's device. Raises ValueError, naming
    the file, for a photograph without a face or one that cannot be read, FileNotFoundError for a
    missing file, and ValueError for a model whose images are not square, RGB and of 256 levels.
    """
    channels, height, width = model.decoder.image_shape
    if channels != 3 or height != width or model.decoder.levels != 256:
        raise ValueError(
            f"faces are square, RGB, of 256 levels, but the model's images are (C, H, W) = "
            f"{model.decoder.image_shape} of {model.decoder.levels} levels"
        )
    detector = detector or Detector(device=model.device)
    faces = [embed_photograph(path, detector, facenet, image_size=height) for path in photographs]
    for path, face in zip(photographs, faces, strict=True):
        if face.turned:
            tell(f"{path} did not stand upright, and was turned by {face.turned} degrees")
        if face.probability < CERTAIN:
            tell(f"{path}: the face is uncertain, with a probability of {face.probability:.3f}")
    assert model.encoder is not None
    source = model.encoder.source
    inputs = [face.face if source == "image" else face.embedding for face in faces]
    h = encode_batch(model, {source: torch.stack(inputs)})
    return torch.stack([face.image for face in faces]), h
