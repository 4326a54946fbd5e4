"""The command that completes images."""

from typing import Any

from jsonargparse import Namespace

from repr_toolkit.commands.options import Settings, add_command, drawing
from repr_toolkit.support.console import engine_log_shown


def complete(options: Namespace, settings: Settings) -> None:
    """Draw what could stand where pictures are hidden, given the rest of them.

    Every row of the result is an original, what is known of it, and N completions; a column has the
    same noise. Prints log p(x|h) of each. Without pictures, images of a split are taken.
    """
    import torch

    from repr_toolkit.commands.common import originals_of
    from repr_toolkit.commands.results import require_pictures, save_rows
    from repr_toolkit.runs.run import Run, load_with_decoder
    from repr_toolkit.sampling.complete import complete, mask_of

    require_pictures(options)
    run = Run(options.run)
    model = load_with_decoder(run)
    levels = model.decoder.levels
    mask = mask_of(options.mask, model.decoder.image_shape[1:])
    batch = originals_of(run, model, options)
    with engine_log_shown():
        drawn = complete(model, batch, mask, n=options.n, **drawing(options))
    # A chequerboard, which no picture is taken for, at two levels too.
    rows_and_columns = torch.arange(mask.shape[0])[:, None] + torch.arange(mask.shape[1])
    board = torch.where(
        rows_and_columns % 2 == 0, (levels - 1) // 3, levels - 1 - (levels - 1) // 3
    )
    hidden = torch.where(mask, drawn.originals, board)[:, None].to(torch.uint8)
    rows = torch.cat([drawn.originals[:, None], hidden, drawn.images], dim=1)  # (N, 2 + n, …)
    print("log p(x|h) in nats: of the original, then of its completions")
    for number, nats in enumerate(drawn.nats.tolist()):
        print(f"  {number:>3} {nats[0]:12.2f}  " + "".join(f"{value:12.2f}" for value in nats[1:]))
    if not drawn.exact:
        print(
            "What is drawn sees only what comes before it in the model's order: earlier pixels do "
            "not know of later ones that are known, and the two need not fit."
        )
    if model.encoder is not None and model.encoder.source != "label":
        print("h is that of the whole original, and may tell of what is hidden.")
    save_rows(rows, levels, options, {"mask": mask.numpy(), "nats": drawn.nats.numpy()})


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, complete, "draw what is hidden in pictures")
    command.add_originals()
    command.add_argument(
        "--mask",
        default="top",
        help="what is known: top or left half, box (all but the middle), or a picture whose white "
        "is known (default: top)",
    )
    command.add_count("-n", 4, "completions of each original")
    command.add_drawing(1.0)
    command.add_out(default="complete.png")
