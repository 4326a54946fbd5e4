"""A bar is shown on a terminal, and nowhere else."""

import pytest

from repr_toolkit.support.console import bar, span


def test_on_a_terminal(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # what makes rich take anything for a terminal
    with bar("sampling", 12) as show:
        show(7.5)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "sampling" in shown.err
    assert " 7/12" in shown.err
    with bar("sampling", 12, shown=False) as show:
        show(7.5)
    assert capfd.readouterr().err == ""


def test_elsewhere(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with bar("sampling", 12) as show:
        show(7.5)
    assert capfd.readouterr() == ("", "")


def test_a_fraction_of_a_part() -> None:
    told: list[float] = []
    part = span(told.append, 10, 4)
    part(0.0)
    part(0.5)
    assert told == [10, 12]
