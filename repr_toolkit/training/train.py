"""One training run, from a configuration to a run directory with the trained model."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import Logger, WandbLogger

from repr_toolkit.config.build import optimizer_factory
from repr_toolkit.config.recipe import Config, complete, differences
from repr_toolkit.data import ImageData, ImageDataModule, load_data
from repr_toolkit.models.assemble import assemble
from repr_toolkit.models.learner import Learner
from repr_toolkit.page.wandb import PROJECT
from repr_toolkit.runs.run import (
    Run,
    checkpoint_step,
    data_arguments,
    with_fingerprint,
)
from repr_toolkit.support.console import say
from repr_toolkit.support.files import remove_leftovers
from repr_toolkit.support.processes import first_process, first_process_only
from repr_toolkit.support.tables import duration
from repr_toolkit.training.averaging import ExponentialAverage
from repr_toolkit.training.checkpoints import Checkpoints
from repr_toolkit.training.csv_logger import CsvLogger
from repr_toolkit.training.embedding_validation import EmbeddingValidation
from repr_toolkit.training.memory import keep_freed_memory
from repr_toolkit.training.monitor import LossMonitor
from repr_toolkit.training.preparation import Preparation
from repr_toolkit.training.progress import TrainingProgress
from repr_toolkit.training.trainer import can_compile, log_interval, make_trainer, quiet_lightning
from repr_toolkit.training.validation import Results, Validation


def train(
    config: Mapping[str, Any],
    run_dir: str | Path,
    *,
    resume: bool = False,
    wandb: bool = False,
    group: str | None = None,
    name: str | None = None,
    data: ImageData | None = None,
) -> Run:
    """Train the model of a configuration and write the run directory; return the run.

    A configuration's variants (`study`) play no part. With `resume`, a run that was cut goes on
    from its last checkpoint and ends in the same weights as if it had not been; one that is
    finished is left as it is, and one that does not exist yet is started. `wandb` logs to
    Weights & Biases too, under `name` (default: the directory's) and `group`. `data` is the
    configuration's data where it is loaded already.

    Raises FileExistsError if the directory exists and `resume` is not given, ValueError for
    what the configuration cannot mean or where it differs from that of the run to resume,
    FloatingPointError when the loss is not finite, OSError when the disk is full; the last
    good checkpoint then stays.
    """
    run = Run(run_dir)
    # Where several processes train together, the first has made the directory for the others.
    first = first_process()
    if first and not resume:
        run.require_new()
    config = complete({key: value for key, value in config.items() if key != "study"})
    data = data or load_data(**data_arguments(config))
    if run.path.exists():
        with_fingerprint(run.config, data)
    config = with_fingerprint(config, data)
    torch.manual_seed(config["seed"])
    encoder, join, config = assemble(config, data)
    if encoder is not None and encoder.source not in data.splits["train"].keys:
        raise ValueError(
            f"the encoder reads {encoder.source!r} from a batch, but {data.name} has "
            f"{', '.join(data.splits['train'].keys)}"
        )
    made_by = getattr(encoder, "made_by", None)
    if made_by is not None and data.encoder not in (None, made_by):
        raise ValueError(
            f"the run is for embeddings made by {made_by!r} (made_by), but those of {data.name} "
            f"were made by {data.encoder!r}; state that one, or make the data with the other"
        )
    if run.path.exists():
        require_same(run, config, data)
        if run.finished:
            say(f"{run.path} is finished already")
            return run
    with quiet_lightning():
        fitting = _Fitting(run, config, data, wandb, group, name or run.path.name)
        if first and not run.path.exists():
            Run.create(run.path, config)
        fitting.fit(join(**fitting.model_arguments()))
    return run


def require_same(run: Run, config: Mapping[str, Any], data: ImageData) -> None:
    """Raise ValueError, naming the settings, if a run was made with another configuration.

    A setting that is younger than the run counts as the default with which the run is loaded.
    """
    there = run.config
    # Building the model must not move the run's noise; and what cannot be built of these data, or
    # any more, differs in what the run states.
    with torch.random.fork_rng(devices=[]), suppress(ValueError, TypeError, ImportError):
        there = assemble(there, data).config
    different = differences(there, config)
    if different:
        raise ValueError(
            f"{run.path} was made with other settings ({', '.join(different)}); choose another "
            f"--name, delete it, or go back to the settings of {run.config_file}"
        )


class _Fitting:
    """The Trainer of one run with all that hangs on it; a new run gets no file by making it."""

    def __init__(
        self,
        run: Run,
        config: Config,
        data: ImageData,
        wandb: bool,
        group: str | None,
        name: str,
    ) -> None:
        self.run, self.config, self.data = run, config, data
        training, batch_size = config["training"], config["data"]["batch_size"]
        self.steps = training["steps"]
        checkpoints = run.checkpoints()
        self.checkpoint = checkpoints[-1] if checkpoints else None
        self.first_step = checkpoint_step(self.checkpoint) if self.checkpoint else 0
        self.monitor = LossMonitor(run, batch_size, log_interval(config))
        self.images = ImageDataModule(
            data,
            batch_size=batch_size,
            steps_per_epoch=training["validate_every"],
            seed=config["seed"],
            workers=config["data"]["workers"],
            images_per_identity=config["data"]["images_per_identity"],
        )
        self.validation = self.validation_of(config)
        self.average = ExponentialAverage(training["ema_decay"]) if training["ema_decay"] else None
        # In this order: what is averaged is what was prepared.
        fresh = [] if self.checkpoint else [Preparation(data, batch_size, config["seed"])]
        callbacks: list[Callback] = [*fresh, *([self.average] if self.average else [])]
        callbacks += [
            _Reseeding(config["seed"]),
            self.monitor,
            self.validation,
            TrainingProgress(self.steps, self.monitor, self.validation),
            Checkpoints(run, self.monitor),
        ]
        loggers: list[Logger] = [CsvLogger(run.metrics_file, self.first_step)]
        self.wandb = _wandb_logger(run, group, name) if wandb else None
        if self.wandb:
            loggers.append(self.wandb)
        self.trainer = make_trainer(config, callbacks, loggers)
        self.images.train_order(world_size=self.trainer.world_size)  # before anything is made

    def validation_of(self, config: Config) -> Results:
        """What is measured and drawn at a validation; ValueError where the images allow none."""
        pictures, batch_size = config["training"]["pictures"], config["data"]["batch_size"]
        if "metric" in config["model"]:
            return EmbeddingValidation(self.run, self.data, draws=pictures > 0)
        return Validation(self.run, self.data, batch_size, self.steps, config["seed"], pictures)

    def model_arguments(self) -> dict[str, Any]:
        """The keyword arguments of a Learner that a configuration and a device decide."""
        training = self.config["training"]
        device = self.trainer.strategy.root_device
        compile = training["compile"] and can_compile(device)
        if compile != training["compile"]:
            say("training without torch.compile: it needs a C++ compiler (g++), and there is none")
        # The loss scaler of 16-mixed and fused optimizers exclude each other in Lightning.
        fused = device.type in ("cpu", "cuda") and self.trainer.precision != "16-mixed"
        return {
            "optimizer": optimizer_factory(self.config, fused=fused),
            "compile": compile,
            **{key: training[key] for key in ("schedule", "warmup", "steps", "channels_last")},
        }

    def fit(self, model: Learner) -> None:
        """Train, and write the result into the run directory."""
        if self.trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        if self.trainer.is_global_zero:
            remove_leftovers(self.run.path)
            self.introduce(model)
        status = "failed"
        try:
            if self.wandb:
                self.start_wandb(self.wandb)
            self.trainer.fit(
                model, datamodule=self.images, ckpt_path=self.checkpoint, weights_only=True
            )
            if self.trainer.global_step != self.steps:
                raise RuntimeError(f"training ended at step {self.trainer.global_step}, too early")
            if self.trainer.is_global_zero:
                # A run that resumes after its last step does not train: the average is taken from
                # where the checkpoint put it.
                result = self.average.averaged() if self.average else model
                self.run.save_model(result, self.info(model))
            self.trainer.strategy.barrier()
            status = "success"
        finally:
            if self.wandb and self.trainer.is_global_zero:
                import wandb

                wandb.finish(exit_code=0 if status == "success" else 1)
        results = ", ".join(f"{k} {v:.4f}" for k, v in self.validation.results.items())
        say(f"  done in {duration(self.monitor.seconds)}: {results}; see {self.run.path}")

    def introduce(self, model: Learner) -> None:
        """Say what is trained, on what, and where the results will be."""
        config, trainer, data = self.config, self.trainer, self.data
        channels, height, width = data.image_shape
        verb = f"resuming at step {self.first_step}:" if self.checkpoint else "training"
        count = trainer.world_size
        say(
            f"{verb} {model.description}, "
            f"{sum(p.numel() for p in model.parameters()):,} parameters\n"
            f"  images: {data.name}, {height}×{width}×{channels}, {data.levels} levels, "
            f"{len(data.splits['train']):,} to train on, {len(data.splits['val']):,} to validate\n"
            f"  {self.steps:,} steps of {config['data']['batch_size']} images on "
            f"{count} × {_device_name(trainer)}, precision {trainer.precision}\n"
            f"  results: {self.run.path}"
        )

    def info(self, model: Learner) -> dict[str, Any]:
        """What model.json says."""
        counts = {
            name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
        }
        return {
            "step": self.trainer.global_step,
            **{k.replace("/", "_"): v for k, v in self.validation.results.items()},
            **model.facts,
            "image_shape": list(self.data.image_shape),
            "levels": self.data.levels,
            "parameters": {k: count for k, count in counts.items() if count or k == "encoder"},
            "seconds": self.monitor.seconds,
            "device": f"{self.trainer.world_size} × {_device_name(self.trainer)}",
            "data": {"name": self.data.name, "fingerprint": self.data.fingerprint},
        }

    @first_process_only
    def start_wandb(self, logger: WandbLogger) -> None:
        """Log the configuration, and remember the id: a run that is resumed stays one run."""
        logger.log_hyperparams(self.config)
        self.run.wandb_id_file.write_text(f"{logger.version}\n")


class _Reseeding(Callback):
    """Makes the state of all random numbers at an epoch's start a function of seed, epoch, rank.

    A resumed run then draws what it would have drawn, and processes draw differently.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            words = (self._seed, trainer.global_step, trainer.global_rank)
            seed_everything(int(np.random.SeedSequence(words).generate_state(1)[0]), verbose=False)


def _wandb_logger(run: Run, group: str | None, name: str) -> WandbLogger:
    known = run.wandb_id_file
    return WandbLogger(
        name=name,
        project=PROJECT,
        group=group,
        save_dir=run.path,
        id=known.read_text().strip() if known.is_file() else uuid4().hex[:8],
        log_model=False,
    )


def _device_name(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)
