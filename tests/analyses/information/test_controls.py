"""Controls: what parts of h are worth, where it is known; and how training hides them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from repr_toolkit.analyses.information.controls import coordinate_bits, sensitivity
from repr_toolkit.data import ImageSplit
from repr_toolkit.data.known_bits import PIXELS, known_bits
from repr_toolkit.encoders import Constant, MaskedCoordinates
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.testing import check_encoder
from toys.known_bits import Exact, exact, pixelcnn

DATA = known_bits(train=20, held_out=400)


def test_each_bit_is_worth_one_beside_the_others() -> None:
    found = coordinate_bits([exact("masked")], DATA.splits["test"], images=100)
    assert found.against_own_null.mean == pytest.approx(3)
    assert sorted(part.name for part in found.coordinates) == ["h[0]", "h[1]", "h[2]"]
    for part in found.coordinates:
        np.testing.assert_allclose(part.worth.saved, 1, atol=1e-5)


class Fourfold(MaskedCoordinates):
    """The three bits, and the first of them once more."""

    def masked(self, x: Tensor, keep: Tensor) -> Tensor:
        return super().masked(torch.cat([x, x[:, :1]], dim=1), keep)


def test_what_is_said_twice_is_worth_nothing_beside_itself() -> None:
    model = EncoderDecoder(Fourfold(4, source="bits"), Exact(8, masks=True)).eval()
    found = coordinate_bits([model], DATA.splits["test"], images=50)
    assert found.against_own_null.mean == pytest.approx(3)
    worth = {part.name: part.worth.mean for part in found.coordinates}
    assert worth == pytest.approx({"h[1]": 1, "h[2]": 1, "h[0]": 0, "h[3]": 0}, abs=1e-5)
    assert [part.name for part in found.coordinates][2:] == ["h[0]", "h[3]"]  # sorted


def test_bits_of_coordinates_need_a_masked_decoder() -> None:
    with pytest.raises(ValueError, match="MaskedCoordinates"):
        coordinate_bits([exact("bits")], DATA.splits["test"])


def test_sensitivity_is_to_what_the_decoder_reads() -> None:
    """A PixelCNN that reads one coordinate of three is insensitive to the others, exactly."""
    model, split = pixelcnn(3), DATA.splits["test"]
    with torch.no_grad():
        for layer in model.decoder.gated_layers():  # type: ignore[operator]
            layer.condition.weight[:, [0, 2]] = 0
    codes = split.column("bits")
    parts = sensitivity(model, split, codes, images=64)
    changed = {part.name: bool(part.worth.saved.any()) for part in parts}
    assert changed == {"h[0]": False, "h[1]": True, "h[2]": False}
    worths = [part.worth.mean for part in parts]
    assert worths == sorted(worths, reverse=True)
    shares = {part.name: part.share for part in parts}
    assert sum(share or 0 for share in shares.values()) == pytest.approx(1)
    assert len(sensitivity(model, split, codes, parts=1, images=8)) == 1


@pytest.mark.parametrize("ones", [150, 60])
def test_a_part_counts_where_it_is_another(ones: int) -> None:
    """A false bit costs what is impossible, and one that were set to itself would cost nothing."""
    whole = DATA.splits["test"]
    first = whole.column("bits")[:, 0]
    chosen = torch.cat([(first > 0).nonzero()[:ones], (first < 0).nonzero()[:150]]).flatten()
    split = ImageSplit(whole.arrays, whole.rows[chosen.numpy()], whole.levels)
    parts = sensitivity(exact("bits"), split, split.column("bits"), images=len(split))
    [saved] = next(part.worth.saved for part in parts if part.name == "h[0]")
    assert saved.min() > 50
    if ones == 150:
        assert len(saved) == 300
    else:  # most are −1, and those that were given another's −1 are left out
        assert 60 < len(saved) <= 120


def test_principal_directions_are_resampled_from_their_marginal() -> None:
    """h of two numbers that are one: one direction has all the variance, and is all of h."""
    split = DATA.splits["test"]
    one = split.column("bits")[:, :1]
    codes = torch.cat([one, one, torch.zeros_like(one)], dim=1)
    seen: list[Tensor] = []

    class Seeing(Exact):
        def log_prob(
            self, x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None
        ) -> Tensor:
            assert h is not None
            seen.append(h)
            return h[:, 0] * x[:, 0, *PIXELS[0]]

    model = EncoderDecoder(exact("bits").encoder, Seeing(3)).eval()
    parts = sensitivity(model, split, codes, along="principal", images=400, batch_size=400)
    assert parts[0].name == "direction 1"
    assert {p.name: p.share for p in parts}["direction 1"] == pytest.approx(1)
    own, changed = seen[0], seen[1]
    torch.testing.assert_close(changed[:, 0], changed[:, 1])
    assert not torch.equal(own, changed)
    torch.testing.assert_close(own.sort(0).values, changed.sort(0).values)  # the same marginal
    for still in seen[2:4]:
        torch.testing.assert_close(still, own)
    with pytest.raises(ValueError, match='"coordinates" or "principal", not \'x\''):
        sensitivity(model, split, codes, along="x")


# How training hides coordinates


def test_in_eval_mode_all_are_kept() -> None:
    encoder = MaskedCoordinates(3, offset=1.0, scale=2.0, made_by="me").eval()
    x = torch.randn(4, 3)
    assert torch.equal(encoder(x), torch.cat([(x - 1) * 2, torch.ones(4, 3)], dim=1))
    assert (encoder.h_dim, encoder.count, encoder.source) == (6, 3, "embedding")
    assert encoder.made_by == "me"
    assert list(encoder.parameters()) == []


def test_a_given_mask_hides() -> None:
    encoder = MaskedCoordinates(3)
    x = torch.randn(2, 3)
    h = encoder.masked(x, torch.tensor([True, False, True]))
    assert torch.equal(h[:, :3], x * torch.tensor([1.0, 0.0, 1.0]))
    assert h[:, 3:].tolist() == [[1, 0, 1]] * 2
    nothing = encoder.masked(x, torch.zeros(3, dtype=torch.bool))
    assert not nothing.any()
    own = encoder.masked(x, torch.tensor([[True, True, True], [False, False, True]]))
    assert own[:, 3:].tolist() == [[1, 1, 1], [0, 0, 1]]
    with pytest.raises(ValueError, match=r"\(3,\) or \(2, 3\) expected, not \(2,\)"):
        encoder.masked(x, torch.ones(2, dtype=torch.bool))


def test_in_training_how_many_are_kept_is_uniform_and_so_is_which() -> None:
    encoder = MaskedCoordinates(4).train()
    torch.manual_seed(0)
    x = torch.ones(20_000, 4)
    v, keep = encoder(x).chunk(2, dim=1)
    assert torch.equal(v, keep)  # for numbers that are all 1
    counts = torch.bincount(keep.sum(1).long(), minlength=5) / len(x)
    torch.testing.assert_close(counts, torch.full((5,), 0.2), atol=0.015, rtol=0)
    for size in (1, 2, 3):
        of_size = keep[keep.sum(1) == size]
        torch.testing.assert_close(of_size.mean(0), torch.full((4,), size / 4), atol=0.03, rtol=0)
        assert len(of_size.unique(dim=0)) == {1: 4, 2: 6, 3: 4}[size]
    torch.manual_seed(0)
    assert torch.equal(encoder(x)[:, 4:], keep)  # torch's global generator, as dropout's


def test_the_contract_is_kept() -> None:
    assert check_encoder(MaskedCoordinates(5), {"embedding": torch.randn(4, 5)})


def test_a_constant_says_nothing() -> None:
    encoder = Constant(2)
    h = encoder(torch.randint(0, 9, (3, 1, 2, 2), dtype=torch.uint8))
    assert h.dtype == torch.float32
    assert h.tolist() == [[0, 0]] * 3
    assert (encoder.source, encoder.h_dim) == ("image", 2)
    with pytest.raises(ValueError, match="at least 1"):
        Constant(0)
