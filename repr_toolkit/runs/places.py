"""Where the data of runs lie now: as a run says, where its training found them, or as is given."""

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from repr_toolkit.config.recipe import Config
from repr_toolkit.config.trust import require_trusted, trust_paths
from repr_toolkit.data import ImageData, load_data
from repr_toolkit.data.names import find

FROZEN = "frozen"
"""The folder, within a study's, of the frozen representations that its runs are trained on."""

_given: ContextVar[Mapping[str, Any] | None] = ContextVar("given", default=None)


def look_for_data(**given: Any) -> None:
    """Look for the data of every run by these from now on: `root`, `source`, `download`."""
    _given.set(given)


def given_places() -> Mapping[str, Any]:
    """What `look_for_data` was told."""
    return _given.get() or {}


def arguments_now(
    arguments: Mapping[str, Any],
    config: Config,
    config_file: Path,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Arguments of `load_data` of a run's configuration, with `settings` of the user's among them.

    They are those of `look_for_data` where there are none; a source of theirs is trusted. A file
    of frozen representations that is missing may lie beside the run: somebody may have moved the
    study's folder. Raises ValueError for a source that becomes an import path so, and is not
    trusted.
    """
    given = settings or given_places()
    now = {**arguments, **given}
    if "source" in given:
        now["place"] = None  # that of another source
        trust_paths(given["source"])
    beside = config_file.parent.parent / FROZEN
    missing = find(*(now[key] for key in ("source", "root", "place"))) is None
    if missing and (beside / now["source"]).is_file():
        now["root"] = str(beside)
    if now != arguments:
        require_trusted({**config, "data": {**config["data"], **now}}, config_file)
    return now


def load_nearest(
    arguments: Mapping[str, Any], fingerprint: str | None
) -> tuple[ImageData, dict[str, Any]]:
    """The data of arguments of `load_data`, and the arguments by which they were found.

    Where other images than those of the fingerprint are nearer under that name, those are taken
    that lie at `place`.
    """
    data, place = load_data(**arguments), arguments["place"]
    if place and fingerprint not in (None, data.fingerprint) and not given_places():
        arguments = {**arguments, "root": place}
        data = load_data(**arguments)
    return data, {**arguments}


def unlikeness(info: Mapping[str, Any], data: ImageData) -> str:
    """In what data differ from those of training, as far as model.json tells, in brackets."""
    images = info.get("data", {}).get("images", {})
    pairs: dict[str, tuple[Any, Any]] = {
        f"{split} images": (then, len(data.splits[split])) for split, then in images.items()
    }
    pairs["as (C, H, W)"] = info.get("image_shape"), list(data.image_shape)
    pairs["levels"] = info.get("levels"), data.levels
    other = [
        f"{now} {what} instead of {then}"
        for what, (then, now) in pairs.items()
        if then not in (None, now)
    ]
    return f" ({', '.join(other)})" if other else ""
