"""The code of a model: h of its encoder, or z of a flow that has none."""

import threading
from copy import deepcopy

import numpy as np
import pytest
import torch

from repr_toolkit.data import ImageSplit
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.code import FlowCode
from repr_toolkit.models.encode import encode_batch, encode_split
from repr_toolkit.models.temperatures import scales_noise, temperature_rows
from toys.decoders import Bernoulli
from toys.encoders import Pixels
from toys.flows import Logistic

SHAPE = (1, 4, 6)


@pytest.fixture
def flow() -> Logistic:
    torch.manual_seed(0)
    flow = Logistic(SHAPE, levels=16)
    torch.nn.init.uniform_(flow.log_scale, -2, -1)
    return flow


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {"image": torch.randint(0, 16, (5, *SHAPE), generator=draw, dtype=torch.uint8)}


def test_the_code_of_a_flow_without_encoder_is_z(
    flow: Logistic, batch: dict[str, torch.Tensor]
) -> None:
    model = EncoderDecoder(None, flow).eval()
    z = model.code(batch)
    torch.testing.assert_close(z, flow.encode(batch["image"]), rtol=0, atol=0)
    torch.testing.assert_close(encode_batch(model, batch), z, rtol=0, atol=0)
    assert model.encode(batch) is None  # its likelihood is given nothing
    coded = model.coded
    assert coded.decoder.h_dim == 24
    assert not coded.training
    assert torch.equal(coded.decoder.sample(z), batch["image"])
    again = coded.decoder.sample(z, noise=torch.rand(5, *SHAPE), temperature=0.3)
    assert torch.equal(again, batch["image"])  # whatever the noise
    with pytest.raises(NotImplementedError):
        coded.decoder.log_prob(batch["image"], z)


def test_the_code_of_a_model_with_encoder_is_h(
    flow: Logistic, batch: dict[str, torch.Tensor]
) -> None:
    model = EncoderDecoder(Pixels(24), Logistic(SHAPE, 24, 16)).eval()
    assert model.coded is model
    torch.testing.assert_close(model.code(batch), model.encode(batch), rtol=0, atol=0)


def test_a_model_of_neither_kind_has_no_code(batch: dict[str, torch.Tensor]) -> None:
    model = EncoderDecoder(None, GatedPixelCNN(SHAPE, levels=16, features=4, layers=1))
    assert model.coded is model
    assert model.code(batch) is None
    with pytest.raises(ValueError, match="has no encoder"):
        encode_batch(model, batch)


def test_the_scales_of_z_have_names(flow: Logistic) -> None:
    assert FlowCode(flow).parts == {"scale1": slice(0, 6), "scale2": slice(6, 24)}


def test_the_code_leaves_the_flow_in_its_memory_layout() -> None:
    flow = Logistic(SHAPE, levels=16)
    flow.kernel = torch.nn.Parameter(torch.zeros(4, 4, 3, 3))
    model = EncoderDecoder(None, flow, channels_last=True)
    assert flow.kernel.is_contiguous(memory_format=torch.channels_last)
    assert model.coded.decoder.h_dim == 24
    assert flow.kernel.is_contiguous(memory_format=torch.channels_last)


def test_the_code_leaves_the_flow_where_and_as_it_is(flow: Logistic) -> None:
    flow.frozen = torch.nn.Identity()
    model = EncoderDecoder(None, flow)
    flow.frozen.eval()
    names = list(model.state_dict())
    coded = model.coded
    assert model.coded is coded
    assert (flow.training, flow.frozen.training) == (True, False)
    assert list(model.state_dict()) == names
    copied = deepcopy(model)
    assert copied.coded.decoder.flow is copied.decoder
    flow.to("meta")  # and not the model
    assert model.coded.device.type == "meta"
    assert flow.log_scale.is_meta


class Watched(Logistic):
    """A flow that records the threads which change its mode, and the modes in which it makes z."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "training":
            self.__dict__.setdefault("changed", []).append(threading.current_thread())

    def transform(
        self, y: torch.Tensor, h: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.__dict__.setdefault("modes", []).append(self.training)
        return super().transform(y, h)


def test_threads_that_encode_change_no_mode() -> None:
    images = np.random.default_rng(0).integers(0, 16, (8, *SHAPE), np.uint8)
    split, flow = ImageSplit({"image": images}, np.arange(8), 16), Watched(SHAPE, levels=16)
    model, threads = EncoderDecoder(None, flow).train(), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        encode_split(model, split, batch_size=1)
    finally:
        torch.set_num_threads(threads)
    assert flow.modes == [False] * 8
    assert {*flow.changed} == {threading.current_thread()}
    assert flow.training


def test_a_row_of_temperatures_scales_one_noise(flow: Logistic) -> None:
    assert scales_noise(flow)
    assert not scales_noise(Bernoulli(SHAPE))
    [row] = temperature_rows(flow, None, 3, seed=4)
    noise = common_noise(flow, 1, 4).flatten(1)
    wanted = flow.decode(torch.cat([0 * noise, noise / 2, noise]))
    assert torch.equal(row, wanted)
    assert torch.equal(row[2:], flow.sample(n=1, noise=noise.view(1, *SHAPE)))
