"""The commands that train models and use trained ones."""

import json
import os
import sys
from math import nan
from pathlib import Path
from shlex import quote
from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import SETTINGS_HELP, Command, Settings, add_command, drawing
from repr_toolkit.support.console import engine_log_shown


def recipes(options: Namespace, settings: Settings) -> None:
    """List the packaged recipes, or print one of them as it is written."""
    from importlib.resources import files

    from repr_toolkit.config.recipe import list_recipes, load_recipe

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
    from repr_toolkit.config.trust import strangers, trust_file
    from repr_toolkit.support.console import say
    from repr_toolkit.training.train import train

    if options.start is not None:
        settings = {**settings, "training.start": json.dumps(options.start)}
    name, config = _configuration(options, settings)
    if options.print_config:
        _print(config)
        return
    trust_file(config, Path(options.recipe))
    run = train(config, Path(options.runs_dir) / name, resume=options.resume, wandb=options.wandb)
    alone = config["model"]["decoder"] is None
    trust = " --trust" if strangers(run.config) else ""
    say(f"Next: repr-toolkit {'verify' if alone else 'evaluate'} {quote(str(run.path))}{trust}")


def study(options: Namespace, settings: Settings) -> None:
    """Train the variants of a recipe's `study`, then compare them.

    Writes figure6.png, comparison.csv and comparison.md. The same command again skips the variants
    that are done and resumes the one that was cut short; with more training.steps all of a constant
    schedule go on to these. Settings change what the variants share.
    """
    from repr_toolkit.config.trust import trust_file
    from repr_toolkit.study import run_study
    from repr_toolkit.support.processes import first_process

    name, config = _configuration(options, settings)
    if options.print_config:
        _print(config)
        return
    trust_file(config, Path(options.recipe))
    folder = Path(options.runs_dir) / name
    runs = run_study(config, folder, wandb=options.wandb)
    if first_process():
        alone = runs[0].config["model"]["decoder"] is None
        table = folder / ("verification.md" if alone else "comparison.md")
        print(table.read_text("utf-8"))
        for file in sorted(path for path in folder.glob("[!.]*") if path.is_file()):
            print(f"  {file}")


def evaluate(options: Namespace, settings: Settings) -> None:
    """Print the bits/dim of a run on a split of its data, with the standard error.

    Where there is an encoder, also given another image's h, and the difference of the two. With
    --dequantisations K the likelihood of a flow is averaged over K draws of the noise that makes
    levels continuous, a bound that tightens with K. The result is kept in RUN/analysis, where
    `repr-toolkit runs` finds it.
    """
    from repr_toolkit.page.cells import nats_cell
    from repr_toolkit.page.intervals import interval_notes
    from repr_toolkit.runs.bits import evaluate
    from repr_toolkit.runs.kept import Result, keep
    from repr_toolkit.runs.run import Run

    run = Run(options.run)
    result = evaluate(
        run,
        options.split,
        batch_size=options.batch_size,
        dequantisations=options.dequantisations,
        progress=not options.json,
    )
    if os.access(run.path, os.W_OK):
        asked = {"split": options.split, "dequantisations": options.dequantisations}
        keep(run, "evaluate", Result(asked, result), options.typed)
    else:
        print(f"{run.path} may not be written, so that this is not kept there", file=sys.stderr)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{result['run']}, {result['split']}: {result['images']} images")
    titles = {
        "bits_per_dim": f"bits/dim ({result['likelihood']})",
        "bits_per_dim_other_h": "given another image's h",
        "difference": "difference",
        "bits_per_dim_train": "of training images",
    }
    width = max(24, len(titles["bits_per_dim"]) + 2)
    for key, title in titles.items():
        if key in result:
            estimate = result[key]
            error = f" ± {estimate['error']:.4f}" if "error" in estimate else ""
            nats = f"  {nats_cell(estimate, result)} nats" if result["levels"] == 2 else ""
            print(f"  {title:{width}}{estimate['value']:9.4f}{error}{nats}")
    for row in result.get("over_draws", ()):
        print(f"  {_over_draws(row, width)}")
    named = [(title, result[key].get("how", "")) for key, title in titles.items() if key in result]
    for note in interval_notes(named):
        print(f"  {note}")
    if result["remark"]:
        print(f"  {result['remark']}")


def _over_draws(row: dict[str, Any], width: int) -> str:
    """Bits/dim over some draws of the noise, with the errors of images and of draws, in a line."""
    title = f"over {row['draws']} draw{'s' if row['draws'] > 1 else ''} of the noise"
    parts = [f"± {row['bits_per_dim'].get('error', nan):.4f} by images"]
    if "draws_error" in row:
        parts.append(f"± {row['draws_error']:.4f} by draws")
    if "less" in row:
        less = row["less"]
        parts.append(f"{less['value']:.4f} ± {less.get('error', nan):.4f} less than above")
        parts.append(f"rests on {row['counting']:.1f} draws")
    return f"{title:{width}}{row['bits_per_dim']['value']:9.4f} {', '.join(parts)}"


def sample(options: Namespace, settings: Settings) -> None:
    """Draw new images.

    Without an encoder from p(x); with an encoder of labels, N for each of the labels given; with
    any encoder, N from the h of images of a split: of N of them, or of all in turn where N is
    larger. The noise of image i follows from --seed and i alone. Of models that draw by normal
    noise, the picture's last row is no sample: it is the first image at temperatures from 0 to 1.

    Any N fits into memory: chunks that are done are kept in NAME.parts beside --out until all are
    there, and after a kill the same command goes on with --resume. Started by torchrun or srun, the
    processes share the chunks.
    """
    from repr_toolkit.commands.results import name_outputs
    from repr_toolkit.runs.run import Run, load_with_decoder
    from repr_toolkit.sampling.job import SamplingJob
    from repr_toolkit.support.processes import place

    out = Path(options.out)
    rank, world = place()
    run = Run(options.run)
    model = load_with_decoder(run)
    with engine_log_shown(rank == 0):
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
        name_outputs(out, out.with_suffix(".npz"))


