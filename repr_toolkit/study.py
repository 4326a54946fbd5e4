"""A study: several runs that differ in named settings, then their comparison."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from repr_toolkit.analyses.comparison import measure as comparison
from repr_toolkit.analyses.verification import study as verification
from repr_toolkit.analyses.verification.measure import measure_alone
from repr_toolkit.config.recipe import Config, variants
from repr_toolkit.config.trust import trust_recipe
from repr_toolkit.runs.kept import Result, keep_together, kept_together
from repr_toolkit.runs.run import Run
from repr_toolkit.support.console import say
from repr_toolkit.support.files import atomic_write, write_json
from repr_toolkit.support.processes import first_process_only
from repr_toolkit.training.variants import require_fitting, trained_variants

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
    AUC over the inner folds. choice.json has every AUC. A run that exists must be of some choice
    before any training, and of the one that is chosen after it.
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
    study, trains no encoder alone, or has a variant that is no fold, and for two equal names.
    """
    runs = _inner_runs(config)
    names = [".".join(map(str, run)) for run in runs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"choose: two inner runs would be {twice[0]}; rename a variant or a choice"
        )
    study = dict(zip(names, runs.values(), strict=True))
    return {**{key: value for key, value in config.items() if key != "choose"}, "study": study}


def _inner_runs(config: Mapping[str, Any]) -> dict[tuple[Any, Any, int], Config]:
    """The settings of the inner runs by variant, choice and fold."""
    folds = [variant["data"] for variant in variants(config).values()]
    if "metric" not in config["model"] or any(data["fold"] is None for data in folds):
        raise ValueError(
            "choose: settings are chosen by telling people apart in an inner cross-validation, so "
            "that it needs a model.metric, and a data.fold in every variant of the study"
        )
    return {
        (variant, choice, fold): {**_settings(config, variant, choice), "data.inner": fold}
        for variant, data in zip(config["study"], folds, strict=True)
        for choice in config["choose"]
        for fold in range(data["folds"])
    }


def _settings(config: Mapping[str, Any], variant: Any, choice: Any) -> Config:
    """The settings of a variant with a choice among them."""
    return {**(config["study"][variant] or {}), **(config["choose"][choice] or {})}


def _choose(config: Mapping[str, Any], study_dir: Path) -> tuple[Config, str]:
    """The study with the choice of each variant among its settings, and the choices in words."""
    inner, choices = inner_study(config), config["choose"]
    trust_recipe(config)
    for variant in config["study"]:
        every = {str(choice): _settings(config, variant, choice) for choice in choices}
        run = Run(study_dir / str(variant))
        require_fitting(run, variants({**config, "study": every}).values())
    with trained_variants(inner, study_dir / INNER) as runs:
        values = [measure_alone(run).auc.value for run in runs.values()]
    aucs = dict(zip(_inner_runs(config), values, strict=True))
    study, told = {}, []
    for variant in config["study"]:
        means = {
            choice: fmean(auc for key, auc in aucs.items() if key[:2] == (variant, choice))
            for choice in choices
        }
        best = max(means, key=means.__getitem__)
        study[variant] = _settings(config, variant, best)
        told.append(f"{variant} {best} ({means[best]:.4f})")
    by_name = dict(zip(runs, values, strict=True))
    first_process_only(write_json)(study_dir / "choice.json", {"auc": by_name, "chosen": told})
    chosen = dict.fromkeys(key for settings in choices.values() for key in settings or {})
    sentence = (
        f"Chosen for each variant: {', '.join(chosen)}, among {', '.join(map(str, choices))}, by "
        f"an inner cross-validation over the people whom it does not test, with the mean AUC of "
        f"its folds: {', '.join(told)}. No other setting was chosen so: what was sought on these "
        f"people makes the numbers too good for others."
    )
    say(sentence)
    return {**config, "study": study}, sentence


@first_process_only
def _compare(
    study_dir: Path, runs: Mapping[str, Run], *, encoders_alone: bool, chosen: str
) -> None:
    """Write the files of the comparison, as it is kept of these runs or else made."""
    asked: dict[str, Any] = {"split": "test", "protocol": comparison.PROTOCOL}
    measure: Callable[[Mapping[str, Run]], Result] = comparison.measure
    name = "comparison"
    if encoders_alone:
        name, measure = "verification", partial(verification.measure_variants, chosen=chosen)
        asked |= {"protocol": verification.PROTOCOL, "chosen": chosen}
    kept = kept_together(study_dir, name, runs, **asked)
    if kept is None:
        kept = keep_together(study_dir, name, runs, measure(runs))
    else:
        say(f"compared before; delete {kept.file} to measure anew")
    for file, content in kept.arrays.items():
        with atomic_write(study_dir / file) as out:
            out.write(content.tobytes())
