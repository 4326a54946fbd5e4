"""model.json: the facts of a trained model, of the kinds that readers rely on, and checksums."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repr_toolkit.config.sections import ELSEWHERE
from repr_toolkit.support.reading import checksum, read_sealed

MEND = "train or copy it again"

_KINDS: dict[str, Any] = {
    "step": int,
    "levels": int,
    "image_shape": list,
    "seconds": (int, float),
    "device": str,
    "parameters": {"encoder": int, "decoder": int},
    "data": {"name": str, "fingerprint": str, "images": dict},
    "start": {"run": str, "weights": str},
    "weights": {"step": int, "validations": int},
    "checksums": {"config.yaml": str, "model.safetensors": str, "code/files.json": str},
}


class Facts(dict[str, Any]):
    """Facts by their names; one that is asked for and not there is an error that names the file."""

    def __init__(
        self, file: Path, facts: Mapping[str, Any], kinds: Mapping[str, Any] = _KINDS, at: str = ""
    ) -> None:
        super().__init__(facts)
        self.file = file
        for key, value in facts.items():
            kind = kinds.get(key, object)
            inner = isinstance(kind, dict)
            if not isinstance(value, dict if inner else kind):
                raise ValueError(f"{file} is damaged ({at}{key} is {str(value)[:80]!r}); {MEND}")
            if inner:
                self[key] = Facts(file, value, kind, f"{key}.")

    def __missing__(self, key: str) -> Any:
        raise ValueError(f"{self.file} has no {key!r}; {MEND}")


def read_facts(file: Path) -> Facts:
    """The facts in a file; ValueError, naming it, if it is damaged."""
    return Facts(file, read_sealed(file, MEND))


def weights_in_words(facts: Mapping[str, Any]) -> str:
    """Which of a training's weights a model has; "" for the last ones."""
    if "weights" not in facts:
        return ""
    best = facts["weights"]
    return f"weights of step {best['step']:,}, best of {best['validations']} validations"


def settings_checksum(raw: Mapping[str, Any]) -> str:
    """A checksum of a configuration without what changes no result, such as where data lie."""
    data = raw.get("data")
    kept = {key: value for key, value in raw.items() if key not in ("about", "study", "choose")}
    if isinstance(data, Mapping):
        kept["data"] = {key: value for key, value in data.items() if key not in ELSEWHERE}
    return checksum(kept)
