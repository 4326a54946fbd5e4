"""Find the faces in photographs, cut them out, embed them, and make a data set of them."""

from repr_toolkit.encoders import FaceNet
from repr_toolkit.faces.crops import crop_face, training_image
from repr_toolkit.faces.detection import Detector, Face
from repr_toolkit.faces.photographs import read_photograph
from repr_toolkit.faces.pipeline import EmbeddedFace, FaceJob, Report, embed_photograph

__all__ = [
    "Detector",
    "EmbeddedFace",
    "Face",
    "FaceJob",
    "FaceNet",
    "Report",
    "crop_face",
    "embed_photograph",
    "read_photograph",
    "training_image",
]
