"""The command that draws people from their face embeddings."""

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
