"""Images of a job follow from its settings alone: not from chunks, processes or interruptions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from repr_toolkit.data import ImageData
from repr_toolkit.decoders import GatedPixelCNN
from repr_toolkit.decoders.engines.draw import Draw
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.encoders import ConvBottleneck, OneHot
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.sampling.job import SamplingJob, fingerprint
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.chunks import Array
from repr_toolkit.support.pictures import LEAST_WIDTH, image_grid
from toys.decoders import Drawn

SHAPE = (1, 4, 3)
HELD_OUT = 7


def model(encoder: nn.Module | None) -> EncoderDecoder:
    torch.manual_seed(0)
    decoder = GatedPixelCNN(SHAPE, encoder.h_dim if encoder else 0, 8, features=4, layers=2)
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.7)
    return EncoderDecoder(encoder, decoder).double().eval()  # type: ignore[arg-type]


def autoencoder() -> EncoderDecoder:
    return model(ConvBottleneck(SHAPE, 2, 8, features=4))


@pytest.fixture(scope="module")
def data() -> ImageData:
    values = np.random.default_rng(0).integers(0, 8, (20, *SHAPE), np.uint8)
    rows = {"train": np.arange(10), "val": np.arange(10, 13), "test": np.arange(13, 20)}
    return ImageData("random", {"image": values}, rows, levels=8)


def drawn(job: SamplingJob, out: Path, **how: Any) -> dict[str, np.ndarray[Any, Any]]:
    job.run(out, **how)
    with np.load(out.with_suffix(".npz"), allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_chunks_change_nothing(tmp_path: Path, data: ImageData, chunk_size: int) -> None:
    network = autoencoder()
    result = drawn(SamplingJob(network, 10, data=data, chunk_size=chunk_size), tmp_path / "a.npz")
    assert (result["index"] == np.arange(10) % HELD_OUT).all()  # each image in turn
    assert result["levels"] == 8
    batch = data.splits["test"][result["index"].tolist()]
    noise = common_noise(Drawn(SHAPE), 10)
    expected = network.decoder.sample(network.encode(batch), noise=noise)
    assert (result["image"] == expected.numpy()).all()
    assert len(np.unique(result["image"], axis=0)) == 10  # of the same h too
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_fewer_images_than_the_split(tmp_path: Path, data: ImageData) -> None:
    result = drawn(SamplingJob(autoencoder(), 3, data=data), tmp_path / "a.npz")
    assert result["index"].tolist() == choose_evenly(HELD_OUT, 3)


def test_labels_share_their_noise(tmp_path: Path) -> None:
    network = model(OneHot(10))
    job = SamplingJob(network, 5, labels=[3, 7, 3], chunk_size=4, seed=2)
    result = drawn(job, tmp_path / "a.png")
    assert result["label"].tolist() == [3] * 5 + [7] * 5 + [3] * 5
    assert (result["image"][:5] == result["image"][10:]).all()
    assert (result["image"][:5] != result["image"][5:10]).any()
    h = network.encode({"label": torch.tensor([7] * 5)})
    expected = network.decoder.sample(h, noise=common_noise(Drawn(SHAPE), 5, 2))
    assert (result["image"][5:10] == expected.numpy()).all()


def test_more_images_begin_with_the_fewer(tmp_path: Path) -> None:
    network = model(None)
    few = drawn(SamplingJob(network, 4), tmp_path / "few.npz")
    many = drawn(SamplingJob(network, 9, chunk_size=2), tmp_path / "many.npz")
    assert (many["image"][:4] == few["image"]).all()
    assert sorted(many) == ["image", "job", "levels"]


def test_processes_change_nothing(tmp_path: Path) -> None:
    job = SamplingJob(model(None), 11, chunk_size=2)
    one = drawn(job, tmp_path / "one.png")
    with pytest.raises(TimeoutError):
        job.run(tmp_path / "two.png", rank=0, world=2, patience=0)
    job.run(tmp_path / "two.png", rank=1, world=2)
    job.run(tmp_path / "two.png", rank=0, world=2, resume=True)
    for suffix in (".png", ".npz"):
        first, second = (tmp_path / f"{name}{suffix}" for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
    assert len(one["image"]) == 11


def test_an_interrupted_job_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, out = SamplingJob(model(None), 9, chunk_size=2), tmp_path / "a.png"
    whole = drawn(job, tmp_path / "whole.npz")
    draw, starts = SamplingJob.draw, list[int]()

    def interrupted(
        self: SamplingJob, images: range, progress: Callable[[float], None]
    ) -> dict[str, Array]:
        if images.start == 4 and 4 not in starts:
            starts.append(4)
            raise KeyboardInterrupt
        starts.append(images.start)
        return draw(self, images, progress)

    monkeypatch.setattr(SamplingJob, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        job.run(out)
    with pytest.raises(ValueError, match="seed: 0 there, 1 now"):
        SamplingJob(job.model, 9, chunk_size=2, seed=1).run(out, resume=True)
    with pytest.raises(ValueError, match="chunk_size: 2 there, 3 now"):
        SamplingJob(job.model, 9, chunk_size=3).run(out, resume=True)
    assert (drawn(job, out, resume=True)["image"] == whole["image"]).all()
    assert starts == [0, 2, 4, 4, 6, 8]
    job.run(out, resume=True)  # finished: nothing is drawn
    assert starts == [0, 2, 4, 4, 6, 8]
    with pytest.raises(FileExistsError, match=r"a\.png"):
        job.run(out)
    with pytest.raises(FileExistsError, match=r"a\.png"):
        SamplingJob(job.model, 9, seed=1).run(out, resume=True)


def test_killed_between_the_values_and_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, out = SamplingJob(model(None), 3), tmp_path / "a.png"

    def kill(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("repr_toolkit.support.chunks.Chunks.take", kill)
        with pytest.raises(KeyboardInterrupt):
            job.run(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "a.parts"]
    with pytest.raises(FileExistsError, match=r"a\.npz"):
        job.run(out)
    monkeypatch.setattr(SamplingJob, "draw", kill)  # all is drawn
    job.run(out, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "a.png"]


def test_a_picture_of_values_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = SamplingJob(model(None), 5, chunk_size=2)
    job.run(tmp_path / "whole.png")
    job.run(tmp_path / "a.npz")
    monkeypatch.delattr(SamplingJob, "draw")  # nothing is drawn
    job.run(tmp_path / "a.png", resume=True)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "whole.png").read_bytes()


def test_every_process_refuses_to_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, out = SamplingJob(model(None), 5, chunk_size=2), tmp_path / "a.npz"
    out.write_bytes(b"mine")
    for rank in range(2):
        with pytest.raises(FileExistsError, match=r"a\.npz"):
            job.run(out, rank=rank, world=2)
    job.run(out, overwrite=True)
    monkeypatch.delattr(SamplingJob, "draw")
    job.run(out, rank=1, world=2)  # it came when all was joined


def test_jobs_of_two_engines_never_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = model(None)
    best = SamplingJob(network, 5, chunk_size=2)
    assert best.settings["engine"] == best.engine == network.decoder.choose_engine()
    with pytest.raises(TimeoutError):
        best.run(tmp_path / "a.npz", world=2, patience=0)
    monkeypatch.setattr(
        type(network.decoder),
        "obstacle",
        lambda _, engine, draw=None: None if engine == "naive" else "elsewhere",
    )
    with pytest.raises(ValueError, match=f"engine: '{best.engine}' there, 'naive' now"):
        SamplingJob(network, 5, chunk_size=2).run(tmp_path / "a.npz", resume=True)


def test_the_picture_shows_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Painter(Drawn):
        def images(self, draw: Draw) -> Tensor:
            return draw.noise.new_zeros(draw.noise.shape, dtype=torch.uint8)

    laid_out: list[tuple[int, int, list[str], list[str]]] = []

    def grid(
        images: Tensor, columns: int, column_names: list[str], row_names: list[str], **how: int
    ) -> Image.Image:
        laid_out.append((-(-len(images) // columns), columns, column_names, row_names))
        return image_grid(
            images, columns=columns, column_names=column_names, row_names=row_names, **how
        )

    monkeypatch.setattr("repr_toolkit.sampling.job.image_grid", grid)

    def shown(job: SamplingJob) -> tuple[int, int, list[str], list[str]]:
        """Rows and columns, and the names of columns and rows."""
        job.run(tmp_path / "a.png", overwrite=True)
        with Image.open(tmp_path / "a.png") as picture:
            assert picture.width >= LEAST_WIDTH
        return laid_out[-1]

    plain = EncoderDecoder(None, Painter((1, 1, 1)))
    assert shown(SamplingJob(plain, 5)) == (2, 3, [], ["0–2", "3–4"])
    assert shown(SamplingJob(plain, 7))[3] == ["0–2", "3–5", "6"]
    assert shown(SamplingJob(plain, 1000))[:2] == (10, 10)
    labelled = EncoderDecoder(OneHot(10), Painter((1, 1, 1), 10))
    names = ["label 0", "label 1", "label 2"]
    wanted = (3, 5, ["1", "2", "3", "4", "5"], names)
    assert shown(SamplingJob(labelled, 5, labels=range(3))) == wanted
    assert shown(SamplingJob(labelled, 500, labels=range(10)))[:2] == (10, 10)
    assert shown(SamplingJob(labelled, 2, labels=[1] * 150))[:2] == (100, 1)


def test_what_cannot_be_drawn_is_told_before_any_work(tmp_path: Path, data: ImageData) -> None:
    for wrong in ({"n": 0}, {"n": 1, "chunk_size": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            SamplingJob(model(None), **wrong)
    with pytest.raises(ValueError, match="no encoder"):
        SamplingJob(model(None), 1, labels=[1])
    with pytest.raises(ValueError, match="reads 'image', not labels"):
        SamplingJob(autoencoder(), 1, labels=[1])
    with pytest.raises(ValueError, match="labels or images"):
        SamplingJob(autoencoder(), 1)
    with pytest.raises(ValueError, match="no split 'valid'"):
        SamplingJob(autoencoder(), 1, data=data, split="valid")
    with pytest.raises(ValueError, match="10"):
        SamplingJob(model(OneHot(10)), 10_000, labels=[3, 10])
    with pytest.raises(ValueError, match="warp"):
        SamplingJob(model(None), 1, engine="warp").run(tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def test_the_job_is_told_in_its_file(tmp_path: Path, data: ImageData) -> None:
    job = SamplingJob(autoencoder(), 2, data=data, split="val", seed=3, temperature=0.5)
    told = json.loads(str(drawn(job, tmp_path / "a.npz")["job"]))
    assert told == job.settings
    assert told["data"] == data.fingerprint
    assert (told["n"], told["split"], told["seed"], told["temperature"]) == (2, "val", 3, 0.5)


def test_a_fingerprint_is_that_of_the_weights() -> None:
    first, second = model(None), model(None)
    assert fingerprint(first) == fingerprint(second)
    with torch.no_grad():
        next(second.parameters()).view(-1)[0] += 1e-9
    assert fingerprint(first) != fingerprint(second)
