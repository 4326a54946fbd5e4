"""metrics.csv: a row for each measurement, through every resume."""

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger

from repr_toolkit.support.files import atomic_write
from repr_toolkit.support.processes import first_process, first_process_only
from repr_toolkit.support.reading import read_text, reading


class CsvLogger(Logger):
    """Writes metrics to a CSV file, a row at a time, with `step` as the first column.

    Opening the file drops the rows after `step`: a run that was cut wrote them after its last
    checkpoint. A metric that appears later gets a new column. (Lightning's own CSVLogger deletes
    the file when a run resumes.)
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        super().__init__()
        self.path = path
        self._columns = ["step"]
        self._rows: list[dict[str, str]] = []
        if first_process() and path.is_file():
            with reading(path):
                reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
                self._rows = [row for row in reader if _step(row) <= step]
                self._columns = list(reader.fieldnames or self._columns)
            self._rewrite()

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Does nothing: config.yaml holds the configuration."""

    @first_process_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a row; every value reads back exactly."""
        row = {"step": str(step or 0)} | {key: repr(value) for key, value in metrics.items()}
        self._rows.append(row)
        new = [key for key in row if key not in self._columns]
        if new or len(self._rows) == 1:
            self._columns += new
            self._rewrite()
        else:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns).writerow(row)

    def _rewrite(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(self._rows)
        with atomic_write(self.path) as file:
            file.write(text.getvalue().encode())


def _step(row: dict[str, str]) -> float:
    """The step of a row; infinite for an incomplete row, of a process that was killed."""
    complete = None not in row and None not in row.values()
    return int(row["step"]) if complete and row.get("step", "").isdigit() else float("inf")
