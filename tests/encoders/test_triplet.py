"""TripletNet: unit vectors of any image, views that keep who it is, nothing hidden on the way."""

import pytest
import torch
from torch import Tensor

from repr_toolkit.encoders import TripletNet
from repr_toolkit.encoders.triplet import random_views
from repr_toolkit.testing import check


def images(count: int, *shape: int, levels: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(levels, (count, *shape), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("image_shape", [(1, 112, 92), (3, 32, 32), (3, 5, 17), (1, 1, 1)])
@pytest.mark.parametrize("training", [False, True])
def test_h_is_of_length_1_for_any_size(image_shape: tuple[int, int, int], training: bool) -> None:
    encoder = TripletNet(image_shape, 10, features=8).train(training)
    x = images(4, *image_shape)
    h = encoder(x)
    assert (h.shape, h.dtype) == ((4, 10), torch.float32)
    torch.testing.assert_close(h.norm(dim=1), torch.ones(4))
    with torch.autocast("cpu", torch.bfloat16):
        within = encoder(x)
    assert within.dtype == torch.float32
    torch.testing.assert_close(within.norm(dim=1), torch.ones(4))


def test_the_contract_is_kept() -> None:
    assert check("repr_toolkit.encoders.TripletNet", features=8)


def test_views_are_random_in_training_only_and_follow_the_global_generator() -> None:
    encoder = TripletNet((1, 16, 12), 8, features=8)
    x = images(2, 1, 16, 12)
    torch.manual_seed(1)
    one, other = encoder(x), encoder(x)
    assert not torch.allclose(one, other, atol=1e-3)
    torch.manual_seed(1)
    assert torch.equal(encoder(x), one)
    assert torch.equal(encoder.eval()(x), encoder(x))
    plain = TripletNet((1, 16, 12), 8, features=8, augment=False).train()
    assert torch.equal(plain(x), plain(x))


def test_what_else_is_in_the_batch_does_not_matter() -> None:
    encoder = TripletNet((3, 20, 20), 8, features=8, augment=False).train()
    x = images(5, 3, 20, 20)
    torch.testing.assert_close(encoder(x)[1:3], encoder(x[1:3]))


def test_every_pixel_counts() -> None:
    torch.manual_seed(0)
    encoder = TripletNet((3, 21, 13), 16, features=8).double().eval()
    x = torch.randn(1, 3, 21, 13, dtype=torch.float64, requires_grad=True)
    encoder.embedding(encoder.features(x)).abs().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()


def test_large_images_are_halved_first() -> None:
    """An image of 2×2 blocks of one value gives the h of the image of those values."""
    torch.manual_seed(0)
    small, large = TripletNet((1, 40, 33), 4, features=8), TripletNet((1, 80, 66), 4, features=8)
    assert (small.halvings, large.halvings) == (0, 1)
    large.load_state_dict(small.state_dict())
    x = images(3, 1, 40, 33)
    blocks = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(large.eval()(blocks), small.eval()(x))
    odd = TripletNet((1, 129, 30), 4, features=8).eval()
    assert odd.halvings == 2
    assert odd(images(2, 1, 129, 30)).shape == (2, 4)


def test_levels_are_scaled() -> None:
    """The same picture at any number of levels gives the same h."""
    torch.manual_seed(0)
    fine, coarse = TripletNet((1, 8, 8), 4, 256), TripletNet((1, 8, 8), 4, 16)
    coarse.load_state_dict(fine.state_dict())
    x = images(2, 1, 8, 8, levels=16)
    torch.testing.assert_close(coarse.eval()(x), fine.eval()(x * 17))


# Views


def blob(height: int, width: int, y: float, x: float) -> Tensor:
    """A bright spot on black, in [−1, 1]."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    spot = torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8)
    return (2 * spot - 1)[None, None]


def centre(images: Tensor) -> Tensor:
    """Where the spots are: (B, 2), y before x."""
    weight = (images - images.amin((1, 2, 3), keepdim=True))[:, 0] ** 2
    weight = weight / weight.sum((1, 2), keepdim=True)
    rows = (weight.sum(2) * torch.arange(images.shape[2])).sum(1)
    columns = (weight.sum(1) * torch.arange(images.shape[3])).sum(1)
    return torch.stack([rows, columns], 1)


def test_views_move_a_point_as_far_as_they_say_and_mirror_half() -> None:
    height, width = 60, 40
    torch.manual_seed(0)
    y, x = 40.0, 28.0  # 10.5 below and 8.5 to the right of the middle
    views = random_views(blob(height, width, y, x).expand(400, -1, -1, -1))
    offsets = centre(views) - torch.tensor([29.5, 19.5])
    mirrored = offsets[:, 1] < 0
    assert 0.4 < mirrored.float().mean() < 0.6
    offsets[:, 1] = offsets[:, 1].abs()
    moved = offsets - torch.tensor([10.5, 8.5])
    # The turn of the head, the scale, the turn of the picture and its shift, at the same time.
    assert 3 < moved[:, 0].abs().max() < 6 + 0.04 * 10.5 + 0.044 * 8.5 + 0.75 + 0.5
    assert 2 < moved[:, 1].abs().max() < 4 + 0.04 * 8.5 + 0.044 * 10.5 + 0.5 + 0.5
    assert moved.std(0).min() > 1


def test_a_head_turns_against_its_edges() -> None:
    """The middle moves, by up to a tenth of the side, and the edges stay, but for the rest."""
    torch.manual_seed(0)
    height, width = 80, 60
    middle = centre(random_views(blob(height, width, 39.5, 29.5).expand(300, -1, -1, -1)))
    edge = centre(random_views(blob(height, width, 39.5, 54.0).expand(300, -1, -1, -1)))
    of_middle = (middle[:, 1] - 29.5).abs()
    of_edge = ((edge[:, 1] - 29.5).abs() - 24.5).abs()
    assert 5 < of_middle.max() < 6 + 0.75 + 0.5
    assert of_edge.max() < 0.35 * 6 + 0.04 * 24.5 + 0.75 + 0.5
    assert (middle[:, 0] - 39.5).abs().max() > 6.5  # and nods


def test_a_turn_keeps_the_shape_of_what_is_not_square() -> None:
    """A small circle in the middle of a long picture stays one, whichever way it is turned."""
    torch.manual_seed(3)
    views = random_views(blob(90, 30, 44.5, 14.5).expand(100, -1, -1, -1))
    weight = (views - views.amin((1, 2, 3), keepdim=True))[:, 0]
    weight = weight / weight.sum((1, 2), keepdim=True)
    at = torch.stack(torch.meshgrid(torch.arange(90), torch.arange(30), indexing="ij"), -1)
    mean = (weight[..., None] * at).sum((1, 2), keepdim=True)
    variance = (weight[..., None] * (at - mean) ** 2).sum((1, 2))  # (B, 2)
    ratio = (variance[:, 0] / variance[:, 1]).sqrt()
    assert ratio.min() > 0.85
    assert ratio.max() < 1.15


def test_views_change_light_within_bounds() -> None:
    torch.manual_seed(0)
    grey = torch.full((300, 1, 6, 6), 0.5)
    values = random_views(grey)
    assert (values.amax((1, 2, 3)) - values.amin((1, 2, 3))).max() < 1e-5
    values = values[:, 0, 0, 0]
    assert 0.5 * 0.95 - 0.03 <= values.min() < 0.46
    assert 0.54 < values.max() <= 0.5 * 1.05 + 0.03


def test_views_are_differentiable_and_float32_under_autocast() -> None:
    x = torch.rand(2, 1, 9, 9, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        views = random_views(x)
    assert views.dtype == torch.float32
    views.sum().backward()
    assert x.grad is not None


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(B, 1, 8, 8\) expected, not \(2, 1, 8, 9\)"):
        TripletNet((1, 8, 8))(torch.zeros(2, 1, 8, 9, dtype=torch.uint8))
    with pytest.raises(TypeError, match="uint8"):
        TripletNet((1, 8, 8))(torch.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match="value 17, but this encoder's levels are 0…15"):
        TripletNet((1, 8, 8), levels=16)(torch.full((2, 1, 8, 8), 17, dtype=torch.uint8))
    with pytest.raises(ValueError, match="multiple of 8, not 12"):
        TripletNet((1, 8, 8), features=12)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        TripletNet((1, 8, 8), 0)
