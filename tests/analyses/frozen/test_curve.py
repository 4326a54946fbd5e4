"""The learning curve of a study: bits saved at each validation, and whether they still rise."""

from pathlib import Path

import pytest

from repr_toolkit.analyses.frozen.curve import learning_curve
from repr_toolkit.runs.run import Run


def measured(folder: Path, bits: dict[int, float]) -> Run:
    folder.mkdir()
    lines = [f"{step},{value}" for step, value in bits.items()]
    (folder / "metrics.csv").write_text("\n".join(["step,val/bits_per_dim", *lines]))
    return Run(folder)


def pair(folder: Path, saved: dict[int, float]) -> tuple[Run, Run]:
    """A null and a decoder that saves so many bits, of 100 sub-pixels, at these steps."""
    folder.mkdir()
    null = measured(folder / "null", {step: 4 - 0.001 * step for step in (50, *saved)})
    own = {step: 4 - 0.001 * step - bits / 100 for step, bits in saved.items()}
    return null, measured(folder / "own", own)


def test_a_curve_that_still_rises_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    rising = {100: 1.0, 200: 5.0, 300: 8.0, 400: 10.0}
    curve = learning_curve([pair(tmp_path / "a", rising), pair(tmp_path / "b", rising)], 100)
    assert curve is not None
    assert curve["steps"] == [100, 200, 300, 400]  # those of both
    assert curve["of_seeds"][1] == pytest.approx([1, 5, 8, 10])
    assert (curve["rise"], curve["rising"]) == (pytest.approx(2), True)
    falling = pair(tmp_path / "c", {**rising, 400: 7.9})
    for number, (pairs, rise) in enumerate(
        (
            ([pair(tmp_path / "d", {**rising, 400: 8.05})], 0.05),  # less than a hundredth
            ([falling], -0.1),
            ([pair(tmp_path / "e", {**rising, 400: 20.0}), falling], 5.95),  # not every seed
        )
    ):
        curve = learning_curve(pairs, 100)
        assert curve is not None
        assert (curve["rise"], curve["rising"]) == (pytest.approx(rise), False), number
    early = learning_curve([pair(tmp_path / "f", {400: 3.0})], 100)
    assert early is not None
    assert early["rise"] is early["rising"] is None


def test_without_measurements_there_is_none(tmp_path: Path) -> None:
    assert learning_curve([(Run(tmp_path / "no"), Run(tmp_path / "none"))], 100) is None
