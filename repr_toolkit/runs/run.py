"""The run directory: a folder with a run's configuration, weights, metrics and pictures."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from os.path import commonpath
from pathlib import Path
from shutil import rmtree
from typing import Any

from safetensors.torch import save
from torch import nn

from repr_toolkit.config.recipe import Config, complete
from repr_toolkit.config.sections import DATA_ARGUMENTS
from repr_toolkit.config.trust import require_trusted
from repr_toolkit.config.yaml_text import parse_yaml, to_yaml
from repr_toolkit.data import ImageData
from repr_toolkit.data.sources import place_of
from repr_toolkit.encoders.state import load_weights, no_larger_than
from repr_toolkit.models.assemble import assemble
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.learner import Learner
from repr_toolkit.runs import directory
from repr_toolkit.runs.checkpoint_files import FOLDER, checkpoints_of, drop_checkpoints
from repr_toolkit.runs.facts import MEND, Facts, read_facts, settings_checksum
from repr_toolkit.runs.lock import require_no_trainer
from repr_toolkit.runs.places import arguments_now, load_nearest, unlikeness
from repr_toolkit.support.console import aside_once, legible
from repr_toolkit.support.copies import FOLDER as CODE
from repr_toolkit.support.copies import LIST, has_copies, write_copies
from repr_toolkit.support.files import atomic_write, write_json, write_text
from repr_toolkit.support.leftovers import temporary_for
from repr_toolkit.support.processes import fastest_device
from repr_toolkit.support.reading import file_checksum, read_text, reading, sealed
from repr_toolkit.support.speech import either


class Run:
    """The files of one run, with methods that read and write them.

    Attributes:
        path: The directory.
        config_file: The complete configuration, which alone rebuilds the model.
        weights_file: The trained weights (their moving average, if there is one); it exists once
            training is finished.
        info_file: Facts about the trained model: steps, bits/dim, sizes, seconds.
        checkpoint_dir: The last two checkpoints, from which training resumes; of a finished run the
            last one, or none (`training.keep`).
        metrics_file: A row for each measurement.
        image_dir: A picture for each validation.
        wandb_id_file: The id of the run at Weights & Biases.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / directory.CONFIG
        self.weights_file = self.path / directory.WEIGHTS
        self.info_file = self.path / directory.FACTS
        self.checkpoint_dir = self.path / FOLDER
        self.metrics_file = self.path / "metrics.csv"
        self.image_dir = self.path / "images"
        self.wandb_id_file = self.path / "wandb_id.txt"

    @classmethod
    def create(
        cls, path: str | Path, config: Mapping[str, Any], sources: Mapping[str, Path] | None = None
    ) -> "Run":
        """A new run directory with its config.yaml, and copies of the user's own source files.

        `sources` has them by the paths that they are imported by (`support.copies`). Raises
        FileExistsError if the directory exists: a run is never overwritten.
        """
        run = cls(path)
        run.require_new()
        # Under another name first, so that the directory never lacks its config.yaml.
        unfinished = temporary_for(run.path)
        unfinished.mkdir(parents=True)
        write_text(unfinished / run.config_file.name, to_yaml(dict(config)))
        if sources:
            write_copies(unfinished / CODE, sources)
        try:
            unfinished.rename(run.path)
        except OSError:
            rmtree(unfinished)
            run.require_new()  # another process made it meanwhile
            raise
        return run

    def require_new(self) -> None:
        """Raise FileExistsError if the directory exists, BlockingIOError if it is in training."""
        require_no_trainer(self.path)
        directory.require_new(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {'finished' if self.finished else 'not finished'})"

    @property
    def finished(self) -> bool:
        """Whether training has ended and its result is saved."""
        return directory.is_finished(self.path)

    @property
    def config(self) -> Config:
        """The complete configuration.

        Raises FileNotFoundError if this is no run directory, ValueError for a damaged file, and for
        one that names what may not be imported without trust (see `repr_toolkit.config.trust`).
        """
        return self.read_config()

    def read_config(self, *, trust: bool = False) -> Config:
        """`config`; with `trust` whatever it names may be imported from now on."""
        directory.require_run(self.path)
        try:
            raw = self._raw_config()
            config = complete(raw)
        except ValueError as error:
            raise ValueError(f"{self.config_file} is damaged: {error}") from error
        if self.finished and has_copies(self.path):
            self._require_stated(copies := self.path / CODE / LIST, file_checksum(copies))
        require_trusted(config, self.config_file, trust=trust)
        if self.finished:
            self._require_stated(self.config_file, settings_checksum(raw))
        return config

    def _raw_config(self) -> dict[str, Any]:
        raw = parse_yaml(read_text(self.config_file))
        if not isinstance(raw, dict):
            raise ValueError("it does not hold a mapping of names to values")
        return raw

    def _require_stated(self, file: Path, found: str) -> None:
        """Raise ValueError for a file that has not the checksum that model.json states of it."""
        name = file.relative_to(self.path).as_posix()
        if self.info.get("checksums", {}).get(name, found) != found:
            raise ValueError(
                f"{file} is not as training left it (its checksum is wrong); {MEND}, or, if that "
                f"is meant, delete `checksums` and `checksum` in {self.info_file}"
            )

    @property
    def info(self) -> Facts:
        """The content of model.json.

        Raises FileNotFoundError while training is not finished, ValueError for a damaged file, and
        for a fact that is asked for and not there.
        """
        self.require_finished()
        return read_facts(self.info_file)

    @property
    def trained_on(self) -> tuple[str, int]:
        """The fingerprint of the data that the run was trained on, and the levels of its images."""
        info = self.info
        return info["data"]["fingerprint"], info["levels"]

    @cached_property
    def weights_digest(self) -> str:
        """SHA-256 (hex) of the weights' file; FileNotFoundError while training is not finished."""
        self.require_finished()
        return file_checksum(self.weights_file)

    def require_whole(self) -> None:
        """Raise ValueError for weights other than those that training saved.

        stderr is told of a run without checksums, of which that cannot be known.
        """
        if "checksums" in self.info:
            self._require_stated(self.weights_file, self.weights_digest)
        else:
            aside_once(f"{self.info_file} has no checksums: damage may not show")

    def checkpoints(self) -> list[Path]:
        """The checkpoints, oldest first."""
        return checkpoints_of(self.path)

    def drop_checkpoints(self, keep: int) -> None:
        """Delete the checkpoints but the last `keep`."""
        drop_checkpoints(self.path, keep)

    def require_checkpoint(self) -> Path:
        """The last checkpoint; FileNotFoundError, which names the way out, if none is kept."""
        if not (checkpoints := self.checkpoints()):
            raise FileNotFoundError(
                f"{self.path} cannot go on: its weights alone are kept, and no checkpoint "
                f"(training.keep, or repr-toolkit runs --prune). A new run starts from its weights "
                f"with: repr-toolkit train {self.config_file} --from {self.path} --name NEW"
            )
        return checkpoints[-1]

    def checkpoint(self, step: int) -> Path:
        """The path of a step's checkpoint."""
        return self.checkpoint_dir / f"step_{step:07d}.ckpt"

    def lengthen(self, steps: int) -> None:
        """State more training steps; a result of fewer, which belongs to those, goes first."""
        self.weights_file.unlink(missing_ok=True)
        raw = self._raw_config()
        raw["training"]["steps"] = steps
        write_text(self.config_file, to_yaml(raw))

    def save_model(self, model: nn.Module, info: Mapping[str, Any]) -> None:
        """Write model.json and, last, model.safetensors, with which the run is finished."""
        state = model.state_dict()
        weights = save({k: v.detach().cpu().contiguous().clone() for k, v in state.items()})
        checksums = {
            self.config_file.name: settings_checksum(self._raw_config()),
            self.weights_file.name: hashlib.sha256(weights).hexdigest(),
        }
        if has_copies(self.path):
            checksums[f"{CODE}/{LIST}"] = file_checksum(self.path / CODE / LIST)
        write_json(self.info_file, sealed({**info, "checksums": checksums}))
        with atomic_write(self.weights_file) as file:
            file.write(weights)
        self.__dict__.pop("weights_digest", None)  # that of the former weights

    def load_data(self) -> ImageData:
        """The data that the run was trained on, as `data_arguments` finds them.

        Where other images are nearer under that name, those are taken that lie where training found
        its own. Raises ValueError if they are not the same either, and says in what they differ.
        """
        config = self.config
        try:
            data, _ = load_nearest(self.data_arguments(), config["data"]["fingerprint"])
            with_fingerprint(config, data, self.info if self.finished else {})
            levels = self.info.get("levels", data.levels) if self.finished else data.levels
            if levels != data.levels:
                raise ValueError(f"the data have {data.levels} levels, but the model {levels}")
        except (FileNotFoundError, ValueError, TypeError, ImportError) as error:
            if getattr(error, "filename", None) or str(self.config_file) in str(error):
                raise
            kinds = (FileNotFoundError, TypeError, ImportError, ValueError)
            kind = next(kind for kind in kinds if isinstance(error, kind))
            raise kind(f"{self.config_file}: {error}") from error
        return data

    def data_arguments(self, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`data_arguments` of the run's configuration, by `runs.places.arguments_now`."""
        config = self.config
        return arguments_now(data_arguments(config), config, self.config_file, settings)

    def require_finished(self) -> None:
        """Raise FileNotFoundError, naming what is missing, unless this is a finished run."""
        directory.require_finished(self.path)


def load(run: str | Path | Run, *, trust: bool = False) -> Learner:
    """The trained model of a run directory, in eval mode on the CPU, without reading the data.

    An `EncoderDecoder`, or a `MetricLearner` if the run trained an encoder alone. With `trust`
    whatever the run names may be imported, from now on wherever it is read. Raises
    FileNotFoundError where there is no run or its training is not finished, and ValueError for
    files that are damaged or do not belong together, and for a run that is to be trusted first.
    """
    run = run if isinstance(run, Run) else Run(run)
    run.require_finished()
    config = run.read_config(trust=trust)
    run.require_whole()
    unbuilt = reading(run.config_file, MEND, found="describes no model that can be built")
    with no_larger_than(run.weights_file, MEND), unbuilt:
        model = assemble(_without_weights(config)).join(
            channels_last=config["training"]["channels_last"]
        )
    described = f"the model that {run.config_file} describes"
    load_weights(model, run.weights_file, described, mend=MEND)
    _require_same_images(config, run)
    return model.eval()


def _require_same_images(config: Config, run: Run) -> None:
    """Raise ValueError for a model of images of another size than those of the training.

    Its weights may fit all the same.
    """
    facts = run.info
    for part in ("encoder", "decoder"):
        arguments = (config["model"][part] or {}).get("init_args", {})
        for key in ("image_shape", "levels"):
            here, stated = arguments.get(key), facts.get(key)
            if None not in (here, stated) and here != stated:
                raise ValueError(
                    f"{run.config_file} states model.{part}.init_args.{key} {here}, but "
                    f"{run.info_file} {stated}; {MEND}"
                )


def _without_weights(config: Config) -> Config:
    """A configuration whose encoder loads no pretrained weights, since the run's file has all."""
    encoder = config["model"]["encoder"]
    if not (encoder and "weights" in encoder["init_args"]):
        return config
    arguments = {**encoder["init_args"], "weights": None}
    model = {**config["model"], "encoder": {**encoder, "init_args": arguments}}
    return {**config, "model": model}


def load_with_decoder(run: str | Path | Run) -> EncoderDecoder:
    """`load` a model with a decoder, onto the fastest device.

    Raises ValueError for a run that trained an encoder alone.
    """
    model = load(run)
    if not isinstance(model, EncoderDecoder):
        path = run.path if isinstance(run, Run) else run
        raise ValueError(
            f"{path} trained an encoder alone: it has no decoder, and so neither likelihood nor "
            f"pictures to draw; measure it with: repr-toolkit verify {path}"
        )
    return model.to(fastest_device())


def data_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `repr_toolkit.data.load_data` for a configuration."""
    return {key: config["data"][key] for key in DATA_ARGUMENTS}


def with_fingerprint(
    config: Mapping[str, Any], data: ImageData, info: Mapping[str, Any] | None = None
) -> Config:
    """A configuration that states the fingerprint of its data.

    Raises ValueError if it states another one already, and says what else a run's `info` tells.
    """
    stated = config["data"]["fingerprint"]
    if stated not in (None, data.fingerprint):
        raise ValueError(
            f"the data {data.name} are not those that the run was trained on: their fingerprint "
            f"is {data.fingerprint}, not {stated}{unlikeness(info or {}, data)}; say where the "
            f"right ones are by {either('--data.root and --data.source', 'root and source')}, or "
            f"$REPR_TOOLKIT_DATA"
        )
    return {**config, "data": {**config["data"], "fingerprint": data.fingerprint}}


def with_data(config: Config, run: Run | None) -> tuple[Config, ImageData]:
    """A configuration that states the place and the fingerprint of its data, and these.

    Of a run that exists they are found as `Run.load_data` does. Raises ValueError if they are not
    those that the run, or the configuration, states.
    """
    arguments, stated = data_arguments(config), config if run is None else run.config
    if arguments["source"] == stated["data"]["source"]:
        arguments["place"] = stated["data"]["place"] or arguments["place"]
        if run is not None:
            arguments = arguments_now(arguments, stated, run.config_file)
    data, arguments = load_nearest(arguments, stated["data"]["fingerprint"])
    with_fingerprint(stated, data)
    config = with_fingerprint(config, data)
    where = (arguments[key] for key in ("source", "root", "place"))
    return {**config, "data": {**config["data"], "place": place_of(*where)}}, data


def require_same_data(runs: Mapping[str, Run], split: str = "") -> None:
    """Raise ValueError unless all runs were trained on the data and levels of the first.

    `runs` have the names for the message. With `split` the data may differ in all but the images of
    that split, as data do that hold different frozen representations of the same images.
    """
    (first, reference), *others = runs.items()
    for name, run in others:
        if run.trained_on == reference.trained_on:
            continue
        if not (split and _same_images(run.load_data(), reference.load_data(), split)):
            raise ValueError(
                f"{name} was trained on other images, or other levels of them, than {first}: "
                "their numbers cannot be compared"
            )


def _same_images(one: ImageData, other: ImageData, split: str) -> bool:
    images = [data.split(split).column("image") for data in (one, other)]
    return one.levels == other.levels and images[0].equal(images[1])


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """The runs' folder names, with enough of the path before them that no two are alike.

    They are for tables and figures: bytes that are no text are written as text.
    """
    paths = [run.path.resolve() for run in runs]
    if len({path.name for path in paths}) == len(paths):
        return [legible(path.name) for path in paths]
    return [legible(str(path.relative_to(commonpath(paths)))) for path in paths]
