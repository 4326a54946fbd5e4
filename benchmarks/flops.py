"""The operations that a Gated PixelCNN needs and the weights that it reads, counted from a model.

A convolution multiplies each of its weights once at every position, so it needs 2 × weights ×
positions floating-point operations. Weights that a mask sets to zero count too; kernels are
cropped, so these are few.
"""

from math import prod

from torch import nn

from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.conditioning import SpatialConditioning
from repr_toolkit.decoders.gated_pixelcnn import GatedLayer


def forward_flops(model: GatedPixelCNN) -> int:
    """Floating-point operations of one image's forward: the products and sums of convolutions.

    Biases, gates and the loss need a few per cent more. Sampling an image needs as many, if it
    computes nothing twice.
    """
    positions = prod(model.image_shape[1:])
    per_position = _weights(model.head_hidden, model.head_logits)
    per_position += sum(_weights(*_stacks(layer)) for layer in model.gated_layers())
    conditions = sum(_weights(layer.condition) for layer in model.gated_layers())
    spatial = isinstance(model.conditioning, SpatialConditioning)
    macs = per_position * positions + conditions * (positions if spatial else 1)
    return 2 * (macs + _map_macs(model.conditioning))


def training_flops(model: GatedPixelCNN) -> int:
    """Floating-point operations per image of a training step of an unconditional model.

    Backward needs a product for the weights and one for the inputs, each as large as the forward's;
    but the image needs no gradient.
    """
    first = model.gated_layers()[0]
    image = 2 * _weights(first.vertical, first.horizontal) * prod(model.image_shape[1:])
    return 3 * forward_flops(model) - image


def weights_read(model: GatedPixelCNN) -> int:
    """Bytes of float32 weights that sampling one image alone reads, from memory or a cache.

    It reads the vertical stack's once per row and the horizontal stack's once per pixel.
    """
    _, height, width = model.image_shape
    a_row = sum(
        _weights(layer.vertical, layer.vertical_to_horizontal, layer.condition)
        for layer in model.gated_layers()
    )
    a_pixel = _weights(model.head_hidden, model.head_logits)
    a_pixel += sum(
        _weights(layer.horizontal, layer.residual, layer.skip) for layer in model.gated_layers()
    )
    return 4 * height * (a_row + width * a_pixel)


def _stacks(layer: GatedLayer) -> list[nn.Module | None]:
    return [
        layer.vertical,
        layer.vertical_to_horizontal,
        layer.horizontal,
        layer.residual,
        layer.skip,
    ]


def _weights(*parts: nn.Module | None) -> int:
    """The number of weights, without biases, of the convolutions that are not None."""
    return sum(part.get_parameter("weight").numel() for part in parts if part is not None)


def _map_macs(conditioning: nn.Module | None) -> int:
    """Multiplications of m(h), whose maps' sides double from one transposed convolution on."""
    if not isinstance(conditioning, SpatialConditioning):
        return 0
    linear, unflatten = conditioning.m.project[0], conditioning.m.project[1]
    assert isinstance(unflatten, nn.Unflatten)
    macs = _weights(linear)
    positions = prod(unflatten.unflattened_size[1:])
    for stage in conditioning.m.upsample:
        macs += _weights(stage.get_submodule("0")) * positions
        positions *= 4
    return macs + _weights(conditioning.m.out) * positions
