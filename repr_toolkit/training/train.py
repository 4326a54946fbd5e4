"""Trains one run, from a configuration to a run directory with the trained model."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import WandbLogger

from repr_toolkit.config.optimizer import optimizer_factory
from repr_toolkit.config.recipe import Config, apply_settings, complete, given, load_recipe
from repr_toolkit.config.trainer import max_time
from repr_toolkit.config.trust import strangers, trust_recipe
from repr_toolkit.data import ImageData
from repr_toolkit.data.arrays import Arrays, keep
from repr_toolkit.data.augment import Augmentation
from repr_toolkit.data.module import ImageDataModule
from repr_toolkit.encoders import Encoder
from repr_toolkit.models.assemble import assemble
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import require_readable
from repr_toolkit.models.learner import Learner
from repr_toolkit.page.wandb import start
from repr_toolkit.runs.checkpoint_files import checkpoint_step
from repr_toolkit.runs.facts import weights_in_words
from repr_toolkit.runs.lock import sole_trainer
from repr_toolkit.runs.run import Run, with_data
from repr_toolkit.support.console import say
from repr_toolkit.support.copies import own_sources
from repr_toolkit.support.leftovers import remove_leftovers
from repr_toolkit.support.processes import first_process
from repr_toolkit.support.reading import read_text
from repr_toolkit.support.tables import duration
from repr_toolkit.training.averaging import ExponentialAverage
from repr_toolkit.training.best import Best
from repr_toolkit.training.checkpoints import Checkpoints
from repr_toolkit.training.csv_logger import CsvLogger
from repr_toolkit.training.embedding_validation import EmbeddingValidation
from repr_toolkit.training.memory import keep_freed_memory
from repr_toolkit.training.monitor import LossMonitor
from repr_toolkit.training.preparation import Preparation
from repr_toolkit.training.progress import Pace, TrainingProgress, in_words
from repr_toolkit.training.resuming import Devices, require_same, with_rounding
from repr_toolkit.training.start import start_facts, start_from, with_start
from repr_toolkit.training.stopping import Stopping
from repr_toolkit.training.trainer import (
    can_compile,
    has_bfloat16,
    log_interval,
    make_trainer,
    parts_of_batch,
    quiet_lightning,
    user_callbacks,
)
from repr_toolkit.training.validation import Results, Validation


def train(
    recipe: str | Path | Mapping[str, Any],
    run_dir: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    resume: bool = False,
    wandb: bool = False,
    group: str | None = None,
    data: Arrays | None = None,
) -> Run:
    """Train the model of a recipe, write the run directory, and return the run.

    A recipe is the name of a packaged one, a YAML file, or the mapping that such a file holds; its
    sections `study` and `choose` play no part. `settings` are values by the dotted names of the
    recipe's entries. With `resume`, a run that was cut goes on from its last checkpoint and ends in
    the same weights as without the cut; a finished run stays as it is, or goes on for more
    training.steps, to the weights that they would have led to at once; and a run that does not
    exist starts. With `training.start` it starts from the weights of another run. `wandb` also logs
    to Weights & Biases, as a run of the directory's name in `group`. `data` are images in place of
    the recipe's, all that `load_data` takes but a name: they are kept in RUN_DIR.npz, beside the
    run, which is its data from then on, and read with the recipe's other settings of `data`.

    Raises FileExistsError if the directory exists and `resume` is False, BlockingIOError if another
    process is training there, ValueError for a configuration that makes no model or differs from
    that of the run to resume, FloatingPointError where the loss is not finite, and OSError where
    the disk is full; the last good checkpoint stays. SIGTERM, SIGUSR1, Ctrl-C or the end of
    trainer.max_time ends training after the step that it finds: a checkpoint is written, and
    `Stopped` raised, a SystemExit.
    """
    run = Run(run_dir)
    first = first_process()  # makes the directory, which other processes may find already
    if first and not resume:
        run.require_new()
    whole = recipe if isinstance(recipe, Mapping) else load_recipe(str(recipe))
    whole = {key: value for key, value in whole.items() if key not in ("study", "choose")}
    if data is not None:
        source = run.path.absolute().with_name(f"{run.path.name}.npz")
        keep(data, source)  # each process, the same bytes: none has to wait for another
        whole["data"] = {**whole.get("data", {}), "source": str(source), "root": None}
    config = complete(whole)
    config = given(config, settings or {})
    trust_recipe(config)
    exists = (resume or not first) and run.path.exists()
    config, images = with_data(config, run if exists else None)
    config = with_start(config, run.config if exists else None)
    torch.manual_seed(config["seed"])
    encoder, join, config = assemble(config, images)
    require_trainable(config, images, encoder)
    config = with_rounding(config, run.config) if exists else config
    longer = exists and require_same(run, config, images)
    with quiet_lightning(), ExitStack() as held:
        if exists:
            held.enter_context(sole_trainer(run.path))  # first: another training may just end
            if run.finished and not longer:
                drop = f"; repr-toolkit runs {run.path} --prune drops its checkpoint"
                unasked = config["training"]["keep"] != "weights" or not run.checkpoints()
                say(f"{run.path} is finished already{'' if unasked else drop}")
                return run
        fitting = Fitting(run, config, images, _wandb_run(run, group) if wandb else None)
        model = join(**fitting.model_arguments())
        model.make_optimizer()  # raises before a file is written
        if config["training"]["start"] and not fitting.checkpoint:
            start_from(model, config)
        if longer and first and not run.finished:
            run.lengthen(fitting.steps)
        if first and not exists:
            Run.create(run.path, fitting.config, own_sources(strangers(fitting.config)))
            held.enter_context(sole_trainer(run.path))
        fitting.fit(model)
    return run


def require_trainable(config: Config, data: ImageData, encoder: Encoder | None) -> None:
    """Raise ValueError unless the encoder reads what the data have, also of changed images."""
    if encoder is not None:
        require_readable(encoder, data, "the encoder")
    if augmentation := Augmentation.of(config["data"]):
        augmentation.require(data.image_shape, None if encoder is None else encoder.source)


class Fitting:
    """A run's Trainer with its callbacks, loggers and data; making it writes no file of a new run.

    Raises ValueError for settings of the Trainer, the data or the validation that cannot be.
    """

    def __init__(
        self,
        run: Run,
        config: Config,
        data: ImageData,
        wandb: Mapping[str, Any] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.run, self.config, self.data, self.wandb = run, config, data, wandb
        training, seed = config["training"], config["seed"]
        batch_size: int = config["data"]["batch_size"]
        self.steps: int = training["steps"]
        checkpoints = run.checkpoints()
        self.checkpoint = checkpoints[-1] if checkpoints else None
        self.first_step = checkpoint_step(self.checkpoint) if self.checkpoint else 0
        self.monitor = LossMonitor(run, batch_size, log_interval(config))
        self.images = ImageDataModule(
            data,
            batch_size=batch_size,
            steps_per_epoch=training["validate_every"],
            seed=seed,
            workers=config["data"]["workers"],
            images_per_identity=config["data"]["images_per_identity"],
            augmentation=Augmentation.of(config["data"]),
        )
        pictures, patience = training["pictures"], training["patience"]
        keeps = training["weights"] == "best"
        early = keeps or patience is not None
        self.validation: Results = (
            EmbeddingValidation(run, data, draws=pictures > 0)
            if "metric" in config["model"]
            else Validation(run, data, batch_size, self.steps, seed, pictures, may_be_saved=early)
        )
        self.average = ExponentialAverage(training["ema_decay"]) if training["ema_decay"] else None
        pace = Pace(self.steps, training["validate_every"], batch_size)
        self.best = Best(self.validation, self.average, self.steps, keeps=keeps, patience=patience)
        every = [
            # In this order: the average begins with the prepared weights.
            None if self.checkpoint or training["start"] else Preparation(data, batch_size, seed),
            self.average,
            _Reseeding(seed),
            self.monitor,
            self.validation,
            TrainingProgress(pace, self.steps, self.monitor, self.validation),
            self.best,
            *callbacks,
            *user_callbacks(config),
            Stopping(self.steps, log_interval(config), max_time(config["trainer"].get("max_time"))),
            Checkpoints(run, self.monitor, self.first_step),
            Devices(synchronised=bool(config["trainer"].get("sync_batchnorm"))),
        ]
        logger = CsvLogger(run.metrics_file, self.first_step)
        self.trainer = make_trainer(config, run.path, [*filter(None, every)], logger)
        if config["trainer"].get("precision") == "auto":
            self.config = apply_settings(config, {"trainer.precision": self.trainer.precision})
        # Raises for a batch size that the processes cannot share, before any file is written.
        self.images.train_order(world_size=self.trainer.world_size)
        self.parts = parts_of_batch(config, self.trainer.world_size)
        # Of the processes on this machine, each has its share of the threads.
        self.threads = max(1, torch.get_num_threads() // self.trainer.num_devices)
        on_cpu = self.trainer.strategy.root_device.type == "cpu"
        is_new = not run.path.exists()  # one that states no size goes on without parts
        shared = "metric" not in config["model"] and not training["micro_batch"] and self.parts == 1
        if is_new and on_cpu and shared:
            part = -(-batch_size // (self.trainer.world_size * self.threads))
            self.config = apply_settings(self.config, {"training.micro_batch": part})

    def model_arguments(self) -> dict[str, Any]:
        """The keyword arguments of a `Learner` that the configuration and the device decide."""
        training = self.config["training"]
        device = self.trainer.strategy.root_device
        compile = training["compile"] and can_compile(device)
        if compile != training["compile"]:
            say("training without torch.compile: it needs a C++ compiler (g++), and there is none")
        # Lightning's loss scaler, of 16-mixed, refuses fused optimizers.
        fused = device.type in ("cpu", "cuda") and self.trainer.precision != "16-mixed"
        micro_batch = training["micro_batch"] if device.type == "cpu" else None
        if self.parts > 1:
            share = self.config["data"]["batch_size"] // self.trainer.world_size
            micro_batch = -(-share // self.parts)
        return {
            "optimizer": optimizer_factory(self.config, fused=fused),
            "compile": compile,
            "micro_batch": micro_batch,
            "in_turn": self.parts > 1,
            "threads": self.threads,
            **{key: training[key] for key in ("schedule", "warmup", "steps", "channels_last")},
        }

    def fit(self, model: Learner) -> None:
        """Train, and write the result into the run directory."""
        if self.trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        if self.trainer.is_global_zero:
            remove_leftovers(self.run.path, "**/.*.tmp")
            self.introduce(model)
        exit_code, threads = 1, torch.get_num_threads()
        try:
            if self.wandb and self.trainer.is_global_zero:
                self.start_wandb(self.wandb)
            self.trainer.fit(
                model, datamodule=self.images, ckpt_path=self.checkpoint, weights_only=True
            )
            if self.trainer.global_step != self.steps and not self.best.ended:
                if not self.trainer.should_stop:  # as a callback asks for
                    raise RuntimeError(f"training ended too early: {self.trainer.global_step}")
                say(f"  a callback ended training at step {self.trainer.global_step:,}")
            if self.trainer.is_global_zero:
                # A run that resumes after its last step does not train, so the average is only in
                # the callback, which read it from the checkpoint.
                result = self.average.averaged() if self.average else model
                if self.best.weights:
                    result.load_state_dict(self.best.weights)
                if isinstance(result, EncoderDecoder) and result.decoder.remark:
                    say(f"  {result.decoder.remark}")
                if self.run.finished:  # it went on for more steps
                    self.run.lengthen(self.steps)
                self.run.save_model(result, self.info(model))
                self.run.drop_checkpoints(0 if self.config["training"]["keep"] == "weights" else 1)
            self.trainer.strategy.barrier()
            exit_code = 0
        finally:
            # Lightning ends the processes that load data, but after a stop within a validation
            # those of the training images live on, and with them what they share with this one.
            self.trainer.fit_loop.teardown()
            model.stop_threads()
            torch.set_num_threads(threads)
            if self.wandb and self.trainer.is_global_zero:
                import wandb

                wandb.finish(exit_code=exit_code)
        results = in_words(self.results, model)
        kept = "; ".join(filter(None, [results, weights_in_words(self.facts)]))
        say(f"  done in {duration(self.monitor.seconds)}: {kept}; see {self.run.path}")

    def introduce(self, model: Learner) -> None:
        """Say what is trained, on which images and devices, and where the results will be."""
        data, splits = self.data, self.data.splits
        channels, height, width = data.image_shape
        parts = f" in {self.parts} parts" if self.parts > 1 else ""
        how = Augmentation.of(self.config["data"])
        changed = f"  training images are {how}\n" if how else ""
        if how and model.encoder is not None and model.encoder.source == "embedding":
            changed += "  the embedding that the encoder reads is of the images as they were\n"
        verb = f"resuming at step {self.first_step}:" if self.checkpoint else "training"
        start = self.config["training"]["start"]
        begins = "" if self.checkpoint or not start else f"  from the weights of {start}\n"
        emulated = self.trainer.precision == "bf16-mixed" and not has_bfloat16(
            self.config["trainer"].get("accelerator", "auto")
        )
        slow = "  bfloat16 is emulated here; --trainer.precision auto takes what is fast\n"
        say(
            f"{verb} {model.description}, "
            f"{sum(p.numel() for p in model.parameters()):,} parameters\n"
            f"  images: {data.name}, {height}×{width}×{channels}, {data.levels} levels, "
            f"{len(splits['train']):,} to train on, {len(splits['val']):,} to validate\n"
            f"{changed}"
            f"{begins}"
            f"  {self.steps:,} steps of {self.config['data']['batch_size']} images{parts} on "
            f"{self.device_name}, precision {self.trainer.precision}\n"
            f"{slow if emulated and not self.checkpoint else ''}"
            f"  results: {self.run.path}"
        )

    def info(self, model: Learner) -> dict[str, Any]:
        """The content of model.json."""
        counts = {
            name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
        }
        return {
            "step": self.trainer.global_step,
            **self.facts,
            **{k.replace("/", "_"): v for k, v in self.results.items()},
            **model.facts,
            **start_facts(self.config),
            "image_shape": list(self.data.image_shape),
            "levels": self.data.levels,
            "parameters": {k: count for k, count in counts.items() if count or k == "encoder"},
            "seconds": self.monitor.seconds,
            "device": self.device_name,
            "data": {
                "name": self.data.name,
                "fingerprint": self.data.fingerprint,
                "images": {name: len(split) for name, split in self.data.splits.items()},
            },
        }

    @property
    def results(self) -> dict[str, float]:
        """The numbers of the validation whose weights are the result."""
        keeps = self.config["training"]["weights"] == "best"
        return self.best.results if keeps else self.validation.results

    @property
    def facts(self) -> dict[str, Any]:
        """The entry of model.json on which weights are the result, if they are not the last."""
        if self.config["training"]["weights"] == "last":
            return {}
        return {"weights": {"step": self.best.step, "validations": self.best.count}}

    @property
    def device_name(self) -> str:
        """The number of devices and what they are, such as "1 × CPU (2 threads)"."""
        device = self.trainer.strategy.root_device
        kind = str(device)
        if device.type == "cuda":
            kind = torch.cuda.get_device_name(device)
        elif device.type == "cpu":
            kind = f"CPU ({torch.get_num_threads()} threads)"
        return f"{self.trainer.world_size} × {kind}"

    def start_wandb(self, run: Mapping[str, Any]) -> None:
        """Log the configuration too, and save the run's id, under which a resumed run goes on."""
        started = start(self.run.path, **run)
        self.run.wandb_id_file.write_text(f"{started.id}\n")
        started.define_metric("trainer/global_step")
        started.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        logger = WandbLogger(experiment=started)
        logger.log_hyperparams(self.config)
        self.trainer.loggers = [*self.trainer.loggers, logger]


class _Reseeding(Callback):
    """Seeds all random numbers before each step by seed, step and rank.

    So a resumed run draws what it would have drawn, and each process draws its own numbers.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        words = (self._seed, trainer.global_step, trainer.global_rank)
        seed_everything(int(np.random.SeedSequence(words).generate_state(1)[0]), verbose=False)


def _wandb_run(run: Run, group: str | None) -> dict[str, Any]:
    """The arguments of W&B's run of a training, which goes on where a run is resumed."""
    file = run.wandb_id_file
    number = read_text(file).strip() if file.is_file() else uuid4().hex[:8]
    return {"name": run.path.name, "group": group, "id": number, "resume": "allow"}
