"""State dicts: read from files without unpickling anything else, compared, and digested."""

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from repr_toolkit.support.reading import in_utf8, reading, require_whole

FETCH = "if it was downloaded, delete it and fetch it again"
"""What to do about a damaged file."""


def read_state(path: Path, mend: str = FETCH) -> dict[str, Tensor]:
    """The tensors of a state dict file, .safetensors or .pt, by name.

    A training checkpoint gives its `state_dict`. Raises FileNotFoundError, or ValueError for a file
    that is damaged, saying what to do, or holds anything else.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path} of weights")
    safe = path.suffix == ".safetensors"
    state: Any
    # torch would advise to unpickle whatever the file holds.
    with reading(
        path, mend, found="is damaged or cut short, or holds more than a state dict", why=safe
    ):
        if safe:  # it may end as a zip archive does, and is none
            with in_utf8(path) as named:
                state = load_file(named)
        else:
            if zipfile.is_zipfile(path):
                require_whole(path)
            state = torch.load(path, "cpu", weights_only=True)
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ValueError(f"{path} holds no state dict, which is a dict of names to tensors")
    return state


@contextmanager
def no_larger_than(path: Path, mend: str = FETCH) -> Iterator[None]:
    """Stop the building of a model that has far more parameters than a file of its weights.

    A configuration of anybody's may describe one that takes hours to build and all the memory.
    Raises ValueError for that, and for a damaged file.
    """
    from safetensors import safe_open

    with reading(path, mend), in_utf8(path) as named, safe_open(named, "pt") as file:
        count, size = 2 * len(file.keys()) + 1000, 2 * path.stat().st_size + (256 << 20)

    def registered(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count, size
        if parameter is None or is_lazy(parameter):
            return
        count, size = count - 1, size - parameter.nbytes
        if min(count, size) < 0:
            raise ValueError(f"it has far more parameters than {path}")

    hook = register_module_parameter_registration_hook(registered)
    try:
        yield
    finally:
        hook.remove()


def load_weights(
    net: nn.Module, path: Path, name: str, *, skip: str | None = None, mend: str = FETCH
) -> None:
    """Load a state dict file into a network, except keys that start with `skip`.

    `name` names the architecture in errors. Raises as `read_state`, and ValueError, with the first
    ten differences, unless names and shapes are those of the network.
    """
    state = read_state(path, mend)
    state = {k: v for k, v in state.items() if skip is None or not k.startswith(skip)}
    expected = net.state_dict()
    differences = [f"lacks {key!r}" for key in expected if key not in state]
    differences += [f"has {key!r}, which is unknown" for key in state if key not in expected]
    differences += [
        f"has {key!r} in the shape {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    if differences:
        more = f", and {len(differences) - 10} differences more" if len(differences) > 10 else ""
        raise ValueError(
            f"{path} holds the weights of another architecture than {name}: it "
            f"{', '.join(differences[:10])}{more}"
        )
    net.load_state_dict(state)


def weights_digest(module: nn.Module, described: str = "") -> str:
    """SHA-256 (hex) of a description and of the state dict, except counters of batches."""
    digest = hashlib.sha256(described.encode())
    for key, value in sorted(module.state_dict().items()):
        if not key.endswith("num_batches_tracked"):
            digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(raw.numpy().data)
    return digest.hexdigest()
