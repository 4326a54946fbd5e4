"""Every table says what its intervals are over, and why some numbers have none."""

import numpy as np

from repr_toolkit.page.blocks import Notes, Row, Table
from repr_toolkit.page.cells import number_cell, share_of, with_remark
from repr_toolkit.page.intervals import interval_notes, numbers_of
from repr_toolkit.support.stats import mean, share


def test_every_kind_names_its_rows_and_every_reason_too() -> None:
    values, people = np.arange(60.0), (np.arange(60) // 6, "people")
    of_people = with_remark(number_cell(mean(values, people)), "a remark")
    rows = [
        Row("bits", [number_cell(mean(values)), of_people]),
        Row("errors", [number_cell(mean(values)), number_cell(None)]),
        Row("probe, %", [share_of(share(values > 3, (np.arange(60) // 30, "photographs")))] * 2),
    ]
    assert interval_notes(numbers_of([Notes(["a"]), Table("", ["a", "b"], rows)])) == [
        "95 % intervals: “bits”, “errors”: Student's t over 60 images; “bits”: Student's t over 10 "
        "people, 60 images (fewer than 30: with caution).",
        "No interval: “probe, %”: 2 photographs are fewer than 5.",
    ]
    columns = Table("", ["AUC", "1-NN"], rows[:1], by_column=True)
    assert interval_notes(numbers_of([columns])) == [
        "95 % intervals: “AUC”: Student's t over 60 images; “1-NN”: Student's t over 10 people, "
        "60 images (fewer than 30: with caution)."
    ]
    assert interval_notes([("bits", "")]) == []
