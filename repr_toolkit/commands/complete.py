"""The command that completes images."""

from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import Settings, add_command, drawing
from repr_toolkit.support.console import engine_log_shown

if TYPE_CHECKING:
    from repr_toolkit.runs.run import Run
    from repr_toolkit.sampling.complete import Completions


def complete(options: Namespace, settings: Settings) -> None:
    """Draw what could stand where pictures are hidden, given the rest of them.

    Every row of the result is an original, what is known of it, and N completions; a column has the
    same noise. Prints log p(x|h) of each. Without pictures, images of a split are taken.

    With --judge KEY each completion has noise of its own, and what is printed is how often a
    classifier of real images names the original's code, such as its label.
    """
    import torch

    from repr_toolkit.analyses.judge import require_judgeable
    from repr_toolkit.commands.common import numbered, originals_of
    from repr_toolkit.commands.results import save_rows
    from repr_toolkit.runs.run import Run, load_with_decoder
    from repr_toolkit.sampling.complete import complete, mask_of

    run = Run(options.run)
    if options.judge is not None:
        if options.pictures:
            raise ValueError("--judge is for images of a split, whose codes are known: name none")
        require_judgeable(run.load_data(), options.judge, options.split)
    model = load_with_decoder(run)
    levels = model.decoder.levels
    mask = mask_of(options.mask, model.decoder.image_shape[1:])
    batch, names = originals_of(run, model, options)
    with engine_log_shown():
        own_noise = options.judge is not None
        drawn = complete(model, batch, mask, n=options.n, own_noise=own_noise, **drawing(options))
    # A chequerboard, which no picture is taken for, at two levels too.
    rows_and_columns = torch.arange(mask.shape[0])[:, None] + torch.arange(mask.shape[1])
    board = torch.where(
        rows_and_columns % 2 == 0, (levels - 1) // 3, levels - 1 - (levels - 1) // 3
    )
    hidden = torch.where(mask, drawn.originals, board)[:, None].to(torch.uint8)
    rows = torch.cat([drawn.originals[:, None], hidden, drawn.images], dim=1)  # (N, 2 + n, …)
    if options.judge is None:
        bound = f", {model.decoder.likelihood_label} of −log p" if model.decoder.is_bound else ""
        print(f"log p(x|h) in nats{bound}: of the original, then of its completions")
        for number, nats in enumerate(drawn.nats.tolist()):
            print(
                f"  {number:>3} {nats[0]:12.2f}  " + "".join(f"{each:12.2f}" for each in nats[1:])
            )
    else:
        print_judged(run, drawn, options)
    if not drawn.exact:
        print(
            "What is drawn sees only what comes before it in the model's order: earlier pixels do "
            "not know of later ones that are known, and the two need not fit."
        )
    source = None if model.encoder is None else model.encoder.source
    if options.judge is not None and options.judge.partition("[")[0] == source:
        print(
            f"h is made of the {source} itself, which the judge is asked for: its share in "
            "completions says that h is heeded, not that what is known tells of what is hidden."
        )
    elif source is not None and (options.judge is not None or source != "label"):
        print("h is that of the whole original, and may tell of what is hidden.")
    more = {"mask": mask.numpy(), "nats": drawn.nats.numpy()}
    columns = numbered("original", "known", draws=options.n)
    save_rows(rows, levels, options, more, column_names=columns, row_names=names)


def print_judged(run: "Run", drawn: "Completions", options: Namespace) -> None:
    """How often a judge names the originals' codes in completions, in originals and by chance."""
    from repr_toolkit.analyses.judge import read_in, train_judge
    from repr_toolkit.page.blocks import Notes, Row, Table
    from repr_toolkit.page.cells import share_of
    from repr_toolkit.page.intervals import interval_notes, numbers_of
    from repr_toolkit.page.terminal import as_text
    from repr_toolkit.support.choose import choose_evenly
    from repr_toolkit.support.stats import share

    data, key = run.load_data(), options.judge
    judge, facts = train_judge(data, key, options.split, seed=options.seed)
    held_out = data.split(options.split)
    chosen = choose_evenly(len(held_out), options.images)
    groups, codes = held_out.groups(chosen), held_out.column(key)[chosen].long().numpy()
    read = read_in(judge, drawn.images, codes, groups)
    rows = [
        Row(label, [share_of(number)], about)
        for label, number, about in (
            ("in completions", read["own"], f"{options.n} of each image"),
            ("in originals", share(judge.classify(drawn.originals) == codes, groups), ""),
            ("by chance", read["chance"], "in the completions of the other images"),
        )
    ]
    table = Table(
        f"How often a judge names the {key} of {len(chosen)} {options.split} images, given "
        f"{options.mask}.",
        ["share, %"],
        rows,
    )
    notes = [
        f"The judge: a small convolutional network, trained on {facts['train_images']:,} real "
        f"images; right on {share_of(facts['accuracy'])} % of all {facts['test_images']:,} "
        f"real {facts['split']} images.",
        *interval_notes(numbers_of([table])),
    ]
    print(as_text([table, Notes(notes)]), end="")


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, complete, "draw what is hidden in pictures", finds_data=True)
    command.add_originals()
    command.add_argument(
        "--mask",
        default="top",
        help="what is known: top or left half, box (all but the middle), or a picture whose white "
        "is known",
        check=checks.mask,
    )
    command.add_count("-n", 4, "completions of each original")
    command.add_argument(
        "--judge",
        metavar="KEY",
        help="say how often a classifier of real images names the original's, such as the label",
    )
    command.add_drawing(1.0)
    command.add_out(default="complete.png")
