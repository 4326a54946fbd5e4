"""The checkpoints of a run as files, without reading one."""

from pathlib import Path

FOLDER = "checkpoints"
"""The folder, within a run's, of what training needs to go on."""


def checkpoints_of(run: Path) -> list[Path]:
    """The checkpoints in a run's folder, oldest first."""
    named = (run / FOLDER).glob("step_*.ckpt")
    return sorted((path for path in named if path.stem[5:].isdecimal()), key=checkpoint_step)


def checkpoint_step(path: Path) -> int:
    """The step of a checkpoint, from its name."""
    return int(path.stem.removeprefix("step_"))


def drop_checkpoints(run: Path, keep: int) -> None:
    """Delete the checkpoints in a run's folder but the last `keep`."""
    for old in checkpoints_of(run)[: -keep or None]:
        old.unlink()
