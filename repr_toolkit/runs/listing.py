"""What is known of runs from their files alone: state, numbers, size. Nothing here imports torch.

A run may be damaged, or anybody's: nothing that it names is imported, and what cannot be read is a
state of the run, not an error.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from repr_toolkit.config.recipe import complete
from repr_toolkit.config.yaml_text import parse_yaml
from repr_toolkit.runs.checkpoint_files import checkpoint_step, checkpoints_of, drop_checkpoints
from repr_toolkit.runs.directory import CONFIG, FACTS, WEIGHTS
from repr_toolkit.runs.facts import MEND, Facts, read_facts, settings_checksum
from repr_toolkit.runs.lock import FILE as LOCK
from repr_toolkit.runs.lock import in_training
from repr_toolkit.runs.metrics import read_metrics
from repr_toolkit.support.files import size_of
from repr_toolkit.support.locks import lock
from repr_toolkit.support.reading import MOST_TEXT, read_sealed, read_text, reading

METRICS = "metrics.csv"
_MEASURED = ("evaluate", "information")
"""The results, kept in a run, that state bits/dim of its images given their own h."""

State = Literal["finished", "cut short", "in training", "damaged"]


@dataclass(frozen=True)
class Listed:
    """A run as its files show it.

    Attributes:
        run: Its folder.
        state: What it is in.
        why: Who trains it, what is damaged, or what a finished one has beside; "" otherwise.
        step: Its step: of the weights, or of what was logged or kept last; None if none is known.
        steps: The steps that it is to have.
        measure: What `val` and `test` are: "bits/dim", or "AUC" of an encoder alone.
        likelihood: Of the bits: "exact", or what kind of bound; "" if it is not known.
        val: The last validation.
        test: What was measured of test images last, with the weights as they are, and kept.
        date: When the weights were written, or else what was logged last; ISO 8601, local time.
        bytes: The size of the folder.
        checkpoint_bytes: That of its checkpoints.
    """

    run: str
    state: State
    why: str = ""
    step: int | None = None
    steps: int | None = None
    measure: str = "bits/dim"
    likelihood: str = ""
    val: float | None = None
    test: float | None = None
    date: str = ""
    bytes: int = 0
    checkpoint_bytes: int = 0

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)


def find_runs(folder: Path) -> Iterator[Path]:
    """The runs in a folder, those of studies included, or the folder itself if it is one.

    Links are followed, each folder once. Raises FileNotFoundError if there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; name that of your runs")
    seen: set[tuple[int, int]] = set()
    for place, inside, names in os.walk(folder, followlinks=True):
        status = Path(place).stat()
        new = (status.st_dev, status.st_ino) not in seen
        seen.add((status.st_dev, status.st_ino))
        found = new and (CONFIG in names or {WEIGHTS, FACTS} <= {*names})
        if found:
            yield Path(place)
        unfinished = [name for name in inside if name.startswith(".") and name.endswith(".tmp")]
        inside[:] = sorted({*inside} - {*unfinished}) if new and not found else []


def describe(run: Path) -> Listed:
    """What the files of a run show."""
    checkpoints = checkpoints_of(run)
    known: dict[str, Any] = {
        "run": str(run),
        "date": _date(run),
        "bytes": size_of(run),
        "checkpoint_bytes": sum(map(size_of, checkpoints)),
    }
    who = in_training(run)
    try:
        with reading(run / CONFIG, MEND, found="cannot be used"):
            raw = parse_yaml(read_text(run / CONFIG))
            config = complete(raw)
        known["steps"] = config["training"]["steps"]
        known["measure"] = "AUC" if "metric" in config["model"] else "bits/dim"
        finished = (run / WEIGHTS).is_file()
        facts = read_facts(run / FACTS) if finished else None
        if facts is not None:
            _require_whole(run, raw, facts)
    except (OSError, ValueError, MemoryError, RecursionError) as error:
        if not who:
            why = " ".join(str(error).split())
            return Listed(**known, state="damaged", why=why.replace(f"{run}{os.sep}", ""))
        facts = None
    last = checkpoint_step(checkpoints[-1]) if checkpoints else 0
    if facts is not None and not who:
        known |= {"state": "finished", "step": facts.get("step"), **_numbers(run, facts)}
        longer = last > facts.get("step", 0)  # than those of the weights, which stay until its end
        why = f"a longer training of it was cut short, with a checkpoint of step {last}"
        return Listed(**known, why=why if longer else "")
    known |= _logged(run, known.get("measure", ""))
    if who:
        return Listed(**known, state="in training", why=who)
    return Listed(**{**known, "step": last}, state="cut short")


