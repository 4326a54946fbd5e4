"""Encoders: whatever makes h from an image, a label, or any other key of a batch."""

from repr_toolkit.encoders.base import Encoder
from repr_toolkit.encoders.conv import ConvBottleneck
from repr_toolkit.encoders.facenet import FaceNet
from repr_toolkit.encoders.onehot import OneHot
from repr_toolkit.encoders.precomputed import Precomputed
from repr_toolkit.encoders.triplet import TripletNet

__all__ = ["ConvBottleneck", "Encoder", "FaceNet", "OneHot", "Precomputed", "TripletNet"]
