"""Sections of blocks at Weights & Biases: their tables and pictures."""

import io
from collections.abc import Mapping, Sequence
from itertools import chain
from math import ceil
from os import environ
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from PIL import Image

from repr_toolkit.page.blocks import Folded, Heading, Picture, Section, Strip, Table
from repr_toolkit.support.console import legible, say
from repr_toolkit.support.pictures import LEAST_WIDTH, labelled
from repr_toolkit.support.reading import read_text

if TYPE_CHECKING:
    from wandb import Run

PROJECT = "repr-toolkit"
"""The project at Weights & Biases for everything."""
SECONDS_TO_START = 20
"""How long W&B may take to answer; $WANDB_INIT_TIMEOUT states another time."""


def start(folder: Path, **run: Any) -> "Run":
    """A W&B run whose files lie in `folder`, by the arguments `run` of `wandb.init`.

    Where W&B cannot be reached, or nobody is logged in, it is logged offline: a line says why, and
    how to send it later. Several offline runs of one id are sent by one command, in their order.
    """
    import wandb

    settings = wandb.Settings()
    if "WANDB_INIT_TIMEOUT" not in environ:
        settings.init_timeout = SECONDS_TO_START
    named = {key: legible(value) if isinstance(value, str) else value for key, value in run.items()}
    run = {"project": PROJECT, "dir": folder, **named}
    try:
        return wandb.init(settings=settings, **run)
    except wandb.Error as error:
        wandb.teardown()  # its service believes that the run has begun
        started = wandb.init(mode="offline", **run)
        reason = str(error).partition("\n")[0].rstrip(".")
        say(
            f"logging offline, since Weights & Biases does not answer ({reason}); send it later "
            f"by: wandb sync {quote(str(folder / 'wandb'))}/offline-run-*"
        )
        return started


def log_sections(
    sections: Sequence[Section],
    folder: Path,
    *,
    name: str = "",
    group: str | None = None,
    id_file: Path | None = None,
    page: str = "",
    numbers: Mapping[str, float] | None = None,
) -> None:
    """Log every table and picture, the page's HTML unless it is "", and numbers by their names.

    With `id_file` to the W&B run of a training, whose id is there; a training that was not logged
    gets a W&B run, and the file. Without it to a new W&B run. That is in `group`, called `name` or
    else as the folder, in which its files lie.
    """
    run: dict[str, Any] = {"job_type": "report"}
    if id_file is not None:
        if not id_file.is_file():
            id_file.write_text(f"{uuid4().hex[:8]}\n")
        run = {"id": read_text(id_file).strip(), "resume": "allow"}
    name = name or folder.resolve().name
    import wandb

    with start(folder, name=name, group=group, **run) as logged:
        # The page has what tables and pictures lack: charts, scales of colours, explanations.
        html = {"report/page": wandb.Html(page, inject=False)} if page else {}
        logged.log({**html, **(numbers or {}), **loggable(sections)})


def loggable(sections: Sequence[Section]) -> dict[str, Any]:
    """The W&B tables and images of sections, by `report/SECTION/NUMBER`."""
    import wandb

    loggable: dict[str, Any] = {}
    for section in sections:
        number, heading = 0, ""
        parts = [b.strips if isinstance(b, Folded) else [b] for b in section.blocks]
        for block in chain.from_iterable(parts):
            if isinstance(block, Heading):
                heading = f"{block.text}: "
                continue
            if isinstance(block, Table):
                columns: list[str | int] = [block.corner, *_different(block.columns)]
                rows = [
                    [": ".join(filter(None, [row.group, row.label])), *map(str, row.cells)]
                    for row in block.rows
                ]
                logged: Any = wandb.Table(columns=columns, data=rows)
            elif isinstance(block, Picture | Strip):
                caption = block.caption if isinstance(block, Picture) else block.title
                enlarged = _enlarged(block.png, block.scale if block.scale > 1 else 1)
                if isinstance(block, Picture):
                    enlarged = labelled(enlarged, block.columns, block.rows)
                logged = wandb.Image(enlarged, caption=f"{heading}{caption.replace('**', '')}")
            else:
                continue
            number += 1
            loggable[f"report/{section.id}/{number}"] = logged
    return loggable


def _different(names: Sequence[str]) -> list[str]:
    """Names of columns, changed so that no two are alike, as W&B demands."""
    return [f"{name} ({i})" if names.index(name) < i else name for i, name in enumerate(names)]


def _enlarged(png: bytes, scale: float) -> Image.Image:
    """A picture on white, enlarged as on the page, with sharp pixels."""
    with Image.open(io.BytesIO(png)) as image:
        clear = image.convert("RGBA")
    paper = Image.new("RGBA", clear.size, "white")
    picture = Image.alpha_composite(paper, clear).convert("RGB")
    scale = max(scale, ceil(LEAST_WIDTH / picture.width))
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.NEAREST)
