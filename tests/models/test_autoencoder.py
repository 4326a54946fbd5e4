"""EncoderDecoder: the three lines that join any encoder and decoder, and how they are trained."""

from math import cos, log, pi, prod
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from repr_toolkit.decoders import Deconv, GatedPixelCNN
from repr_toolkit.encoders import ConvBottleneck, OneHot
from repr_toolkit.models.autoencoder import EncoderDecoder
from toys.autoregressive import Dequantised
from toys.decoders import Independent
from toys.encoders import ChannelMean

SHAPE = (1, 6, 5)


def batch(count: int = 7) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(9, (count, *SHAPE), generator=generator, dtype=torch.uint8)
    return {"image": images, "label": torch.arange(count) % 3}


def test_a_plug_in_is_joined_by_the_contract_alone() -> None:
    encoder, decoder = ChannelMean(2), Independent(SHAPE, 2, 9)
    model = EncoderDecoder(encoder, decoder).eval()
    x = batch()
    h = model.encode(x)
    assert h is not None
    torch.testing.assert_close(h, encoder(x["image"]))
    torch.testing.assert_close(model.log_prob(x), decoder.log_prob(x["image"], h))
    other = h.roll(1, 0)
    torch.testing.assert_close(model.log_prob(x, other), decoder.log_prob(x["image"], other))
    bits = -model.log_prob(x) / (prod(SHAPE) * log(2))
    torch.testing.assert_close(model.bits_per_dim(x), bits)
    torch.testing.assert_close(model.training_step(x), bits.mean())


def test_the_encoder_reads_its_source() -> None:
    model = EncoderDecoder(OneHot(3), GatedPixelCNN(SHAPE, 3, 9, features=4, layers=2))
    h = model.encode(batch())
    assert h is not None
    assert h.argmax(1).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert EncoderDecoder(None, Independent(SHAPE, 0, 9)).encode(batch()) is None


def test_encoder_and_decoder_learn_together() -> None:
    torch.manual_seed(0)  # with few maps a draw can leave all of a layer below zero
    encoder = ConvBottleneck(SHAPE, 4, 9, features=4)
    model = EncoderDecoder(encoder, GatedPixelCNN(SHAPE, 4, 9, features=4, layers=2))
    for p in model.parameters():
        nn.init.normal_(p, std=0.1)
    model.training_step(batch()).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_log_prob_is_float32_whatever_the_precision_of_training() -> None:
    model = EncoderDecoder(ConvBottleneck(SHAPE, 4, 9, features=4), Deconv(SHAPE, 4, 9, features=4))
    with torch.autocast("cpu", torch.bfloat16):
        within = model.log_prob(batch())
        loss = model.training_step(batch())
    assert torch.equal(within, model.log_prob(batch()))
    assert not torch.equal(loss, model.training_step(batch()))  # which bfloat16 does change


def test_channels_last_changes_the_layout_and_not_the_numbers() -> None:
    decoder = GatedPixelCNN(SHAPE, 0, 9, features=4, layers=2)
    plain = EncoderDecoder(None, decoder).log_prob(batch())
    model = EncoderDecoder(None, decoder, channels_last=True)
    weights = [p for p in model.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    torch.testing.assert_close(model.log_prob(batch()), plain)


def test_calibration_runs_in_eval_mode_without_gradients_and_restores_the_mode() -> None:
    model = EncoderDecoder(None, Independent(SHAPE, 0, 9)).train()
    x = batch()
    model.calibrate([x, x])
    assert model.training
    assert model.decoder.get_buffer("mean_intensity").item() == pytest.approx(
        x["image"].float().mean().item()
    )
    assert not model.decoder.get_buffer("mean_intensity").requires_grad


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_learning_rates(schedule: str) -> None:
    steps, warmup = 20, 4
    model = EncoderDecoder(
        None,
        Independent(SHAPE, 0, 9),
        optimizer=lambda p: torch.optim.SGD(p, lr=2.0),
        schedule="cosine" if schedule == "cosine" else "constant",
        warmup=warmup,
        steps=steps,
    )
    made = model.configure_optimizers()
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert made["lr_scheduler"]["interval"] == "step"
    assert rates[:warmup] == pytest.approx([0.4, 0.8, 1.2, 1.6])
    after = [
        2.0 if schedule == "constant" else 1 + cos(pi * t / (steps - warmup))
        for t in range(steps - warmup)
    ]
    assert rates[warmup:] == pytest.approx(after)
    end = optimizer.param_groups[0]["lr"]
    assert end == pytest.approx(2.0 if schedule == "constant" else 0.0)


def test_frozen_parameters_are_left_out() -> None:
    model = EncoderDecoder(ChannelMean(2), Independent(SHAPE, 2, 9))
    assert isinstance(model.encoder, ChannelMean)
    model.encoder.requires_grad_(False)
    groups = model.configure_optimizers()["optimizer"].param_groups
    assert len(groups[0]["params"]) == len(list(model.decoder.parameters()))


@torch.no_grad()
def test_validation_takes_none_of_trainings_random_numbers() -> None:
    """Of a stochastic likelihood: an image's noise follows from its place in the validation."""
    model = EncoderDecoder(None, Dequantised(SHAPE, levels=9)).eval()
    results = []
    for sizes in ([7], [3, 4]):
        model.trainer = SimpleNamespace(world_size=1, global_rank=0)
        state = torch.random.get_rng_state()
        start = 0
        for size in sizes:
            part = {key: value[start : start + size] for key, value in batch().items()}
            model.validation_step(part)
            start += size
        assert torch.equal(torch.random.get_rng_state(), state)
        model.on_validation_epoch_end()
        results.append(model.validation_results["val/bits_per_dim"])
    assert results[0] == pytest.approx(results[1], rel=1e-6)


def test_images_must_be_uint8() -> None:
    model = EncoderDecoder(None, Deconv(SHAPE, 0, 9, features=4))
    with pytest.raises(TypeError, match="uint8"):
        model.training_step({"image": batch()["image"].float()})


def test_h_has_no_gradients_and_takes_plain_tensors() -> None:
    x = torch.randint(0, 17, (3, 1, 8, 8), dtype=torch.uint8)
    encoder = ConvBottleneck((1, 8, 8), 2, levels=17, features=4)
    model = EncoderDecoder(encoder, Independent((1, 8, 8), 2, 17))
    h = model.encode(x)
    assert h is not None
    assert not h.requires_grad
    torch.testing.assert_close(h, model.encode({"image": x}))
    trained = model.encoded({"image": x})
    assert trained is not None
    assert trained.requires_grad


def test_a_part_that_is_kept_in_eval_mode_stays_there() -> None:
    """As a frozen network of the user's: nothing but training itself may change its mode."""
    model = EncoderDecoder(ChannelMean(2), Independent(SHAPE, 2, 9)).train()
    assert isinstance(model.encoder, ChannelMean)
    model.encoder.norm = nn.BatchNorm2d(1).eval()
    model.decoder.norm = nn.BatchNorm2d(1).eval()
    batch = {"image": torch.zeros(2, *SHAPE, dtype=torch.uint8)}
    seen = []
    model.encoder.linear.register_forward_hook(lambda layer, *_: seen.append(layer.training))
    for fit in (model.prepare, model.calibrate):
        modes = [part.training for part in model.modules()]
        fit([batch])
        assert [part.training for part in model.modules()] == modes
    assert not any(seen)
