"""FaceNet: what it sees, what it gives, that it stays frozen, and where its weights come from."""

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from repr_toolkit.encoders import FaceNet
from repr_toolkit.encoders.state import read_state
from repr_toolkit.testing import check
from toys.processes import SHARED_DATA

CONVERTED = SHARED_DATA / "facenet_casia_webface_512.safetensors"
PUBLISHED = "20180402-114759-vggface2.pt"


@pytest.fixture(scope="module")
def untrained() -> FaceNet:
    torch.manual_seed(0)
    return FaceNet(None).eval()


@pytest.fixture(scope="module")
def state(untrained: FaceNet) -> dict[str, Tensor]:
    """A state dict as it is published: float32, with the classifier."""
    return {**untrained.net.state_dict(), "logits.weight": torch.zeros(9, 512)}


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights anywhere, and no network to fetch them by."""

    def download(url: str, dst: str, **how: Any) -> None:
        raise URLError("no network")

    monkeypatch.delenv("REPR_TOOLKIT_DATA", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)


class Seen(nn.Module):
    """Stands in for the net and keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(512))

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return self.weight.expand(len(x), -1)


def seen(x: Tensor, levels: int = 256) -> Tensor:
    """What the net is given of these images."""
    facenet = FaceNet(None, levels=levels)
    facenet.net = Seen()
    facenet(x)
    return facenet.net.x


def images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).to(torch.uint8)


# What it sees and gives


def test_it_keeps_the_contract_of_encoders() -> None:
    check("repr_toolkit.encoders.FaceNet", weights=None)


@pytest.mark.parametrize("shape", [(2, 3, 160, 160), (2, 1, 112, 92), (1, 3, 400, 33)])
def test_h_is_a_unit_vector(untrained: FaceNet, shape: tuple[int, ...]) -> None:
    h = untrained(images(*shape))
    assert h.shape == (shape[0], untrained.h_dim) == (shape[0], 512)
    assert h.dtype == torch.float32
    torch.testing.assert_close(h.norm(dim=1), torch.ones(shape[0]))
    assert untrained.source == "image"


def test_autocast_changes_little(untrained: FaceNet) -> None:
    x = images(2, 3, 160, 160)
    with torch.autocast("cpu", torch.bfloat16):
        h = untrained(x)
    assert h.dtype == torch.float32
    torch.testing.assert_close(h.norm(dim=1), torch.ones(2))  # which bfloat16 could not say
    assert (h * untrained(x)).sum(1).min() > 0.99


