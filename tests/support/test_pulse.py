"""A line on the work at hand comes wherever nothing is said, and nowhere else."""

import threading

import pytest

from repr_toolkit.support import pulse
from repr_toolkit.support.console import bar, say, tell
from repr_toolkit.support.pulse import Work, working


class Told(list[str]):
    """Lines; `wait` returns when the next one comes."""

    def __init__(self) -> None:
        self.came = threading.Event()

    def __call__(self, line: str) -> None:
        self.append(line)
        self.came.set()

    def wait(self) -> str:
        self.came.clear()
        assert self.came.wait(60)
        return self[-1]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(pulse, "SILENCE", 0.01)
    monkeypatch.setattr(pulse, "AGAIN", 0.01)
    return Told()


def test_what_was_said_last_is_what_is_being_done(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    with pulse.pulse("probe", told):
        assert told.wait() == "  probe … 0 s"
        tell("probing pixels for label: mlp")
        assert told.wait().startswith("  probing pixels for label: mlp … ")
        say("measuring...\nmore of it")
        assert told.wait().startswith("  measuring … ")
    count = len(told)
    assert not told.came.wait(0.1) or len(told) == count  # it ended


def test_a_bar_tells_how_much_is_done(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with pulse.pulse("embed", told), bar("h of runs/a", 2000) as show:
        assert told.wait() == "  h of runs/a … 0 of 2,000"
        show(500.5)
        assert told.wait().startswith("  h of runs/a … 500 of 2,000, ")
        assert told[-1].endswith(" left")


def test_what_is_drawn_or_json_gets_no_line(told: Told) -> None:
    with pulse.pulse("probe", told, shown=False), working(Work("h")):
        assert not told.came.wait(0.1)
    with working(Work("h", 10, drawn=True)), pulse.pulse("probe", told):
        assert not told.came.wait(0.1)


def test_the_time_left_follows_from_the_time_taken() -> None:
    work = Work("h", 10, started=100.0)
    assert work.line(105.0) == "  h … 0 of 10"
    work.done = 4
    assert work.line(120.0) == "  h … 4 of 10, 30 s left"
    assert Work("fitting", started=100.0).line(163.0) == "  fitting … 1 min 3 s"