def reconstruct(options: Namespace, settings: Settings) -> None:
    """Draw what the decoder makes of each picture's h, or a flow of its z, which is the picture.

    Every row of the result is an original and N reconstructions of it; a column has the same noise
    in every row. Where noise changes nothing there is one reconstruction.
    """
    import torch

    from repr_toolkit.commands.common import draws_of, numbered, originals_of
    from repr_toolkit.commands.results import save_rows
    from repr_toolkit.runs.run import Run, load_with_decoder
    from repr_toolkit.sampling.draw import reconstruct

    run = Run(options.run)
    model = load_with_decoder(run)
    batch, names = originals_of(run, model, options)
    with engine_log_shown():
        n = draws_of(model, options.n, options)
        images = reconstruct(model, batch, n=n, **drawing(options))
    rows = torch.cat([batch["image"][:, None], images], dim=1)  # (B, 1 + n, C, H, W)
    columns = numbered("original", draws=n)
    save_rows(rows, model.decoder.levels, options, column_names=columns, row_names=names)


def check(options: Namespace, settings: Settings) -> None:
    """Check that an encoder or decoder class, yours or ours, keeps its contract.

    That is shapes, likelihood, samples, causality, what it sees of the past, h reaching everywhere;
    and that probabilities sum to one and draws follow them, over all images of a tiny space.
    Arguments of the class are given as settings: --init_args.features 8
    """
    from repr_toolkit.config.yaml_text import parse_yaml
    from repr_toolkit.testing import Remark, check

    arguments = {}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        if section != "init_args" or not key.isidentifier():
            raise ValueError(f"--{name}: arguments of the class are given as --init_args.NAME")
        arguments[key] = parse_yaml(value)
    for sentence in check(options.class_path, channels=options.channels, **arguments):
        print(f"{'–' if isinstance(sentence, Remark) else '✓'} {sentence}")


def _configuration(options: Namespace, settings: Settings) -> tuple[str, dict[str, Any]]:
    """The name of a run and its configuration, from a command's options and settings."""
    from repr_toolkit.config.recipe import given, load_recipe

    config = load_recipe(options.recipe)
    if options.seed is not None:
        settings = {"seed": str(options.seed), **settings}
    return options.name or Path(options.recipe).stem, given(config, settings)


def _check_new(options: Namespace, settings: Settings) -> None:
    from repr_toolkit.runs.directory import require_new

    if not (options.resume or options.print_config or checks.further_process()):
        require_new(Path(options.runs_dir) / (options.name or Path(options.recipe).stem))


def _check_study(options: Namespace, settings: Settings) -> None:
    from repr_toolkit.config.recipe import variants

    variants(_configuration(options, settings)[1])


def _print(config: dict[str, Any]) -> None:
    """Print a recipe with all that can be set in it."""
    from repr_toolkit.config.defaults import with_defaults
    from repr_toolkit.config.yaml_text import to_yaml

    print(to_yaml(with_defaults(config)), end="")


def _add_training(command: Command) -> None:
    """A recipe, and where its runs go."""
    command.add_argument(
        "--print_config",
        action="store_true",
        help="print all that can be set, with defaults, as a recipe, and train nothing",
    )
    command.add_shared("recipe", "--name", "--runs-dir", "--wandb")
    command.add_shared("--seed", default=None, help="instead of the recipe's seed")
    command.checks.append(checks.recipe)


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, recipes, "list the recipes, or print one")
    command.add_argument("name", nargs="?", metavar="NAME", help="a recipe to print")

    command = add_command(subcommands, train, "train one model", SETTINGS_HELP)
    _add_training(command)
    command.add_shared(
        "--resume",
        help="go on with the run from its last checkpoint; a finished one, for more training.steps",
    )
    command.add_argument(
        "--from",
        metavar="RUN",
        dest="start",
        help="run whose weights the new run starts from, instead of drawing them",
        check=checks.finished_run,
    )
    command.checks.append(_check_new)

    command = add_command(
        subcommands, study, "train several variants and compare them", SETTINGS_HELP
    )
    _add_training(command)
    command.checks.append(_check_study)

    command = add_command(subcommands, evaluate, "bits/dim of a run on a split", finds_data=True)
    command.add_shared("run", "--split", "--batch-size", "--json")
    command.add_count("--dequantisations", None, "draws of a dequantised likelihood's noise")

    command = add_command(subcommands, sample, "draw new images", finds_data=True)
    command.add_shared("run")
    command.add_count("-n", 16, "images (for each label)")
    command.add_argument(
        "--labels", type=NonNegativeInt, nargs="+", metavar="LABEL", help="classes to draw"
    )
    command.add_shared("--split")
    command.add_drawing(1.0)
    command.add_out(default="sample.png")
    command.add_count("--chunk-size", 256, "images drawn and kept at a time")
    command.add_shared("--resume")

    command = add_command(
        subcommands, reconstruct, "draw reconstructions of pictures", finds_data=True
    )
    command.add_originals()
    command.add_count("-n", 4, "reconstructions of each original")
    command.add_drawing()
    command.add_out(default="reconstruct.png")

    command = add_command(subcommands, check, "check anyone's encoder or decoder")
    command.add_argument(
        "class_path",
        metavar="CLASS_PATH",
        help="import path, such as my_project.nets.ChannelMean",
        check=checks.class_path,
    )
    command.add_count("--channels", None, "of the images: 1 for a decoder of grey ones, 3 for RGB")
