"""The table and the picture of a study of frozen representations on Weights & Biases."""

import csv
from pathlib import Path

from repr_toolkit.page.wandb import PROJECT


def log_study(study_dir: Path) -> None:
    """Log information.csv and information.png as a run "information" in the study's group.

    WANDB_MODE=offline works.
    """
    import wandb

    with (study_dir / "information.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    picture = wandb.Image(str(study_dir / "information.png"), caption="bits that h saves a pixel")
    with wandb.init(
        project=PROJECT,
        dir=study_dir,
        name="information",
        job_type="information",
        group=study_dir.resolve().name,
    ) as logged:
        table = wandb.Table(columns=[*header], data=[*rows])
        logged.log({"information/table": table, "information/maps": picture})