def _require_whole(run: Path, raw: Mapping[str, Any], facts: Facts) -> None:
    """Raise ValueError for a configuration or weights other than training left, as far as is quick.

    The weights are looked at for their length alone.
    """
    stated = facts.get("checksums", {}).get(CONFIG)
    if stated not in (None, settings_checksum(raw)):
        raise ValueError(f"{CONFIG} is not as training left it; {MEND}")
    weights = run / WEIGHTS
    with reading(weights, MEND, why=False), weights.open("rb") as file:
        size = weights.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, MOST_TEXT)))
        ends = [part["data_offsets"][1] for name, part in header.items() if name != "__metadata__"]
        if 8 + length + max(ends, default=0) != size:
            raise ValueError("it is cut short")


def _numbers(run: Path, facts: Facts) -> dict[str, Any]:
    """The numbers of a finished run, by its facts and by what was measured and kept."""
    key = "val_bits_per_dim" if "val_bits_per_dim" in facts else "val_auc"
    digest = facts.get("checksums", {}).get(WEIGHTS)
    return {
        "likelihood": str(facts.get("likelihood", "")),
        "val": _number(facts.get(key)),
        "test": _test_bits(run, digest) if digest else None,
    }


def _test_bits(run: Path, digest: str) -> float | None:
    """Bits/dim of test images as they were measured last with weights of this digest."""
    found: list[tuple[str, Any]] = []
    for name in _MEASURED:
        found += [
            (kept["when"], kept["numbers"].get("bits_per_dim"))
            for kept in _kept(run, name)
            if kept["weights"] == digest
        ]
    for kept in _kept(run.parent, "comparison"):
        variants = kept["numbers"].get("variants")
        numbers = variants.get(run.name) if isinstance(variants, dict) else None
        numbers = numbers.get("numbers") if isinstance(numbers, dict) else None
        if isinstance(numbers, dict) and kept["weights"] == _digest(run.parent, variants):
            found.append((kept["when"], numbers.get("bits_per_dim")))
    last = max(found, key=lambda pair: pair[0], default=("", None))[1]
    return _number(last.get("value")) if isinstance(last, dict) else None


def _kept(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The results of test images that are kept in a folder under a name, if they can be read."""
    kinds = {"asked": dict, "weights": str, "when": str, "numbers": dict}
    for file in sorted((folder / "analysis").glob(f"{name}.*.json")):
        try:
            kept = read_sealed(file)
        except (OSError, ValueError):
            continue  # whoever asks for this result is told
        whole = all(isinstance(kept.get(key), kind) for key, kind in kinds.items())
        if whole and kept["asked"].get("split") == "test":
            yield kept


def _digest(folder: Path, names: Iterable[str]) -> str:
    """That of all weights in a study, as `runs.kept` states it; "" where one is not known."""
    try:
        every = [(name, read_facts(folder / name / FACTS)["checksums"][WEIGHTS]) for name in names]
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(json.dumps(every).encode()).hexdigest()


def _logged(run: Path, measure: str) -> dict[str, Any]:
    """The last step in metrics.csv, and the last validation there."""
    try:
        curves = read_metrics(run / METRICS)
    except (OSError, ValueError):
        return {}
    values = curves.get("val/auc" if measure == "AUC" else "val/bits_per_dim", {})
    return {
        "step": max((max(curve) for curve in curves.values()), default=0),
        "val": values[max(values)] if values else None,
    }


def _number(value: Any) -> float | None:
    """A finite number as it is; None for anything else."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and isfinite(value) else None


def _date(run: Path) -> str:
    """When the weights were written, or else what was logged last, or the configuration."""
    for name in (WEIGHTS, METRICS, CONFIG):
        if (run / name).is_file():
            when = datetime.fromtimestamp((run / name).stat().st_mtime).astimezone()
            return when.isoformat(timespec="seconds")
    return ""


def prune(run: Path) -> bool:
    """Delete the checkpoints of a run; False, and nothing is deleted, if it is in training."""
    file = run / LOCK
    file.touch()
    try:
        unlock = lock(file)
    except BlockingIOError:
        return False
    try:
        drop_checkpoints(run, keep=0)
    finally:
        unlock()
    return True
