"""State dicts: read from files without unpickling anything else, compared, and digested."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict file, .safetensors or .pt, by name.

    Of a training checkpoint the `state_dict` in it. Raises FileNotFoundError, or ValueError for
    a file that is damaged or holds anything else.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path} of weights")
    state: Any
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # torch's safe unpickler raises errors of every kind
        raise ValueError(
            f"{path} is damaged or cut short, or holds more than a state dict; if it was "
            f"downloaded, delete it and fetch it again"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ValueError(f"{path} holds no state dict, which is a dict of names to tensors")
    return state


def require_same_weights(
    path: Path, state: Mapping[str, Tensor], own: Mapping[str, Tensor], whose: str
) -> None:
    """Raise ValueError, with the first difference, unless names and shapes are a network's own."""
    differences = [f"lacks {key!r}" for key in own if key not in state]
    differences += [f"has {key!r}, which is unknown" for key in state if key not in own]
    differences += [
        f"has {key!r} in the shape {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    if differences:
        more = f", and {len(differences) - 1} differences more" if len(differences) > 1 else ""
        raise ValueError(
            f"{path} holds the weights of another architecture than {whose}: it "
            f"{differences[0]}{more}"
        )


def weights_digest(module: nn.Module, described: str = "") -> str:
    """SHA-256 (hex) of a description and of all weights and buffers, but for counters of batches.

    By their names in the state dict, in ascending order.
    """
    digest = hashlib.sha256(described.encode())
    for key, value in sorted(module.state_dict().items()):
        if not key.endswith("num_batches_tracked"):
            digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(raw.numpy().data)
    return digest.hexdigest()
