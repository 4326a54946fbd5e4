"""Results of analyses, of one run or of several: FOLDER/analysis/NAME.DIGEST.json, and an .npz.

The digest is that of the question: the options, the split, the data and the weights. So a result
replaces an earlier one of the same question, and no other.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from repr_toolkit.data.npz import WHOLE_BYTES, read_members
from repr_toolkit.runs.run import Run
from repr_toolkit.support.files import atomic_write, json_text, write_json, write_npz
from repr_toolkit.support.reading import AGAIN, file_checksum, read_sealed, reading, sealed
from repr_toolkit.support.stats import as_json

Array = npt.NDArray[Any]


class Findings(Protocol):
    """The result of an analysis."""

    @property
    def asked(self) -> Mapping[str, Any]:
        """The options that the numbers depend on, `split` among them, ready for JSON."""

    def as_dict(self) -> dict[str, Any]:
        """Numbers and protocol, ready for JSON."""

    def arrays(self) -> Mapping[str, Array]:
        """Arrays of numbers or texts, if there are any beside the numbers."""


@dataclass(frozen=True, eq=False)
class Result:
    """Findings that are nothing but what is kept of them; `numbers` may hold dataclasses."""

    asked: Mapping[str, Any]
    numbers: Mapping[str, Any]
    pictured: Mapping[str, Array] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """`numbers`, ready for JSON."""
        return {key: as_json(value) for key, value in self.numbers.items()}

    def arrays(self) -> Mapping[str, Array]:
        """`pictured`."""
        return self.pictured


@dataclass(frozen=True, eq=False)
class Kept:
    """A result of an analysis of one run or of several, as it is saved.

    Attributes:
        asked: The options that the numbers depend on, `split` among them.
        command: The command as it was typed.
        when: The time of writing, in UTC, ISO 8601.
        weights: SHA-256 of the weights that were measured, of several runs with their names.
        numbers: `Findings.as_dict()`.
        file: The JSON file; None for a result that is not saved, or not yet.
        in_memory: The arrays of such a result.
        arrays_checksum: SHA-256 of the .npz beside the file; "" where it is not stated, or none.
    """

    asked: Mapping[str, Any]
    command: str
    when: str
    weights: str
    numbers: Mapping[str, Any]
    file: Path | None
    in_memory: Mapping[str, Array] = field(default_factory=dict)
    arrays_checksum: str = ""

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """The arrays by name, read at the first use; none without a file.

        Raises ValueError for a damaged file, and for one of another result, OSError for none.
        """
        if self.file is None:
            return self.in_memory
        file, mend = self.file.with_suffix(".npz"), f"measure {self.file} again"
        if not self.arrays_checksum and not file.is_file():
            return self.in_memory
        if self.arrays_checksum not in ("", file_checksum(file)):
            raise ValueError(f"{file} is damaged, or another result's; {mend}")
        with reading(file, mend):
            return {
                key: member.array().copy() for key, member in read_members(file, r"[^/\\]+").items()
            }


def keep(run: Run, name: str, findings: Findings, command: str, protocol: int = 1) -> Kept:
    """Write a result of the analysis `name` into the run's folder, each file whole.

    `command` is the typed command, `protocol` the number of the analysis' way to measure. Raises
    ValueError for arrays of objects, which need pickling.
    """
    data = run.info["data"]["fingerprint"]
    asked = {**findings.asked, "protocol": protocol}
    question = {"asked": asked, "data": data, "weights": run.weights_digest}
    return write_kept(place_of(run.path, name, question), question, findings, command)


def unsaved(findings: Findings, command: str) -> Kept:
    """A result as it would be kept."""
    arrays = findings.arrays()
    return Kept(findings.asked, command, "", "", findings.as_dict(), None, arrays)


def keep_together(
    folder: Path, name: str, runs: Mapping[str, Run], findings: Findings, command: str = ""
) -> Kept:
    """Write what runs say together, by the names that they have there, into FOLDER/analysis."""
    question = {
        "asked": {**findings.asked},
        "data": [run.trained_on for run in runs.values()],
        "weights": _weights_of(runs),
    }
    return write_kept(place_of(folder, name, question), question, findings, command)


def kept_together(folder: Path, name: str, runs: Mapping[str, Run], **asked: Any) -> Kept | None:
    """The newest result of just these runs, as they are now, with these options; None without."""
    weights = _weights_of(runs)
    for kept in kept_in(folder, name):
        if kept.weights == weights and asked.items() <= kept.asked.items():
            return kept
    return None


def _weights_of(runs: Mapping[str, Run]) -> str:
    """A digest of the names and the weights of runs, in their order."""
    digests = [(name, run.weights_digest) for name, run in runs.items()]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def place_of(folder: Path, name: str, question: Mapping[str, Any]) -> Path:
    """The file of the result of a question, by its digest, in FOLDER/analysis, which is made."""
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]
    (folder / "analysis").mkdir(exist_ok=True)
    return folder / "analysis" / f"{name}.{digest}.json"


@contextmanager
def showing(results: Iterable[Kept]) -> Iterator[None]:
    """Let errors of odd numbers, as damaged or edited results have them, name their files.

    They become a ValueError in one line; one that names its file already, and those of results that
    no file holds, stay.
    """
    try:
        yield
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        files = [str(result.file) for result in results if result.file is not None]
        if not files or any(file in str(error) for file in files):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        which = files[0] if len(files) == 1 else f"one of {', '.join(files)}"
        raise ValueError(f"{which} is damaged ({reason}); delete it, or measure again") from error


def write_kept(file: Path, question: Mapping[str, Any], findings: Findings, command: str) -> Kept:
    """Write a result to a JSON file, and its arrays to an .npz beside it, each file whole.

    `question` holds `asked` and `weights` as in `Kept`. Raises ValueError for an array that is too
    large to be read again, before anything is written.
    """
    arrays = findings.arrays()
    for key, array in arrays.items():
        if max(array.nbytes, array.size) > WHOLE_BYTES:
            raise ValueError(
                f"{file.name.partition('.')[0]}: the array {key!r} {array.shape} takes "
                f"{array.nbytes >> 20:,} MiB, and {WHOLE_BYTES >> 20} MiB are the most that is "
                f"kept; keep less of it, or in a smaller type"
            )
    if arrays:
        with atomic_write(file.with_suffix(".npz")) as stream:
            write_npz(stream, arrays)
    else:
        file.with_suffix(".npz").unlink(missing_ok=True)
    when = datetime.now(UTC).isoformat()
    numbers = findings.as_dict()
    stored = {**question, "command": command, "when": when, "numbers": numbers}
    if arrays:
        stored["arrays_checksum"] = file_checksum(file.with_suffix(".npz"))
    write_json(file, sealed(json.loads(json_text(stored))))
    return read_kept(file)


def kept_in(folder: Path, name: str) -> list[Kept]:
    """All results of a name in FOLDER/analysis, newest first; ValueError for a damaged file."""
    files = (folder / "analysis").glob(f"{name}.*.json")
    return sorted(map(read_kept, files), key=lambda result: result.when, reverse=True)


def choose_kept(
    run: Run, name: str, split: str, protocol: int = 1
) -> tuple[Kept | None, Sequence[str]]:
    """The newest result of a split, of the run's present weights and of a protocol, if any.

    With it come reasons, each about some results that are left out.
    """
    every = kept_in(run.path, name)
    of_protocol = [result for result in every if result.asked.get("protocol", 1) == protocol]
    present = [result for result in of_protocol if result.weights == run.weights_digest]
    of_split = [r for r in present if r.asked.get("split", split) == split]
    reasons = []
    if former := len(every) - len(of_protocol):
        reasons.append(f"{former} measured in another way than today's")
    if others := len(of_protocol) - len(present):
        reasons.append(f"{others} of other weights than the run has now")
    if splits := sorted({str(k.asked["split"]) for k in present if k not in of_split}):
        reasons.append(f"{len(present) - len(of_split)} of another split ({', '.join(splits)})")
    if of_split[1:]:
        reasons.append(f"{len(of_split) - 1} with other options, older than the one shown")
    return (of_split[0] if of_split else None), reasons


def read_kept(file: Path) -> Kept:
    """The result that `write_kept` wrote; ValueError for a damaged file."""
    stored = read_sealed(file)
    kinds = {"asked": dict, "command": str, "when": str, "weights": str, "numbers": dict}
    for key, kind in kinds.items():
        if not isinstance(stored.get(key), kind):
            raise ValueError(f"{file} is damaged (no {key!r}); {AGAIN}")
    of_arrays = str(stored.get("arrays_checksum", ""))
    return Kept(**{key: stored[key] for key in kinds}, file=file, arrays_checksum=of_arrays)
