"""The numbers and the picture of a verification on Weights & Biases."""

from typing import Any
from uuid import uuid4

from repr_toolkit.analyses.verification.measure import Report, roc_lines
from repr_toolkit.page.wandb import PROJECT
from repr_toolkit.runs.run import Run
from repr_toolkit.support.roc import roc_picture


def log_verification(run: Run, report: Report) -> None:
    """Log what was found of a run on a split to the run that training logged to, or a new one.

    The numbers are verify/SPLIT/NAME, those of the methods to be beaten
    verify/SPLIT/METHOD/NAME, by the names of `flat_numbers`; what could not be measured is left
    out. The picture is verify/SPLIT/roc. A new run has the name of the run's directory, and is in
    the group of the study whose results stand beside it, if any.
    """
    import wandb

    known = run.wandb_id_file
    if not known.is_file():
        known.write_text(f"{uuid4().hex[:8]}\n")
    folder = run.path.resolve()
    tables = ("verification.md", "comparison.md")
    in_study = any((folder.parent / table).is_file() for table in tables)
    place = f"verify/{report.split}"
    found: dict[str, Any] = {}
    for name, result in report.methods.items():
        prefix = place if result is report.own else f"{place}/{name}"
        numbers = result.flat_numbers().items()
        found |= {f"{prefix}/{key}": value for key, value in numbers if value is not None}
    picture = wandb.Image(roc_picture(roc_lines([report])), caption=f"{report.of}, {report.split}")
    with wandb.init(
        project=PROJECT,
        dir=run.path,
        id=known.read_text().strip(),
        name=folder.name,
        group=folder.parent.name if in_study else None,
        resume="allow",
    ) as logged:
        logged.log({**found, f"{place}/roc": [picture]})
