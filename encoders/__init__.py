"""Encoders: whatever makes h from an image, a label, or any other key of a batch."""

from repr_toolkit.encoders.activations import LayerActivations
from repr_toolkit.encoders.base import Encoder
from repr_toolkit.encoders.constant import Constant
from repr_toolkit.encoders.conv import ConvBottleneck
from repr_toolkit.encoders.facenet import FaceNet
from repr_toolkit.encoders.masked import MaskedCoordinates
from repr_toolkit.encoders.onehot import OneHot
from repr_toolkit.encoders.precomputed import Precomputed
from repr_toolkit.encoders.triplet import TripletNet

__all__ = [
    "Constant",
    "ConvBottleneck",
    "Encoder",
    "FaceNet",
    "LayerActivations",
    "MaskedCoordinates",
    "OneHot",
    "Precomputed",
    "TripletNet",
]
