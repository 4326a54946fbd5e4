"""The commands that draw people from their face embeddings."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import Settings, add_command, drawing
from repr_toolkit.support.console import engine_log_shown


def portraits(options: Namespace, settings: Settings) -> None:
    """Draw new portraits of the people in photographs.

    For a run that was trained on face embeddings: the face is found by MTCNN and embedded by the
    FaceNet that made the run's embeddings. A row is a face and N portraits; a column has one noise.
    """
    import torch

    from repr_toolkit.commands.common import numbered
    from repr_toolkit.commands.results import save_rows
    from repr_toolkit.faces.encode import encode_photographs, facenet_of
    from repr_toolkit.runs.run import load_with_decoder
    from repr_toolkit.sampling.draw import sample

    model = load_with_decoder(options.run)
    faces, h = encode_photographs(model, options.photographs, facenet_of(model, options.weights))
    with engine_log_shown():
        images = sample(model, h, n=options.n, **drawing(options))
    rows = torch.cat([faces[:, None], images], dim=1)  # (N, 1 + n, C, H, W)
    names = [Path(photograph).name for photograph in options.photographs]
    columns = numbered("face", draws=options.n)
    save_rows(rows, model.decoder.levels, options, column_names=columns, row_names=names)


def interpolate(options: Namespace, settings: Settings) -> None:
    """Draw rows of pictures from one picture's h to another's, or from z to z for a flow.

    A row has one noise, so that only h moves; its ends are the two pictures themselves. For a run
    on face embeddings they are photographs of people. Where noise changes nothing there is one row.
    A PICTURE is an image file, or the number of an image of the split.
    """
    import torch

    from repr_toolkit.commands.common import draws_of, encode_pictures, numbers_of
    from repr_toolkit.commands.results import save_rows
    from repr_toolkit.models.encode import encode_batch
    from repr_toolkit.runs.run import Run, load_with_decoder
    from repr_toolkit.sampling.draw import sample
    from repr_toolkit.sampling.paths import path, smoothness

    run, named = Run(options.run), [options.a, options.b]
    model = load_with_decoder(run)
    if numbers := numbers_of(named):
        batch = run.load_data().split(options.split)[numbers]
        ends, (a, b) = batch["image"], encode_batch(model, batch)
    else:
        instead = "give numbers of images of a split instead of files"
        ends, (a, b) = encode_pictures(run, model, named, options.weights, instead=instead)
    levels = model.decoder.levels
    with engine_log_shown():
        h = path(a, b, options.steps, options.way)
        steps = sample(model, h, n=draws_of(model, options.rows, options), **drawing(options))
    images = steps.transpose(0, 1)  # (rows, steps, C, H, W)
    left, right = (end.expand(len(images), 1, *end.shape) for end in ends)
    rows = torch.cat([left, images, right], dim=1)
    if len(images) > 1:
        adjacent, other_noise = smoothness(images, levels)
        print(
            f"neighbours in a row differ by {adjacent.mean():.4f}, the same h under other "
            f"noise by {other_noise.mean():.4f} (mean absolute intensities of [0, 1]); "
            f"closer in {(adjacent < other_noise).sum()} of {len(images)} rows"
        )
    columns = [f"{step / (options.steps - 1):.2f}" for step in range(options.steps)]
    names = [f"noise {number}" for number in range(1, len(rows) + 1)]
    columns = [*(Path(end).name for end in named[:1]), *columns, Path(named[1]).name]
    save_rows(rows, levels, options, column_names=columns, row_names=names)


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, portraits, "draw new portraits of people")
    command.add_shared("run")
    command.add_argument(
        "photographs",
        nargs="+",
        metavar="PHOTO",
        help="one person in each",
        check=checks.picture,
    )
    command.add_count("-n", 8, "portraits of each person")
    command.add_shared("--weights")
    command.add_drawing(1.0)
    command.add_out(default="portraits.png")

    command = add_command(
        subcommands, interpolate, "draw the way from one picture to another", finds_data=True
    )
    command.add_shared("run")
    for name, what in {"a": "where the path begins", "b": "where it ends"}.items():
        metavar = f"PICTURE_{name.upper()}"
        command.add_argument(name, metavar=metavar, help=what, check=checks.picture_or_number)
    command.add_count("--steps", 9, "pictures in a row")
    command.add_count("--rows", 4, "rows, each of another noise")
    command.add_shared("--split")
    command.add_argument(
        "--way",
        choices=("linear", "spherical"),
        default="linear",
        help="the straight line, or one that keeps the length of h, 1 for face embeddings",
    )
    command.add_shared("--weights")
    command.add_drawing()
    command.add_out(default="interpolate.png")
