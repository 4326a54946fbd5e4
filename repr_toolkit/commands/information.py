"""The command that counts the bits in the h of a run, by its own decoder."""

from typing import Any

from jsonargparse import Namespace

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import Settings, add_command


def information(options: Namespace, settings: Settings) -> None:
    """Count the bits that h carries about images, by a run's own decoder.

    Given own h, another image's and the mean; a lower bound of the mutual information; where in
    the image, and for which parts of h. Kept in RUN/analysis/ for the report. `frozen` compares
    encoders of any origin, by fresh decoders of one kind and budget.
    """
    from repr_toolkit.analyses.information import ANALYSIS, measure
    from repr_toolkit.analyses.information.picture import picture
    from repr_toolkit.commands.results import keep_and_show, save_picture
    from repr_toolkit.runs.run import Run

    run = Run(options.run)
    result = measure(
        run,
        options.split,
        without=options.without,
        along=options.along,
        parts=options.parts,
        part_images=options.part_images,
        candidates=options.candidates,
        bound_images=options.bound_images,
        seed=options.seed,
        batch_size=options.batch_size,
        progress=not options.json,
    )
    keep_and_show(ANALYSIS, {run: result}, options)
    if options.out is not None:
        save_picture(lambda: picture(result), options)


def add_commands(subcommands: Any) -> None:
    command = add_command(
        subcommands, information, "bits that h carries about images", finds_data=True
    )
    command.add_shared("run", "--split")
    command.add_argument(
        "--without",
        metavar="RUN",
        help="run without this h, on the same images",
        check=checks.finished_run,
    )
    command.add_argument(
        "--along",
        choices=("coordinates", "principal"),
        help="what of h is resampled (default: coordinates, or principal directions of many)",
    )
    command.add_count("--parts", 32, "how many of them")
    command.add_count("--part-images", 128, "on how many images")
    command.add_shared("--candidates")
    command.add_count("--bound-images", 512, "images of the lower bound")
    command.add_shared("--batch-size", "--json")
    command.add_shared("--seed", help="of all that is drawn")
    command.add_out("PNG of the maps to draw", suffixes=(".png",))
