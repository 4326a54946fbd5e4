"""metrics.csv keeps what was measured through cuts and resumes."""

import csv
from pathlib import Path

from repr_toolkit.training.csv_logger import CsvLogger


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_on_the_disk_at_once_and_exact(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    logger = CsvLogger(path)
    assert not path.exists()
    logger.log_metrics({"a": 0.1 + 0.2}, 1)
    assert rows(path) == [{"step": "1", "a": "0.30000000000000004"}]
    logger.log_metrics({"b": 1.0}, 2)
    logger.log_metrics({"a": 2.0}, 3)
    assert [row["b"] for row in rows(path)] == ["", "1.0", ""]
    assert [row["a"] for row in rows(path)] == ["0.30000000000000004", "", "2.0"]


def test_a_resume_drops_what_came_after_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    logger = CsvLogger(path)
    for step in range(1, 6):
        logger.log_metrics({"a": float(step)}, step)
    logger.log_metrics({"b": 0.5}, 4)
    path.write_text(path.read_text() + "6,")  # cut in the middle of a row
    resumed = CsvLogger(path, step=4)
    assert [row["step"] for row in rows(path)] == ["1", "2", "3", "4", "4"]
    resumed.log_metrics({"a": 7.0, "b": 8.0}, 5)
    assert rows(path)[-1] == {"step": "5", "a": "7.0", "b": "8.0"}
