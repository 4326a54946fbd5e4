"""Trains the variants of a study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repr_toolkit.config.build import optimizer_factory
from repr_toolkit.config.recipe import Config, variants
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.models.assemble import assemble
from repr_toolkit.runs.run import Run, data_arguments, with_fingerprint
from repr_toolkit.support.console import say
from repr_toolkit.training.train import require_same, train


def train_variants(
    config: Mapping[str, Any], study_dir: Path, *, wandb: bool = False
) -> tuple[dict[str, Run], list[str | None]]:
    """Train the variants of a study into `study_dir`/VARIANT, each to its end.

    A finished variant stays as it is, and one that was cut goes on. Returns the runs by variant,
    and the key of a batch that each variant's encoder reads (None without an encoder). Raises as
    `run_study` does, before any training.
    """
    runs = {name: Run(study_dir / name) for name in variants(config)}
    prepared = {name: _prepare(name, v, runs[name]) for name, v in variants(config).items()}
    for number, (name, (variant, data, _)) in enumerate(prepared.items(), 1):
        say(f"[{number}/{len(runs)}] {name}")
        if runs[name].finished:
            say(f"  done before, see {runs[name].path}")
            continue
        train(
            variant,
            runs[name].path,
            resume=runs[name].path.exists(),
            wandb=wandb,
            group=study_dir.name,
            name=name,
            data=data,
        )
    return runs, [source for _, _, source in prepared.values()]


def _prepare(name: str, variant: Config, run: Run) -> tuple[Config, ImageData, str | None]:
    """A variant, its data and its encoder's source; builds the model once, to see that it can be.

    Raises what building raises, naming the variant, and ValueError where its run exists and was
    made with other settings.
    """
    data = load_data(**data_arguments(variant))
    variant = with_fingerprint(variant, data)
    try:
        encoder, _, resolved = assemble(variant, data)
        optimizer_factory(resolved)
    except (ValueError, TypeError, ImportError) as error:
        raise type(error)(f"study.{name}: {error}") from error
    if run.path.exists():
        require_same(run, resolved, data)
    return variant, data, None if encoder is None else encoder.source


def compared(study_dir: Path, runs: Mapping[str, Run], outputs: Sequence[str]) -> bool:
    """Whether a study's files `outputs` exist and are newer than every run; says so if they are."""
    files = [study_dir / name for name in outputs]
    if not all(file.is_file() for file in files):
        return False
    oldest = min(file.stat().st_mtime for file in files)
    if any(run.weights_file.stat().st_mtime > oldest for run in runs.values()):
        return False
    say(f"compared before, see {study_dir}")
    return True
