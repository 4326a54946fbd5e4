"""What is kept of an analysis by what was asked: numbers with arrays, and which is chosen."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repr_toolkit.runs import kept as kept_module
from repr_toolkit.runs.kept import choose_kept, keep, kept_in
from repr_toolkit.runs.run import Run
from toys.runs import untrained_run


class Answer:
    """Findings that are made up."""

    def __init__(self, value: int, arrays: Mapping[str, Any] | None = None, **asked: Any) -> None:
        self.value, self.made, self.asked = value, arrays or {}, {"split": "test", **asked}

    def as_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def arrays(self) -> Mapping[str, Any]:
        return self.made


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return untrained_run(tmp_path / "run")


def test_numbers_and_arrays_are_kept_together(run: Run) -> None:
    kept = keep(run, "parts", Answer(1, {"image": np.ones(3, np.uint8)}), "repr-toolkit parts α")
    assert (kept.numbers, kept.command) == ({"value": 1}, "repr-toolkit parts α")
    assert kept.file.parent == run.path / "analysis"
    assert kept.arrays["image"].tolist() == [1, 1, 1]
    # Earlier arrays do not outlive their numbers.
    again = keep(run, "parts", Answer(2), "")
    assert (again.file, again.numbers) == (kept.file, {"value": 2})
    assert not again.arrays


def test_arrays_that_could_not_be_read_again_are_not_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "WHOLE_BYTES", 1 << 20)
    for array in (np.zeros(2**19, np.int32), np.zeros(2**21, np.uint8)):
        with pytest.raises(
            ValueError, match=r"^parts: the array 'map' .* are the most that is kept"
        ):
            keep(run, "parts", Answer(1, {"map": array}), "")
        assert kept_in(run.path, "parts") == []
        assert not [*(run.path / "analysis").iterdir()]


def test_an_answer_replaces_those_to_the_same_question_and_no_other(run: Run) -> None:
    for value, asked in enumerate(({}, {"seed": 1}, {}, {"split": "val"})):
        keep(run, "parts", Answer(value, **asked), "")
    assert sorted(kept.numbers["value"] for kept in kept_in(run.path, "parts")) == [1, 2, 3]
    assert kept_in(run.path, "part") == []
    chosen, reasons = choose_kept(run, "parts", "test")
    assert chosen is not None
    assert chosen.numbers == {"value": 2}
    of_others = ["1 of another split (val)", "1 with other options, older than the one shown"]
    assert reasons == of_others


def test_a_result_that_rots_is_named(run: Run) -> None:
    kept = keep(run, "parts", Answer(1), "")
    whole = kept.file.read_text("utf-8")
    kept.file.write_text(whole.replace('"value": 1', '"value": 3'))
    with pytest.raises(ValueError, match=rf"{kept.file} is damaged \(its checksum is wrong\)"):
        kept_in(run.path, "parts")
    stored = json.loads(whole)
    del stored["checksum"]  # as earlier versions wrote them
    kept.file.write_text(json.dumps(stored))
    assert [result.numbers for result in kept_in(run.path, "parts")] == [{"value": 1}]


@pytest.mark.parametrize("how", ["of another", "away", "cut"])
def test_arrays_of_another_result_are_not_shown(run: Run, how: str) -> None:
    kept = keep(run, "parts", Answer(1, {"image": np.ones(3, np.uint8)}), "")
    file = kept.file.with_suffix(".npz")
    if how == "of another":
        other = keep(run, "parts", Answer(1, {"image": np.zeros(3, np.uint8)}, seed=1), "")
        file.write_bytes(other.file.with_suffix(".npz").read_bytes())
    elif how == "away":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-30])
    again = next(result for result in kept_in(run.path, "parts") if result.file == kept.file)
    with pytest.raises((ValueError, OSError), match=file.name):
        _ = again.arrays


def test_a_result_has_the_checksum_of_what_is_read_again(run: Run) -> None:
    """Where JSON makes texts of whole numbers, and lists of tuples."""
    answer = Answer(1, seeds=(1, 2), of={2: 0.5, 10: float("nan")})
    assert keep(run, "parts", answer, "").asked["seeds"] == [1, 2]


def test_what_is_of_other_weights_is_not_chosen(run: Run) -> None:
    kept = keep(run, "parts", Answer(1), "")
    stored = json.loads(kept.file.read_text("utf-8"))
    del stored["checksum"]
    kept.file.write_text(json.dumps({**stored, "weights": "others"}))
    assert choose_kept(run, "parts", "test") == (None, ["1 of other weights than the run has now"])


def test_what_was_measured_in_another_way_is_not_chosen(run: Run) -> None:
    keep(run, "parts", Answer(1), "")
    former = "1 measured in another way than today's"
    assert choose_kept(run, "parts", "test", protocol=2) == (None, [former])
    keep(run, "parts", Answer(2), "", protocol=2)
    chosen, reasons = choose_kept(run, "parts", "test", protocol=2)
    assert chosen is not None
    assert (chosen.numbers, reasons) == ({"value": 2}, [former])


def test_nothing_is_written_that_would_be_pickled(run: Run) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        keep(run, "parts", Answer(1, {"image": np.array([object()])}), "")
    assert not [*run.path.glob("analysis/*")]
