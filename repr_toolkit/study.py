"""A study: several runs that differ in named settings, then their comparison."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from repr_toolkit.analyses.comparison import measure as comparison
from repr_toolkit.analyses.verification import study as verification
from repr_toolkit.analyses.verification.measure import measure_alone
from repr_toolkit.config.recipe import Config, variants
from repr_toolkit.runs.kept import keep_together, kept_together
from repr_toolkit.runs.run import Run
from repr_toolkit.support.console import say
from repr_toolkit.support.files import atomic_write, write_json
from repr_toolkit.support.processes import first_process_only
from repr_toolkit.training.variants import trained_variants

INNER = ".inner"
"""The folder of a study's inner cross-validation, which is no variant's name."""


def run_study(
    config: Mapping[str, Any], study_dir: str | Path, *, wandb: bool = False
) -> list[Run]:
    """Train every variant of a study into `study_dir`/VARIANT, then compare them.

    A finished variant stays as it is, and one that was cut goes on from its last checkpoint. Before
    any training each variant is built once: ValueError for one that cannot be built, or whose run
    was made with other settings, and where some variants have a decoder and others train an encoder
    alone. BlockingIOError says who is at work on the study, if another process is.

    With a section `choose` the settings of each variant are chosen first, by the runs of
    `inner_study` in `study_dir`/.inner: those whose encoders tell people apart by the highest mean
    AUC over the inner folds. choice.json has every AUC.
    """
    study_dir = Path(study_dir)
    kinds = {"metric" in variant["model"] for variant in variants(config).values()}
    if len(kinds) > 1:
        raise ValueError(
            "study: some variants have a model.decoder and others a model.metric, and no table "
            "holds both: make two studies of them"
        )
    chosen = ""
    if config.get("choose"):
        config, chosen = _choose(config, study_dir)
    with trained_variants(config, study_dir, wandb=wandb) as runs:
        _compare(study_dir, runs, encoders_alone=kinds == {True}, chosen=chosen)
        return list(runs.values())


def inner_study(config: Mapping[str, Any]) -> Config:
    """The study of an inner cross-validation: of each variant's people, every choice in each fold.

    Its variants are named VARIANT.CHOICE.FOLD. Raises ValueError for a recipe that is no
    study, trains no encoder alone, or has a variant that is no fold.
    """
    folds = [variant["data"] for variant in variants(config).values()]
    if "metric" not in config["model"] or any(data["fold"] is None for data in folds):
        raise ValueError(
            "choose: settings are chosen by telling people apart in an inner cross-validation, so "
            "that it needs a model.metric, and a data.fold in every variant of the study"
        )
    study = {
        f"{name}.{choice}.{fold}": {**(settings or {}), **(chosen or {}), "data.inner": fold}
        for (name, settings), data in zip(config["study"].items(), folds, strict=True)
        for choice, chosen in config["choose"].items()
        for fold in range(data["folds"])
    }
    return {**{key: value for key, value in config.items() if key != "choose"}, "study": study}


def _choose(config: Mapping[str, Any], study_dir: Path) -> tuple[Config, str]:
    """The study with the choice of each variant among its settings, and the choices in words."""
    with trained_variants(inner_study(config), study_dir / INNER) as runs:
        aucs = {name: measure_alone(run).auc.value for name, run in runs.items()}
    study, told = {}, []
    for variant, settings in config["study"].items():
        means = {
            choice: fmean(
                auc for name, auc in aucs.items() if name.startswith(f"{variant}.{choice}.")
            )
            for choice in config["choose"]
        }
        best = max(means, key=means.__getitem__)
        study[variant] = {**(settings or {}), **(config["choose"][best] or {})}
        told.append(f"{variant} {best} ({means[best]:.4f})")
    first_process_only(write_json)(study_dir / "choice.json", {"auc": aucs, "chosen": told})
    sentence = (
        f"Settings chosen for each variant among {', '.join(config['choose'])} by an inner "
        f"cross-validation over the people whom it does not test, with the mean AUC of its folds: "
        f"{', '.join(told)}."
    )
    say(sentence)
    return {**config, "study": study}, sentence


@first_process_only
def _compare(
    study_dir: Path, runs: Mapping[str, Run], *, encoders_alone: bool, chosen: str
) -> None:
    """Write the files of the comparison, as it is kept of these runs or else made."""
    name, measure, protocol = (
        (
            "verification",
            partial(verification.measure_variants, chosen=chosen),
            verification.PROTOCOL,
        )
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
