"""A study: several runs that differ in named settings, then their comparison."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repr_toolkit.build import build, optimizer_factory
from repr_toolkit.config import Config, variants
from repr_toolkit.data import ImageData
from repr_toolkit.data import load as load_images
from repr_toolkit.processes import first_process_only, say
from repr_toolkit.runs import Run, data_arguments, with_fingerprint
from repr_toolkit.training import require_same, train


def run_study(
    config: Mapping[str, Any], study_dir: str | Path, *, wandb: bool = False
) -> list[Run]:
    """Train every variant of a study into `study_dir`/VARIANT, then compare them.

    Variants that are finished are not trained again, one that was cut goes on from its last
    checkpoint. Before anything is trained, every variant is built once, and ValueError is
    raised for one that cannot be, or whose run was made with other settings.
    """
    study_dir = Path(study_dir)
    runs = {name: Run(study_dir / name) for name in variants(config)}
    prepared = {name: _prepare(name, v, runs[name]) for name, v in variants(config).items()}
    for number, (name, (variant, data)) in enumerate(prepared.items(), 1):
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
    _compare(study_dir, runs)
    return list(runs.values())


def _prepare(name: str, variant: Config, run: Run) -> tuple[Config, ImageData]:
    """A variant and its data, once it is known that both make a model."""
    data = load_images(**data_arguments(variant))
    variant = with_fingerprint(variant, data)
    try:
        resolved = build(variant, data).config
        optimizer_factory(resolved)
    except (ValueError, TypeError, ImportError) as error:
        raise type(error)(f"study.{name}: {error}") from error
    if run.path.exists():
        require_same(run, resolved)
    return variant, data


@first_process_only
def _compare(study_dir: Path, runs: Mapping[str, Run]) -> None:
    from repr_toolkit.comparison import OUTPUTS, compare

    outputs = [study_dir / name for name in OUTPUTS]
    if all(output.is_file() for output in outputs):
        compared = min(output.stat().st_mtime for output in outputs)
        if all(run.weights_file.stat().st_mtime <= compared for run in runs.values()):
            say(f"compared before, see {study_dir}")
            return
    compare(study_dir, {name: run.path for name, run in runs.items()})
