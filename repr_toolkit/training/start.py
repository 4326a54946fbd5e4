"""Starts a run from the weights of another one."""

from pathlib import Path
from typing import Any

from repr_toolkit.config.recipe import Config
from repr_toolkit.encoders.state import load_weights
from repr_toolkit.models.learner import Learner
from repr_toolkit.runs.facts import MEND
from repr_toolkit.runs.run import Run
from repr_toolkit.support.speech import either


def with_start(config: Config, stated: Config | None) -> Config:
    """A configuration that states the run it starts from by its absolute path, and its weights.

    One that names none, or the same, has the start that was `stated` by the run to be resumed,
    though that one may have gone on since. Raises FileNotFoundError, which names the way out, where
    there is no such run or its training has not ended.
    """
    training = config["training"]
    start = training["start"] and str(Path(training["start"]).absolute())
    digest = training["start_weights"]
    if stated and start in (None, stated["training"]["start"]):
        start, digest = (stated["training"][key] for key in ("start", "start_weights"))
    elif start and digest is None:
        digest = _source(start).weights_digest
    return {**config, "training": {**training, "start": start, "start_weights": digest}}


def start_from(model: Learner, config: Config) -> None:
    """Give a model the weights that its configuration starts from.

    Raises FileNotFoundError where there are none any more, ValueError for other weights than those
    that are stated, and for those that do not fit, by their names.
    """
    run = _source(config["training"]["start"])
    run.require_whole()
    if run.weights_digest != config["training"]["start_weights"]:
        raise ValueError(
            f"{run.path} has other weights now than those that the run started from; "
            f"{_start()} takes these, or those of another run"
        )
    load_weights(model, run.weights_file, "the model to be trained", mend=MEND)


def _source(path: str) -> Run:
    """The finished run at a path that a configuration states."""
    run = Run(path)
    try:
        run.require_finished()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"training.start: {error}; {_start()} names the place where it is now, or another run"
        ) from error
    return run


def _start() -> str:
    return either("--from", "training.start")


def start_facts(config: Config) -> dict[str, Any]:
    """The entry of model.json on the run that training started from, if it did."""
    training = config["training"]
    if training["start"] is None:
        return {}
    return {"start": {"run": training["start"], "weights": training["start_weights"]}}
