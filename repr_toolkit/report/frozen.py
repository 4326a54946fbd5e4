"""The section of a study of frozen h: the study of the runs' own images, or how to have one."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from repr_toolkit.analyses.frozen.blocks import LEAD, TITLE, blocks
from repr_toolkit.analyses.frozen.study import PROTOCOL
from repr_toolkit.page.blocks import Block, Notes, Section, Source
from repr_toolkit.report.inputs import Reported
from repr_toolkit.runs.kept import Kept, kept_in, showing
from repr_toolkit.runs.run import Run
from repr_toolkit.support.speech import either


def read_study(folder: str | Path, reported: Reported) -> Kept:
    """The newest result of the report's split that `repr-toolkit frozen RECIPE SOURCE…` kept.

    Raises FileNotFoundError for a folder without any, and ValueError for a file that is damaged, or
    for results of other images, levels or another split than the report, or another protocol.
    """
    folder = Path(folder)
    studies = kept_in(folder, "frozen")
    if not studies:
        raise FileNotFoundError(
            f"{folder} holds no study of frozen h; name the folder in which "
            "`repr-toolkit frozen RECIPE SOURCE…` kept one"
        )
    of_split = [study for study in studies if study.asked["split"] == reported.split]
    if not of_split:
        split = studies[0].asked["split"]
        raise ValueError(
            f"{folder} was measured on {split} images and this report is of {reported.split} "
            f"images; write it with {either('--split ', 'split=')}{split}, or measure the study "
            f"again with {either('--split ', 'split=')}{reported.split}"
        )
    study = of_split[0]
    if earlier := _earlier(study):
        raise ValueError(f"{folder} was {earlier}")
    if other := _on_other_images(study, reported.runs):
        raise ValueError(
            f"{folder} is of other images, or other levels of them, than {other} was trained "
            "on; name a study that `repr-toolkit frozen RECIPE "
            f"{reported.runs[other].path}` made with a recipe of those images"
        )
    return study


def choose_study(reported: Reported) -> tuple[Kept | None, list[str]]:
    """The study that was asked for, or else the newest of the split in the folder of the runs.

    With it come reasons, each about one in the folder that is left out: its decoders have other
    weights now, or a run that is no decoder of its own was trained on other images.
    """
    if reported.study is not None or reported.folder is None:
        return reported.study, []
    reasons: list[str] = []
    for study in kept_in(reported.folder, "frozen"):
        if study.asked["split"] != reported.split:
            continue
        why = _stale(study, reported.folder, reported.runs)
        if not why:
            return study, reasons
        reasons.append(f"Left out, a study of {study.when[:10]}: {why}.")
    return None, reasons


def _stale(study: Kept, folder: Path, runs: Mapping[str, Run]) -> str:
    """Why a study in the folder of the runs no longer tells of them; "" if it does."""
    if earlier := _earlier(study):
        return earlier
    weights: Mapping[str, str] = study.numbers["weights_of_runs"]
    for name in weights:
        decoder = Run(folder / name)
        if decoder.finished and decoder.weights_digest != weights[name]:
            return f"{name} has other weights now; measure again by `{study.command}`"
    further = {name: run for name, run in runs.items() if run.path.name not in weights}
    other = _on_other_images(study, further)
    return other and f"{other} was trained on other images, or other levels of them"


def _earlier(study: Kept) -> str:
    """What to do about a study of another protocol than today's; "" for one of today's."""
    if study.asked.get("protocol") == PROTOCOL:
        return ""
    return f"measured by an earlier version; measure again by `{study.command}`"


def _on_other_images(study: Kept, runs: Mapping[str, Run]) -> str:
    """The first run that was trained on other images, or levels, than a study is of, or ""."""
    images = (study.numbers["fingerprint"], study.numbers["levels"])
    return next((name for name, run in runs.items() if run.trained_on != images), "")


def frozen(reported: Reported) -> Section | None:
    """The study and what is left out, or how to have one where there are several h to compare."""
    study, reasons = choose_study(reported)
    shown: list[Block] = [Notes(reasons)] if reasons else []
    if study is not None:
        with showing([study]):
            shown = [*blocks({"study": study}, list(reported.runs)), *shown]
    elif len(reported.encoders) > 1:
        title = "Not measured here. To add it, with a RECIPE of these images:"
        commands = "\n".join(map(shlex.join, study_commands(reported)))
        shown.append(Source(title, commands, folded=True))
    return Section("frozen", TITLE, LEAD, shown) if shown else None


def study_commands(reported: Reported) -> list[list[str]]:
    """A study of the h of all runs beside their folder, and the report that shows it."""
    folder, runs = reported.folder, reported.runs
    first = next(iter(runs.values())).path
    place = Path("runs") if folder is None else first.parent.parent
    name = "frozen" if folder is None else f"frozen_{folder.name}"
    split = [] if reported.split == "test" else ["--split", reported.split]
    encoders = [
        f"{encoder.replace('/', '_')}={runs[encoder].path}" if "/" in encoder
        else str(runs[encoder].path)
        for encoder in reported.encoders
    ]  # fmt: skip
    study = ["repr-toolkit", "frozen", "RECIPE", *encoders, "--name", name]
    report = ["repr-toolkit", "report", *(str(run.path) for run in runs.values())]
    return [
        [*study, "--runs-dir", str(place), *split],
        [*report, "--frozen", str(place / name), *split],
    ]
