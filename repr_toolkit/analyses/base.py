"""The contract of an analysis: how it is measured of a run, and how what it found is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch.nn import Module

from repr_toolkit.config.build import import_class
from repr_toolkit.decoders import Flow
from repr_toolkit.page.blocks import Block, Notes
from repr_toolkit.page.intervals import ONE_RUN, interval_notes, numbers_of
from repr_toolkit.runs.kept import Findings, Kept, showing
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
        protocol: The number of the way it is measured, higher where kept numbers of the former
            way mean something else; the report leaves those out and says so.
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
    protocol: int = 1

    def shown(self, kept: Mapping[str, Kept]) -> list[Block]:
        """The blocks, with what their intervals are among the last notes.

        Raises ValueError, which names the files, for results that hold other things than numbers.
        """
        with showing(kept.values()):
            blocks = self.blocks(kept)
            notes = [*interval_notes(numbers_of(blocks)), ONE_RUN]
        for place, block in reversed([*enumerate(blocks)]):
            if isinstance(block, Notes):
                return [*blocks[:place], Notes([*block.items, *notes]), *blocks[place + 1 :]]
        return [*blocks, Notes(notes)]


def encoder_source(run: Run) -> str | None:
    """The batch key that a run's encoder reads, by its configuration; None without an encoder."""
    spec = run.config["model"]["encoder"]
    if spec is None:
        return None
    kind = import_class(spec["class_path"], Module, "model.encoder")
    source: str = spec["init_args"].get("source") or getattr(kind, "source", "")
    return source


def needs_keys(run: Run, *keys: str) -> str | None:
    """The obstacle of a run whose data lack one of these batch keys, or cannot be read here."""
    try:
        data = run.load_data()
    except (OSError, ValueError) as error:
        return str(error)
    missing = [key for key in keys if key not in data.arrays]
    return f"{data.name} has no {' and no '.join(missing)}" if missing else None


def needs_encoder(run: Run) -> str | None:
    """The obstacle of a run without an encoder, which has no h to look at."""
    config = run.config
    if config["model"]["encoder"] is None:
        return "it has no encoder, and so no h"
    return None


def has_z(run: Run) -> bool:
    """Whether a run's code is the z of its decoder: a flow without encoder."""
    model = run.config["model"]
    if model["encoder"] is not None or model.get("decoder") is None:
        return False
    return issubclass(import_class(model["decoder"]["class_path"], Module, "model.decoder"), Flow)


def needs_code(run: Run) -> str | None:
    """The obstacle of a run that has neither an encoder's h to look at nor a flow's z."""
    return None if has_z(run) else needs_encoder(run)


def needs_code_and_decoder(run: Run) -> str | None:
    """The obstacle of a run that has no code, or no decoder to draw from it."""
    return None if has_z(run) else needs_encoder_and_decoder(run)


def needs_encoder_and_decoder(run: Run) -> str | None:
    """The obstacle of a run that lacks either part."""
    if run.config["model"].get("decoder") is None:
        return "it has no decoder"
    return needs_encoder(run)
