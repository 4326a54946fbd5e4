"""A study: several runs that differ in named settings, then their comparison."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repr_toolkit.analyses.comparison import measure as comparison
from repr_toolkit.analyses.verification import study as verification
from repr_toolkit.config.recipe import variants
from repr_toolkit.runs.kept import keep_together, kept_together
from repr_toolkit.runs.run import Run
from repr_toolkit.support.console import say
from repr_toolkit.support.files import atomic_write
from repr_toolkit.support.processes import first_process_only
from repr_toolkit.training.variants import trained_variants


def run_study(
    config: Mapping[str, Any], study_dir: str | Path, *, wandb: bool = False
) -> list[Run]:
    """Train every variant of a study into `study_dir`/VARIANT, then compare them.

    A finished variant stays as it is, and one that was cut goes on from its last checkpoint. Before
    any training each variant is built once: ValueError for one that cannot be built, or whose run
    was made with other settings, and where some variants have a decoder and others train an encoder
    alone. BlockingIOError says who is at work on the study, if another process is.
    """
    study_dir = Path(study_dir)
    kinds = {"metric" in variant["model"] for variant in variants(config).values()}
    if len(kinds) > 1:
        raise ValueError(
            "study: some variants have a model.decoder and others a model.metric, and no table "
            "holds both: make two studies of them"
        )
    with trained_variants(config, study_dir, wandb=wandb) as runs:
        _compare(study_dir, runs, encoders_alone=kinds == {True})
        return list(runs.values())


@first_process_only
def _compare(study_dir: Path, runs: Mapping[str, Run], *, encoders_alone: bool) -> None:
    """Write the files of the comparison, as it is kept of these runs or else made."""
    name, measure, protocol = (
        ("verification", verification.measure_variants, verification.PROTOCOL)
        if encoders_alone
        else ("comparison", comparison.measure, comparison.PROTOCOL)
    )
    kept = kept_together(study_dir, name, runs, split="test", protocol=protocol)
    if kept is None:
        kept = keep_together(study_dir, name, runs, measure(runs))
    else:
        say(f"compared before; delete {kept.file} to measure anew")
    for file, content in kept.arrays.items():
        with atomic_write(study_dir / file) as out:
            out.write(content.tobytes())