def test_the_net_sees_the_scale_it_was_trained_on() -> None:
    ends = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 160, 160)
    x = seen(ends)
    assert x[0].unique().tolist() == [-127.5 / 128]
    assert x[1].unique().tolist() == [127.5 / 128]
    exact = images(1, 3, 160, 160)
    assert torch.equal(seen(exact), (exact.float() - 127.5) / 128)
    assert torch.equal(seen(exact // 16, levels=16), seen(exact // 16 * 17))


def test_grey_is_seen_as_colour() -> None:
    grey = images(2, 1, 160, 160)
    assert torch.equal(seen(grey), seen(grey.repeat(1, 3, 1, 1)))


def test_a_small_image_is_enlarged_bilinearly() -> None:
    x = images(2, 3, 40, 31)
    plain = nn.functional.interpolate(x.float(), (160, 160), mode="bilinear", align_corners=False)
    torch.testing.assert_close(seen(x), (plain - 127.5) / 128, atol=1e-5, rtol=0)


def test_a_large_image_is_reduced_without_aliases() -> None:
    """A checkerboard of single pixels is grey from afar, not black or white."""
    board = ((torch.arange(640)[:, None] + torch.arange(640)) % 2 * 255).to(torch.uint8)
    inside = seen(board.expand(1, 3, 640, 640))[..., 2:-2, 2:-2]
    torch.testing.assert_close(inside, torch.zeros_like(inside), atol=1e-4, rtol=0)


def test_it_names_what_does_not_fit(untrained: FaceNet) -> None:
    with pytest.raises(TypeError, match="uint8"):
        untrained(torch.zeros(2, 3, 160, 160))
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\) or \(B, 1, H, W\).*\(3, 160, 160\)"):
        untrained(images(3, 160, 160))
    with pytest.raises(ValueError, match=r"not \(2, 4, 8, 8\)"):
        untrained(images(2, 4, 8, 8))
    with pytest.raises(ValueError, match="levels are 0…15"):
        FaceNet(None, levels=16)(torch.full((1, 3, 8, 8), 16, dtype=torch.uint8))


# Frozen, or trained further


def test_frozen_it_never_changes() -> None:
    facenet = FaceNet(None)
    before = {key: value.clone() for key, value in facenet.state_dict().items()}
    facenet.train()
    assert facenet.training
    x = images(2, 3, 160, 160)
    h = facenet(x)
    assert not h.requires_grad
    assert not any(p.requires_grad for p in facenet.parameters())
    assert torch.equal(facenet(x), h)  # no dropout
    assert all(torch.equal(value, before[key]) for key, value in facenet.state_dict().items())


def test_it_can_be_trained_further() -> None:
    facenet = FaceNet(None, trainable=True)
    assert facenet.train().net.training
    before = facenet.net.last_bn.running_mean.clone()
    facenet(images(3, 3, 160, 160))[:, 0].sum().backward()
    assert all(p.grad is not None for p in facenet.parameters())
    assert facenet.net.conv2d_1a.conv.weight.grad.abs().sum() > 0
    assert not torch.equal(facenet.net.last_bn.running_mean, before)
    facenet.eval()
    with torch.no_grad():
        x = images(2, 3, 160, 160)
        assert torch.equal(facenet(x), facenet(x))


# Weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_from_a_file(
    untrained: FaceNet,
    state: dict[str, Tensor],
    tmp_path: Path,
    suffix: str,
    dtype: torch.dtype,
) -> None:
    file = tmp_path / f"mine{suffix}"
    stored = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    if suffix == ".pt":
        torch.save(stored, file)
    else:
        save_file(stored, file)
    facenet = FaceNet(str(file))
    assert {p.dtype for p in facenet.parameters()} == {torch.float32}
    assert facenet.identity == untrained.identity
    own = facenet.net.state_dict()
    assert all(torch.equal(own[key], stored[key].to(own[key].dtype)) for key in own)


