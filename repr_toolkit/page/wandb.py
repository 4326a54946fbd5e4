"""Sections of blocks on Weights & Biases: their tables and pictures."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from PIL import Image

from repr_toolkit.page.blocks import Block, Folded, Heading, Picture, Section, Strip, Table

PROJECT = "repr-toolkit"
"""The project of Weights & Biases that everything is logged to."""


def log_page(
    sections: Sequence[Section], *, folder: Path, group: str | None, name: str, page: str = ""
) -> None:
    """Log every table and picture, and the page where there is one, to a W&B run of its own.

    The run is called `name` in `group`, and its files lie in `folder`. WANDB_MODE=offline works.
    """
    _log(sections, page, dir=folder, name=name, job_type="report", group=group)


def log_beside(sections: Sequence[Section], *, folder: Path, id_file: Path, page: str = "") -> None:
    """Log the same to the W&B run of a training, whose id stands in `id_file`.

    A training that was not logged to W&B gets a run there, and the file.
    """
    if not id_file.is_file():
        id_file.write_text(f"{uuid4().hex[:8]}\n")
    known = id_file.read_text().strip()
    _log(sections, page, dir=folder, id=known, name=folder.resolve().name, resume="allow")


def _log(sections: Sequence[Section], page: str, **run: Any) -> None:
    import wandb

    with wandb.init(project=PROJECT, **run) as logged:
        # The page too: it has the charts, the scales of colours and the explanations.
        html = {"report/page": wandb.Html(page, inject=False)} if page else {}
        logged.log(html | loggable(sections))


def loggable(sections: Sequence[Section]) -> dict[str, Any]:
    """W&B's tables and images by ``report/SECTION/NUMBER``, each with its caption."""
    import wandb

    found: dict[str, Any] = {}
    for section in sections:
        number, heading = 0, ""
        for block in _unfolded(section.blocks):
            if isinstance(block, Heading):
                heading = f"{block.text}: "
                continue
            if isinstance(block, Table):
                logged: Any = wandb.Table(
                    columns=[block.corner, *_different(block.columns)],
                    data=[
                        [row.label, *(" ".join(filter(None, [c.text, _brackets(c.detail)]))
                                      for c in row.cells)]
                        for row in block.rows
                    ],
                )  # fmt: skip
            elif isinstance(block, Picture | Strip):
                caption = block.caption if isinstance(block, Picture) else block.title
                enlarged = _enlarged(block.png, block.scale if block.scale > 1 else 1)
                logged = wandb.Image(enlarged, caption=f"{heading}{caption.replace('**', '')}")
            else:
                continue
            number += 1
            found[f"report/{section.id}/{number}"] = logged
    return found


def _unfolded(blocks: Sequence[Block]) -> list[Block]:
    """The blocks, those that are folded away among them."""
    found: list[Block] = []
    for block in blocks:
        found += block.strips if isinstance(block, Folded) else [block]
    return found


def _different(names: Sequence[str]) -> list[str]:
    """Names of columns, of which W&B has no two alike."""
    return [f"{name} ({i})" if names.index(name) < i else name for i, name in enumerate(names)]


def _brackets(detail: str) -> str:
    return f"({detail})" if detail else ""


def _enlarged(png: bytes, scale: float) -> Image.Image:
    """A picture on white at its size on the page, its pixels sharp."""
    with Image.open(io.BytesIO(png)) as read:
        clear = read.convert("RGBA")
    paper = Image.new("RGBA", clear.size, "white")
    picture = Image.alpha_composite(paper, clear).convert("RGB")
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.NEAREST)
