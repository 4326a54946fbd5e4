"""The commands that train models and use trained ones."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

if TYPE_CHECKING:
    from torch import Tensor

    from repr_toolkit.runs import Run

Settings = dict[str, str]


def recipes(options: Namespace, settings: Settings) -> None:
    """Print the table of the packaged recipes, or one recipe as it is written."""
    from importlib.resources import files

    from repr_toolkit.config import list_recipes, load_recipe

    names = list_recipes()
    if options.name is not None:
        if options.name not in names:
            raise ValueError(f"no recipe {options.name!r}; there are: {', '.join(names)}")
        recipe = files("repr_toolkit.recipes") / f"{options.name}.yaml"
        print(recipe.read_text("utf-8"), end="")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(show_lines=True)
    table.add_column("recipe", no_wrap=True)
    table.add_column("what, and the expected result")
    table.add_column("data, hardware, time")
    for name in names:
        about = load_recipe(name)["about"]
        table.add_row(
            name,
            f"{about['what']}\n→ {about['expect']}",
            f"{about['data']}\n{about['hardware']}\n{about['time']}",
        )
    Console().print(table)


def train(options: Namespace, settings: Settings) -> None:
    """Train one model."""
    from repr_toolkit.processes import say
    from repr_toolkit.training import train

    name, config = _configuration(options, settings)
    run = train(config, Path(options.runs_dir) / name, resume=options.resume, wandb=options.wandb)
    say(f"Next: repr-toolkit evaluate {run.path}")


def study(options: Namespace, settings: Settings) -> None:
    """Train the variants of a study that are not done yet, then compare them all."""
    from repr_toolkit.processes import first_process
    from repr_toolkit.study import run_study

    name, config = _configuration(options, settings)
    folder = Path(options.runs_dir) / name
    run_study(config, folder, wandb=options.wandb)
    if first_process():
        print((folder / "comparison.md").read_text("utf-8"))
        for file in sorted(path for path in folder.iterdir() if path.is_file()):
            print(f"  {file}")


def evaluate(options: Namespace, settings: Settings) -> None:
    """Print the bits/dim of a run on a split."""
    from repr_toolkit.evaluation import evaluate

    result = evaluate(
        Path(options.run), options.split, batch_size=options.batch_size, progress=not options.json
    )
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{result['run']}, {result['split']}: {result['images']} images")
    titles = {
        "bits_per_dim": f"bits/dim ({result['likelihood']})",
        "bits_per_dim_other_h": "given another image's h",
        "difference": "difference",
    }
    for key, title in titles.items():
        if key in result:
            estimate = result[key]
            print(f"  {title:24}{estimate['mean']:9.4f} ± {estimate['standard_error']:.4f}")


def sample(options: Namespace, settings: Settings) -> None:
    """Draw new images from a run's decoder, this process its share of them."""
    from repr_toolkit.evaluation import fastest_device
    from repr_toolkit.processes import place
    from repr_toolkit.runs import Run, load
    from repr_toolkit.sampling_job import SamplingJob

    out = Path(options.out)
    rank, world = place()
    run = Run(options.run)
    model = load(run).to(fastest_device())
    with _telling_of_engines(rank == 0):
        job = SamplingJob(
            model,
            options.n,
            data=run.load_data() if model.encoder is not None and options.labels is None else None,
            split=options.split,
            labels=options.labels,
            seed=options.seed,
            temperature=options.temperature,
            engine=options.engine,
            chunk_size=options.chunk_size,
        )
        job.run(
            out,
            resume=options.resume,
            overwrite=options.overwrite,
            rank=rank,
            world=world,
            progress=True,
        )
    if rank == 0:
        _name_outputs(out)


