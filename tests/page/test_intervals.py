"""Every table says what its intervals are over, and why some numbers have none."""

import numpy as np

from repr_toolkit.page.intervals import interval_notes
from repr_toolkit.support.stats import as_json, mean, share


def test_kinds_and_reasons_stand_once() -> None:
    values, people = np.arange(60.0), (np.arange(60) // 6, "people")
    numbers = {
        "rows": [{"bits": mean(values)}, {"bits": mean(values), "error": mean(values, people)}],
        "accuracy": share(values > 3, (np.arange(60) // 30, "photographs")),
        "plain": {"value": 3.0},
        "how": "not a number",
    }
    assert interval_notes(as_json(numbers)) == [
        "95 % intervals are Student's t over 60 images; Student's t over 10 people, 60 images "
        "(fewer than 30: with caution).",
        "No interval where 2 photographs are fewer than 5.",
    ]
    assert interval_notes({"value": 3.0}) == []
