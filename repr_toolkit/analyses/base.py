"""The contract of an analysis: how it is measured of a run, and how what it found is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from repr_toolkit.page.blocks import Block
from repr_toolkit.runs.kept import Findings, Kept
from repr_toolkit.runs.run import Run


@dataclass(frozen=True)
class Analysis:
    """A question to a trained run.

    An analysis is a folder, or a module of anybody's, that has one of these as `ANALYSIS`. What it
    finds is kept with the run under its name; the terminal, the report and Weights & Biases all
    show the same blocks.

    Attributes:
        name: The name under which results are kept, a Python identifier.
        command: The command that measures it, as `repr-toolkit COMMAND RUN`; "" for one that only
            `repr-toolkit report RUN --all` measures.
        title: The heading of its section in the report.
        lead: A sentence on what the section is about.
        tells: What it would tell of a run, for "Not measured yet: …".
        measure: `measure(run, split)` with default options. Raises ValueError for a run that has
            no such thing, or a split that the data lacks.
        blocks: The tables and pictures of what is kept, by the names of the runs.
        obstacle: Why a run cannot be asked this, or None if it can.
        only_split: The split that it is always measured on; "" where that is to choose.
    """

    name: str
    command: str
    title: str
    lead: str
    tells: str
    measure: Callable[[Run, str], Findings]
    blocks: Callable[[Mapping[str, Kept]], list[Block]]
    obstacle: Callable[[Run], str | None]
    only_split: str = ""


def needs_encoder(run: Run) -> str | None:
    """The obstacle of a run without an encoder, which has no h to look at."""
    config = run.config
    if config["model"]["encoder"] is None:
        return "it has no encoder, and so no h"
    return None


def needs_encoder_and_decoder(run: Run) -> str | None:
    """The obstacle of a run that lacks either part."""
    if run.config["model"].get("decoder") is None:
        return "it has no decoder"
    return needs_encoder(run)
