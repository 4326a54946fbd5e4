"""Decoders: image models p(x|h), each with a log-likelihood and a sampler."""

from repr_toolkit.decoders.autoregressive import AutoregressiveDecoder, raster
from repr_toolkit.decoders.base import Decoder, bits_per_dim
from repr_toolkit.decoders.deconv import Deconv
from repr_toolkit.decoders.diagonal_bilstm import DiagonalBiLSTM
from repr_toolkit.decoders.flows.flow import Flow
from repr_toolkit.decoders.flows.glow import Glow
from repr_toolkit.decoders.flows.nice import NICE
from repr_toolkit.decoders.flows.realnvp import RealNVP
from repr_toolkit.decoders.gated_pixelcnn import GatedPixelCNN
from repr_toolkit.decoders.gaussian import GaussianDeconv
from repr_toolkit.decoders.multiscale import MultiScale, MultiScaleAsPublished
from repr_toolkit.decoders.pixelcnn import PixelCNN
from repr_toolkit.decoders.pixelcnnpp.model import PixelCNNpp
from repr_toolkit.decoders.precision import full_precision
from repr_toolkit.decoders.row_lstm import RowLSTM

__all__ = [
    "NICE",
    "AutoregressiveDecoder",
    "Decoder",
    "Deconv",
    "DiagonalBiLSTM",
    "Flow",
    "GatedPixelCNN",
    "GaussianDeconv",
    "Glow",
    "MultiScale",
    "MultiScaleAsPublished",
    "PixelCNN",
    "PixelCNNpp",
    "RealNVP",
    "RowLSTM",
    "bits_per_dim",
    "full_precision",
    "raster",
]
