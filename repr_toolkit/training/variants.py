"""Trains the variants of a study."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repr_toolkit.config.optimizer import optimizer_factory
from repr_toolkit.config.recipe import Config, variants
from repr_toolkit.config.trust import trust_recipe
from repr_toolkit.models.assemble import assemble
from repr_toolkit.runs.lock import sole_trainer
from repr_toolkit.runs.run import Run, with_data
from repr_toolkit.support.console import say
from repr_toolkit.training.resuming import require_same, with_rounding
from repr_toolkit.training.start import with_start
from repr_toolkit.training.train import require_trainable, train


@contextmanager
def trained_variants(
    config: Mapping[str, Any], study_dir: Path, *, wandb: bool = False
) -> Iterator[dict[str, Run]]:
    """Train the variants of a study into `study_dir`/VARIANT, and yield the runs by variant.

    A finished variant stays as it is, and one that was cut goes on. No other training writes into
    the study meanwhile. Raises as `run_study` does, before any training.
    """
    trust_recipe(config)
    runs = {name: Run(study_dir / name) for name in variants(config)}
    prepared = {name: _prepare(name, v, runs[name]) for name, v in variants(config).items()}
    study_dir.mkdir(parents=True, exist_ok=True)
    with sole_trainer(study_dir):
        for number, (name, variant) in enumerate(prepared.items(), 1):
            say(f"[{number}/{len(runs)}] {name}")
            steps = variant["training"]["steps"]
            if runs[name].finished and runs[name].config["training"]["steps"] == steps:
                say(f"  done before, see {runs[name].path}")
                continue
            path, group = runs[name].path, study_dir.name
            train(variant, path, resume=True, wandb=wandb, group=group)
        yield runs


def require_fitting(run: Run, choices: Iterable[Config]) -> None:
    """Raise ValueError, as of the first of these configurations, where a run has none of them.

    A run that does not exist yet has any.
    """
    errors: list[ValueError] = []
    for config in choices if run.path.exists() else ():
        try:
            _prepare(run.path.name, config, run)
        except ValueError as error:
            errors.append(error)
        else:
            return
    if errors:
        raise errors[0]


def _prepare(name: str, variant: Config, run: Run) -> Config:
    """A variant that states its data; builds the model once, to see that it can be.

    Raises what building raises, naming the variant, and ValueError where its run exists and was
    made with other settings.
    """
    exists = run.path.exists()
    variant, data = with_data(variant, run if exists else None)
    variant = with_start(variant, run.config if exists else None)
    try:
        encoder, join, resolved = assemble(variant, data)
        require_trainable(resolved, data, encoder)
        join(optimizer=optimizer_factory(resolved)).make_optimizer()
    except (ValueError, TypeError, ImportError) as error:
        raise type(error)(f"study.{name}: {error}") from error
    if exists:
        require_same(run, with_rounding(resolved, run.config), data)
    return variant
