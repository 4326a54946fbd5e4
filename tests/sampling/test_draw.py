"""Reconstructions share noise along columns; pictures are written whole and never overwritten."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from repr_toolkit.decoders import Deconv, GatedPixelCNN, Glow
from repr_toolkit.decoders.noise import common_noise, likelihood_noise
from repr_toolkit.encoders import ConvBottleneck
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.runs import bits
from repr_toolkit.runs.run import load_with_decoder
from repr_toolkit.sampling.draw import (
    decode,
    reconstruct,
    sample,
)
from repr_toolkit.support.files import refuse_unwritable
from toys.decoders import Drawn
from toys.flows import Logistic
from toys.runs import untrained_run

SHAPE = (1, 4, 5)
DECODER = Drawn(SHAPE)


def pixelcnn(h_dim: int = 2) -> GatedPixelCNN:
    torch.manual_seed(0)
    decoder = GatedPixelCNN(SHAPE, h_dim, levels=8, features=4, layers=2)
    for parameter in decoder.parameters():  # its zeros would leave nothing to tell draws apart
        torch.nn.init.normal_(parameter, std=0.5)
    return decoder.double().eval()


def images(count: int) -> torch.Tensor:
    return torch.randint(0, 8, (count, *SHAPE), generator=torch.Generator().manual_seed(1)).byte()


def test_noise_follows_from_the_seed_alone() -> None:
    torch.manual_seed(5)
    first = common_noise(DECODER, 3, seed=9)
    torch.manual_seed(6)
    assert (common_noise(DECODER, 3, seed=9) == first).all()
    assert (common_noise(DECODER, 3, seed=8) != first).any()
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() < 1


def test_noise_of_a_draw_does_not_depend_on_the_others() -> None:
    noise = common_noise(DECODER, 40, seed=2)
    assert (common_noise(DECODER, 7, seed=2) == noise[:7]).all()
    assert (common_noise(DECODER, range(30, 40), seed=2) == noise[30:]).all()
    assert (common_noise(DECODER, [5, 1, 5], seed=2) == noise[[5, 1, 5]]).all()
    with pytest.raises(ValueError, match="seed"):
        common_noise(DECODER, 1, seed=2**64)


def test_noise_is_uniform_and_its_draws_independent() -> None:
    """Of draws and seeds that are neighbours, since their keys differ in one bit."""
    noise = torch.stack([common_noise(Drawn((1, 16, 16)), 64, seed) for seed in range(4)]).double()
    flat = noise.flatten(2).flatten(0, 1)  # (256, 256): a row for each key
    assert abs(flat.mean() - 1 / 2) < 5 * (1 / 12) ** 0.5 / 256
    assert abs(flat.var() - 1 / 12) < 5 * (1 / 180) ** 0.5 / 256
    correlation = torch.corrcoef(flat) - torch.eye(256)
    assert correlation.abs().max() < 6 / 16


class Stochastic(Drawn):
    sampling_noise = "normal"
    likelihood_noise = "uniform"


def test_a_decoder_states_the_law_of_its_noise() -> None:
    decoder = Stochastic((1, 16, 16))
    draws = common_noise(decoder, 256, seed=3).double()
    assert abs(draws.mean()) < 5 / 256
    assert abs(draws.var() - 1) < 5 * 2**0.5 / 256
    assert (draws.abs() > 3).any()
    images = likelihood_noise(decoder, range(256), seed=3)
    assert images is not None
    assert ((images >= 0) & (images < 1)).all()
    again = likelihood_noise(decoder, [200, 5], seed=3)
    assert again is not None
    assert (again == images[[200, 5]]).all()
    # A draw's noise and an image's of one number say nothing of each other.
    uniforms = common_noise(Drawn((1, 16, 16)), 256, seed=3)
    both = torch.stack([uniforms.flatten(), images.flatten()]).double()
    assert abs(torch.corrcoef(both)[0, 1]) < 5 / 256
    assert likelihood_noise(DECODER, range(3)) is None


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_chunks_change_nothing(batch_size: int) -> None:
    decoder, noise = pixelcnn(), common_noise(DECODER, 3)
    h = torch.randn(5, 2, dtype=torch.float64)
    drawn = decode(decoder, h, noise, batch_size=batch_size)
    assert drawn.shape == (5, 3, *SHAPE)
    for row in range(5):
        for column in range(3):
            alone = decoder.sample(h[row : row + 1], noise=noise[column : column + 1])
            assert (drawn[row, column] == alone[0]).all()


def test_noise_of_its_own_for_each_draw() -> None:
    decoder, h = pixelcnn(), torch.randn(2, 2, dtype=torch.float64)
    noise = common_noise(DECODER, 6).unflatten(0, (2, 3))
    drawn = decode(decoder, h, noise, batch_size=4)
    assert (drawn[1, 2] == decoder.sample(h[1:], noise=noise[1, 2:3])[0]).all()


def test_the_bar_moves_within_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    @contextmanager
    def bar(description: str, total: int, *, shown: bool) -> Iterator[Callable[[float], None]]:
        assert (total, shown) == (6, True)
        yield told.append

    monkeypatch.setattr("repr_toolkit.sampling.draw.bar", bar)
    h, noise = torch.randn(2, 2), common_noise(DECODER, 3)
    decode(pixelcnn(), h, noise, engine="naive", batch_size=4, progress=True)
    assert told == sorted(told)
    assert {4, 6} <= set(told)
    assert any(0 < done < 4 for done in told)
    assert any(4 < done < 6 for done in told)


def test_unconditional_draws() -> None:
    decoder, noise = pixelcnn(h_dim=0), common_noise(DECODER, 5)
    drawn = decode(decoder, None, noise, batch_size=2)
    assert drawn.shape == (1, 5, *SHAPE)
    assert (drawn[0] == decoder.sample(n=5, noise=noise)).all()


def test_samples_of_a_model_and_of_a_run(tmp_path: Path) -> None:
    decoder, h = pixelcnn(), torch.randn(3, 2, dtype=torch.float64)
    drawn = sample(EncoderDecoder(None, decoder), h, n=4, seed=2)
    assert torch.equal(drawn, decode(decoder, h, common_noise(DECODER, 4, 2)))
    alone = sample(EncoderDecoder(None, pixelcnn(h_dim=0)), n=5)
    assert alone.shape == (5, *SHAPE)
    assert alone.dtype == torch.uint8
    run = untrained_run(tmp_path / "run", encoder=None)
    of_run = sample(run.path, n=2, engine="cached")
    assert of_run.shape == (2, 1, 8, 8)
    assert torch.equal(of_run, sample(load_with_decoder(run), n=2, engine="cached"))
    for wrong in ({"n": 0}, {"h": torch.zeros(1, 2)}, {"engine": "warp"}, {"temperature": -1}):
        with pytest.raises(ValueError, match=r"n, the number|no h|warp|temperature"):
            sample(run, **wrong)
    with pytest.raises(FileNotFoundError, match="no run"):
        sample(tmp_path / "nowhere")


def test_columns_share_their_noise() -> None:
    decoder = pixelcnn()
    model = EncoderDecoder(ConvBottleneck(SHAPE, 2, 8, features=4), decoder).double().eval()
    batch = {"image": images(2)[[0, 0, 1]]}
    drawn = reconstruct(model, batch, n=4, seed=3)
    assert drawn.shape == (3, 4, *SHAPE)
    assert (drawn[0] == drawn[1]).all()  # the same h and the same noise
    assert (drawn[0, 0] != drawn[0, 1]).any()
    assert (reconstruct(model, batch, n=4, seed=4) != drawn).any()
    assert (reconstruct(model, batch, n=4, seed=3)[2] == drawn[2]).all()


def test_the_baseline_reconstructs_by_its_mean() -> None:
    decoder = Deconv(SHAPE, 2, 8, features=4)
    model = EncoderDecoder(ConvBottleneck(SHAPE, 2, 8, features=4), decoder).eval()
    batch = {"image": images(3)}
    with torch.no_grad():
        mean = decoder.mean(model.encode(batch), 3).round().clamp(0, 7)
    assert (reconstruct(model, batch)[:, 0] == mean.byte()).all()
    h = model.encode(batch)
    assert (sample(model, h, temperature=None)[:, 0] == mean.byte()).all()
    noisy = reconstruct(model, batch, n=2, temperature=1.0)
    assert (noisy[:, 0] != noisy[:, 1]).any()


def test_no_reconstruction_without_encoder() -> None:
    with pytest.raises(ValueError, match="no encoder"):
        reconstruct(EncoderDecoder(None, pixelcnn(h_dim=0)), {"image": images(1)})


def test_where_no_picture_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"as \.png .* or as \.npz alone, not as .*a\.jpg"):
        refuse_unwritable(tmp_path / "a.jpg", overwrite=True)
    with pytest.raises(FileNotFoundError, match="missing"):
        refuse_unwritable(tmp_path / "missing" / "a.png", overwrite=True)


class Far(Logistic):
    """A flow whose y lie so far from 0 that float32 cannot tell neighbouring levels apart."""

    def place(self, h: torch.Tensor | None) -> float:
        return 2.0**16


def test_what_float32_does_not_give_back_float64_does(capsys: pytest.CaptureFixture[str]) -> None:
    batch = {"image": torch.arange(160, dtype=torch.uint8).view(8, *SHAPE)}
    near, far = Logistic(SHAPE), Far(SHAPE)
    torch.nn.init.constant_(far.log_scale, 11)
    for flow, missed in ((near, 0), (far, 8)):
        model = EncoderDecoder(None, flow).eval()
        again = reconstruct(model, batch, n=2, temperature=0.7, batch_size=3)
        assert again.shape == (8, 2, *SHAPE)
        assert (again == batch["image"][:, None]).all()
        said = f"float32 did not give back {missed} of 8 images; float64 did"
        assert (said in capsys.readouterr().out) == bool(missed)


def test_reconstructions_of_a_flow_are_made_in_parts_without_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parts are as small as a likelihood's; one copy in float64 does all that float32 misses."""
    parts: list[tuple[int, torch.dtype, bool, int]] = []

    class Watched(Far):
        def encode(
            self,
            x: torch.Tensor,
            h: torch.Tensor | None = None,
            noise: torch.Tensor | None = None,
        ) -> torch.Tensor:
            parts.append((len(x), self.log_scale.dtype, torch.is_grad_enabled(), id(self)))
            return super().encode(x, h, noise)

    monkeypatch.setattr(bits, "CPU_PIXELS", 3 * 20)
    far = Watched(SHAPE)
    torch.nn.init.constant_(far.log_scale, 11)
    x = torch.arange(160, dtype=torch.uint8).view(8, *SHAPE)
    again = reconstruct(EncoderDecoder(None, far).eval(), {"image": x})
    assert (again[:, 0] == x).all()
    assert not again.is_inference()
    assert [part[0] for part in parts] == [3, 3, 2] * 2
    assert [part[1] for part in parts] == [torch.float32] * 3 + [torch.float64] * 3
    assert not any(part[2] for part in parts)
    assert len({part[3] for part in parts}) == 2


def test_parts_of_reconstructions_have_the_h_of_their_images() -> None:
    flow, h = Logistic(SHAPE, 2, 8), torch.linspace(-1, 1, 16).view(8, 2)
    x = images(8)
    back, again = flow.reconstruct(x, h, batch_size=3)
    assert (back == x).all()
    assert not again.any()
    assert not flow.encode(x, h).equal(flow.encode(x, h.flip(0)))


def test_counts_below_one_are_refused() -> None:
    flow: Any = EncoderDecoder(None, Glow((1, 4, 4), levels=4, scales=1, steps=1, features=2))
    batch = {"image": torch.zeros(3, 1, 4, 4, dtype=torch.uint8)}
    with pytest.raises(ValueError, match="batch_size is at least 1, not 0"):
        sample(flow, batch_size=0)
    for wrong in (0, -5):
        with pytest.raises(ValueError, match=f"is at least 1, not {wrong}"):
            reconstruct(flow, batch, n=wrong)
    assert reconstruct(flow, batch, n=2).shape == (3, 2, 1, 4, 4)
