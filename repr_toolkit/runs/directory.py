"""Whether a folder is a run, by the names of its files alone; nothing heavy is imported."""

from pathlib import Path

from repr_toolkit.support.speech import either

CONFIG, WEIGHTS, FACTS = "config.yaml", "model.safetensors", "model.json"
"""The files that make a folder a run, and a finished one."""


def require_run(folder: Path) -> None:
    """Raise FileNotFoundError unless a folder is a run's."""
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"no run {folder}: there is no {folder / CONFIG}")


def is_finished(folder: Path) -> bool:
    """Whether training has ended there and its result is saved."""
    return (folder / WEIGHTS).is_file() and (folder / FACTS).is_file()


def require_finished(folder: Path) -> None:
    """Raise FileNotFoundError, naming what is missing, unless a folder is a finished run's."""
    require_run(folder)
    if not is_finished(folder):
        raise FileNotFoundError(
            f"{folder} is still in training, or was cut short: it has no {WEIGHTS} yet. If it is "
            f"yours, resume it with: repr-toolkit train {folder / CONFIG} --runs-dir "
            f"{folder.parent} --name {folder.name} --resume"
        )


def require_new(folder: Path) -> None:
    """Raise FileExistsError if a folder exists: a run is never overwritten."""
    if folder.exists():
        raise FileExistsError(
            f"{folder} exists already; resume it ({either('--resume', 'resume=True')}), choose "
            f"another {either('--name', 'run_dir')}, or delete it"
        )


def require_runs(folder: Path) -> None:
    """Raise FileNotFoundError unless a folder is a finished run's, or holds some."""
    if (folder / CONFIG).is_file() or not folder.is_dir():
        require_finished(folder)
    elif not any(is_finished(file.parent) for file in folder.glob(f"*/{CONFIG}")):
        raise FileNotFoundError(f"{folder} is no run, and no folder of finished runs")
