"""A study: several runs that differ in named settings, then their comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repr_toolkit.config.recipe import variants
from repr_toolkit.runs.run import Run, is_newer
from repr_toolkit.support.console import say
from repr_toolkit.support.processes import first_process_only
from repr_toolkit.training.variants import train_variants


def run_study(
    config: Mapping[str, Any], study_dir: str | Path, *, wandb: bool = False
) -> list[Run]:
    """Train every variant of a study into `study_dir`/VARIANT, then compare them.

    A finished variant stays as it is, and one that was cut goes on from its last checkpoint. Before
    any training each variant is built once: ValueError for one that cannot be built, or whose run
    was made with other settings, and where some variants have a decoder and others train an encoder
    alone.
    """
    study_dir = Path(study_dir)
    kinds = {"metric" in variant["model"] for variant in variants(config).values()}
    if len(kinds) > 1:
        raise ValueError(
            "study: some variants have a model.decoder and others a model.metric, and no table "
            "holds both: make two studies of them"
        )
    runs, sources = train_variants(config, study_dir, wandb=wandb)
    _compare(study_dir, runs, sources, kinds == {True})
    return list(runs.values())


@first_process_only
def _compare(
    study_dir: Path, runs: Mapping[str, Run], sources: Sequence[str | None], encoders_alone: bool
) -> None:
    """Compare the runs, unless the files of a comparison exist and are newer than every run."""
    from repr_toolkit.analyses.comparison.measure import compare, outputs
    from repr_toolkit.analyses.verification.study import OUTPUTS, compare_encoders

    files = OUTPUTS if encoders_alone else outputs(sources)
    if all(is_newer(study_dir / name, runs.values()) for name in files):
        say(f"compared before, see {study_dir}")
        return
    paths = {name: run.path for name, run in runs.items()}
    (compare_encoders if encoders_alone else compare)(study_dir, paths)