def reconstruct(options: Namespace, settings: Settings) -> None:
    """Draw reconstructions of pictures, or of images of a split, beside the originals."""
    import torch

    from repr_toolkit.evaluation import fastest_device
    from repr_toolkit.runs import Run, load
    from repr_toolkit.sampling import reconstruct, refuse_unwritable, save_images

    out = Path(options.out)
    refuse_unwritable(out, overwrite=options.overwrite)
    run = Run(options.run)
    model = load(run).to(fastest_device())
    levels = model.decoder.levels
    if options.pictures:
        if model.encoder is not None and model.encoder.source != "image":
            raise ValueError(
                f"the encoder of {run.path} reads {model.encoder.source!r}, not pictures"
            )
        batch = {"image": _pictures(options.pictures, model.decoder.image_shape, levels)}
    else:
        batch = _batch(run, options.split, options.images)
    with _telling_of_engines():
        drawn = reconstruct(
            model,
            batch,
            n=options.n,
            seed=options.seed,
            temperature=options.temperature,
            engine=options.engine,
            progress=True,
        )
    rows = torch.cat([batch["image"][:, None], drawn], dim=1)  # (B, 1 + n, C, H, W)
    save_images(
        out, rows.flatten(0, 1), columns=rows.shape[1], levels=levels, overwrite=options.overwrite
    )
    _name_outputs(out)


def check(options: Namespace, settings: Settings) -> None:
    """Check that a class keeps the contract of encoders or decoders."""
    from repr_toolkit.config import parse_yaml
    from repr_toolkit.testing import check

    arguments = {}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        if section != "init_args" or not key.isidentifier():
            raise ValueError(f"--{name}: arguments of the class are given as --init_args.NAME")
        arguments[key] = parse_yaml(value)
    for sentence in check(options.class_path, **arguments):
        print(f"✓ {sentence}")


@contextmanager
def _telling_of_engines(told: bool = True) -> Iterator[None]:
    """Show on stderr what the log says of sampling engines, each kind of message once."""
    if not told:
        yield
        return
    shown: set[str] = set()

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg not in shown:
                shown.add(record.msg)
                print(record.getMessage(), file=sys.stderr)  # the bar's own while there is one

    log = logging.getLogger("repr_toolkit.sampling")
    level = log.level
    handler = Teller()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _name_outputs(out: Path) -> None:
    for path in dict.fromkeys((out, out.with_suffix(".npz"))):
        print(path)


def _batch(run: "Run", split: str, count: int) -> "dict[str, Tensor]":
    """``count`` images of a split of a run's data, spread evenly over it, with their labels."""
    from repr_toolkit.evaluation import choose_split
    from repr_toolkit.figures import choose_evenly

    images = choose_split(run.load_data(), split)
    return images[choose_evenly(len(images), count)]


def _pictures(paths: list[str], image_shape: tuple[int, int, int], levels: int) -> "Tensor":
    """Image files as uint8 (N, C, H, W) with values 0…levels−1.

    For a square image_shape (C, H, W) each picture's middle square is scaled to it. Raises
    ValueError, naming the file, for a damaged picture or one of another shape.
    """
    import numpy as np
    import torch

    from repr_toolkit.data.folder import read_image

    _, height, width = image_shape
    pictures = []
    for path in paths:
        picture = read_image(Path(path), height if height == width else None)
        if picture.shape != image_shape:
            raise ValueError(
                f"{path} has the shape {picture.shape} (channels, height, width), but the model "
                f"takes {image_shape}; convert it first"
            )
        pictures.append(picture.astype(np.uint16) * levels // 256)
    return torch.from_numpy(np.stack(pictures).astype(np.uint8))


def _configuration(options: Namespace, settings: Settings) -> tuple[str, dict[str, Any]]:
    """The name of a run and its configuration, from a command's options and settings."""
    from repr_toolkit.config import apply_settings, load_recipe

    config = load_recipe(options.recipe)
    if options.seed is not None:
        settings = {"seed": str(options.seed), **settings}
    return options.name or Path(options.recipe).stem, apply_settings(config, settings)
