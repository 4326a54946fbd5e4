"""The report's tables and pictures on Weights & Biases."""

import io
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from PIL import Image

from repr_toolkit.page.blocks import Block, Folded, Heading, Picture, Section, Strip, Table
from repr_toolkit.report.inputs import Reported
from repr_toolkit.runs.run import WANDB_PROJECT


def log_report(found: Reported, sections: Sequence[Section], page: str) -> None:
    """Log the page, and every table and picture, to W&B: of one run to its own, of several to one.

    A run that was not trained with W&B gets one. Of several runs the one is called "report", in the
    group that their folder names, as a study's runs are. WANDB_MODE=offline works.
    """
    import wandb

    runs = list(found.runs.values())
    folder = found.folder or runs[0].path
    arguments: dict[str, Any] = {"project": WANDB_PROJECT, "dir": folder, "resume": "allow"}
    if len(runs) == 1:
        known = runs[0].wandb_id_file
        if not known.is_file():
            known.write_text(f"{uuid4().hex[:8]}\n")
        arguments |= {"id": known.read_text().strip(), "name": runs[0].path.resolve().name}
    else:
        arguments |= {"name": "report", "job_type": "report", "group": folder.resolve().name}
    with wandb.init(**arguments) as logged:
        # The page too: it has the charts, the scales of colours and the explanations.
        logged.log({"report/page": wandb.Html(page, inject=False), **loggable(sections)})


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