def test_a_safetensors_is_not_looked_into_as_a_zip_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last bytes are weights, which may look like the end of one."""
    asked: list[Path] = []
    monkeypatch.setattr("zipfile.is_zipfile", lambda path: bool(asked.append(path)))
    safe, other = tmp_path / "a.safetensors", tmp_path / "a.pt"
    weights = {"a": torch.tensor([*b"PK\x05\x06", *18 * [0]], dtype=torch.uint8)}
    save_file(weights, safe)
    torch.save(weights, other)
    for file in (safe, other):
        assert torch.equal(read_state(file)["a"], weights["a"])
    assert asked == [other]


def test_none_is_for_weights_that_a_state_dict_brings(untrained: FaceNet) -> None:
    """A trained run is loaded without the file or the network that its training had."""
    torch.manual_seed(1)
    facenet = FaceNet(None)
    assert facenet.identity != untrained.identity
    facenet.load_state_dict(untrained.state_dict())
    x = images(1, 3, 160, 160)
    assert torch.equal(facenet.eval()(x), untrained(x))
    assert facenet.identity == untrained.identity


def test_identity_changes_with_the_weights(untrained: FaceNet) -> None:
    facenet = FaceNet(None)
    facenet.load_state_dict(untrained.state_dict())
    with torch.no_grad():
        facenet.net.last_bn.num_batches_tracked += 1
        facenet.net.last_bn.weight += 1e-6  # less than float16 tells
    assert facenet.identity == untrained.identity
    with torch.no_grad():
        facenet.net.last_bn.weight[7] += 1e-2
    assert facenet.identity != untrained.identity


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.pop("last_bn.bias"), "lacks 'last_bn.bias'$"),
        (lambda s: s.update({"fc.bias": torch.ones(2)}), "has 'fc.bias', which is unknown$"),
        (
            lambda s: s.update({"last_linear.weight": torch.ones(128, 1792)}),
            r"has 'last_linear.weight' in the shape \(128, 1792\) instead of \(512, 1792\)$",
        ),
        (lambda s: (s.clear(), s.update({"fc.bias": torch.ones(2)})), "differences more$"),
    ],
)
def test_weights_of_another_architecture(
    state: dict[str, Tensor], tmp_path: Path, change: Any, told: str
) -> None:
    file = tmp_path / "other.safetensors"
    other = dict(state)
    change(other)
    save_file(other, file)
    with pytest.raises(ValueError, match=f"{file} holds the weights of another arch.*{told}"):
        FaceNet(str(file))


class Hostile:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("run-by-the-file"),))


def test_files_that_are_no_weights(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.pt").touch()
    Path("text.pt").write_text("404: Not Found")
    Path("words.pt").write_text("hello world")  # which begins as a pickle may
    Path("text.safetensors").write_text("404: Not Found")
    torch.save({"weight": torch.zeros(100_000)}, "cut.pt")
    with Path("cut.pt").open("r+b") as file:
        file.truncate(200_000)
    torch.save({"net": Hostile()}, "hostile.pt")
    for name in ("empty.pt", "text.pt", "words.pt", "text.safetensors", "cut.pt", "hostile.pt"):
        with pytest.raises(ValueError, match=f"{name} is damaged or cut short"):
            FaceNet(name)
    assert not Path("run-by-the-file").exists()
    for content in ([1, 2], {"epoch": 3}, {1: torch.zeros(2)}):
        torch.save(content, "other.pt")
        with pytest.raises(ValueError, match=r"other\.pt holds no state dict"):
            FaceNet("other.pt")


def test_an_unknown_name() -> None:
    with pytest.raises(FileNotFoundError, match=r"'vggface'.*vggface2, casia-webface"):
        FaceNet("vggface")


@pytest.mark.parametrize("name", ["facenet_vggface2_512.safetensors", PUBLISHED])
def test_a_name_is_found_among_the_data(
    untrained: FaceNet,
    state: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv("REPR_TOOLKIT_DATA", str(tmp_path))
    if name.endswith(".pt"):
        torch.save(state, tmp_path / name)
    else:
        save_file(state, tmp_path / name)
    assert FaceNet("vggface2").identity == untrained.identity


def test_a_name_is_found_where_the_library_keeps_it_else_downloaded_to_there(
    untrained: FaceNet, state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(url: str, dst: str, **how: Any) -> None:
        asked.append(url)
        torch.save(state, dst)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert FaceNet.local_weights() == []
    assert FaceNet("vggface2").identity == untrained.identity
    assert FaceNet.local_weights() == ["vggface2"]
    assert (tmp_path / "torch/checkpoints" / PUBLISHED).is_file()
    assert FaceNet("vggface2").identity == untrained.identity
    release = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9"
    assert asked == [f"{release}/{PUBLISHED}"]


def test_without_a_network_the_file_to_fetch_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        FaceNet("casia-webface")
    for told in (
        "no network",
        "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
        "20180408-102900-casia-webface.pt",
        f"into {tmp_path / 'torch/checkpoints'}",
        "$REPR_TOOLKIT_DATA",
    ):
        assert told in str(error.value)


def test_urls_and_names_are_the_librarys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from facenet_pytorch.models import inception_resnet_v1 as library

    from repr_toolkit.encoders import facenet

    asked = []

    def download(url: str, dst: str) -> None:
        asked.append((url, Path(dst)))
        raise URLError("enough")

    monkeypatch.setattr(library, "download_url_to_file", download)
    for name, (_, published) in facenet.FILES.items():
        with pytest.raises(URLError):
            library.load_weights(None, name)
        url, path = asked.pop()
        assert url == facenet.URL + published
        assert path == Path(library.get_torch_home(), "checkpoints", published)


def test_its_import_warns_of_nothing() -> None:
    code = "from repr_toolkit.encoders import FaceNet; FaceNet(None)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.skipif(not CONVERTED.is_file(), reason="the shared weights are not here")
def test_the_converted_weights_have_their_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPR_TOOLKIT_DATA", str(SHARED_DATA))
    facenet = FaceNet("casia-webface")
    assert facenet.identity == "FaceNet 20e079139501"
    assert FaceNet(str(CONVERTED)).identity == facenet.identity
    assert {p.dtype for p in facenet.parameters()} == {torch.float32}
