"""Every argument of lightning.Trainer is taken or refused."""

import inspect
from datetime import timedelta
from typing import Any

import pytest
from lightning import Trainer

from repr_toolkit.config.recipe import apply_settings, complete
from repr_toolkit.config.trainer import DEFAULTS, REFUSED, max_time, require_known
from toys.runs import small


def test_every_argument_of_the_installed_lightning_is_taken_or_refused() -> None:
    signature = inspect.signature(Trainer.__init__).parameters
    assert {*DEFAULTS} | {*REFUSED} == {*signature} - {"self"}
    assert not {*DEFAULTS} & {*REFUSED}
    assert {key: signature[key].default for key in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("key", REFUSED)
def test_what_is_refused_says_why(key: str) -> None:
    with pytest.raises(ValueError, match=rf"^trainer\.{key} cannot be set: \S"):
        require_known({key: 1})
    if key.startswith(("limit_test", "limit_pred")):  # which old runs may state
        assert complete({**small(), "trainer": {key: 1}})["trainer"] == {key: 1}
        return
    with pytest.raises(ValueError, match=rf"^trainer\.{key} cannot be set: \S"):
        apply_settings(small(), {f"trainer.{key}": "1"})


def test_an_unknown_one_is_told_the_closest() -> None:
    with pytest.raises(ValueError, match=r"trainer\.acelerator.*did you mean accelerator"):
        require_known({"acelerator": "cpu"})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("00:00:01:30", 90),
        ("02:03:00:00", 2 * 86400 + 3 * 3600),
        ({"hours": 2}, 7200),
        ({"minutes": 0.5}, 30),
        (None, None),
    ],
)
def test_a_time(value: Any, seconds: float | None) -> None:
    assert max_time(value) == (None if seconds is None else timedelta(seconds=seconds))
    assert complete({**small(), "trainer": {"max_time": value}})["trainer"]["max_time"] == value


@pytest.mark.parametrize(
    "value",
    [
        *(216000, True, "10:00", "soon", "0:0:0:1", "00:00:00:00", [1], {}, {"weeks": 1}),
        *({"hours": "2"}, {"hours": -1}, {"days": 1e9}, {"hours": float("nan")}),
    ],
)
def test_what_is_no_time(value: Any) -> None:
    """A time without quotes that YAML takes for a number included."""
    with pytest.raises(ValueError, match=r"trainer\.max_time is DD:HH:MM:SS"):
        apply_settings(small(), {"trainer.max_time": value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"callbacks": {"class_path": "x.Y"}}, r"trainer\.callbacks is a list"),
        ({"callbacks": ["x.Y"]}, r"trainer\.callbacks\[0\] is a mapping"),
        ({"callbacks": [{"init_args": {}}]}, r"trainer\.callbacks\[0\]\.class_path is missing"),
        ({"accumulate_grad_batches": 0}, r"trainer\.accumulate_grad_batches is a whole number"),
    ],
)
def test_what_is_no_callback_and_no_number(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        complete({**small(), "trainer": settings})
