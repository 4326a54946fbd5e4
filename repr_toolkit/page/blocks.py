"""What a report is made of: sections of tables, pictures and texts, before they become HTML.

Sections know nothing of HTML, and every text of theirs is escaped when the page is rendered; so the
same blocks can go to Weights & Biases. In a `Paragraph`, **stars** make a text strong,
*one star* emphasises it and `backticks` make it code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

NONE = "–"


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, the smaller print below it (an interval, a remark), and an error.

    The page shows the text over its detail; a terminal the text ± the error, or else the detail in
    brackets.
    """

    text: str = NONE
    detail: str = ""
    error: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table: what is measured, what that is in plain words, and a cell a column.

    Consecutive rows of the same `group` stand under its name. Where a terminal shows errors,
    `intervals` gives the details a row of their own there.
    """

    label: str
    cells: Sequence[Cell]
    about: str = ""
    group: str = ""
    intervals: bool = False

    @property
    def empty(self) -> bool:
        """Whether no column has anything to say."""
        return all(cell == Cell() for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """Rows under the names of their columns.

    `corner` is the heading over the rows' labels. A terminal names groups only where `grouped`.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]
    corner: str = "Measure"
    grouped: bool = True
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class ColourBar:
    """What the colours of a picture mean: a strip of them (PNG, one pixel high) and its ends."""

    png: bytes
    low: str
    high: str
    title: str
    middle: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG, what is seen on it in words, and how it is shown.

    ``scale`` is the size of one of its pixels on the screen. One that is ``pixelated`` keeps its
    pixels sharp; one on ``paper`` has dark print on white and keeps its white in the dark.
    """

    png: bytes
    size: tuple[int, int]  # width and height, in its own pixels
    alt: str
    caption: str = ""
    scale: float = 1
    pixelated: bool = False
    paper: bool = False
    bar: ColourBar | None = None
    columns: Sequence[str] = ()  # what stands over each of equally wide columns
    rows: Sequence[str] = ()  # what stands beside each of equally high rows
    kind: str = field(default="picture", init=False)


@dataclass(frozen=True)
class Strip:
    """Frames side by side in one PNG, equally wide, with what each is; a slider shows one of them.

    ``gap`` is the empty columns of pixels between two frames.
    """

    png: bytes
    size: tuple[int, int]
    labels: Sequence[str]  # of each frame, such as "α = −0.5"
    ticks: Sequence[str]  # the same, as short as can be
    start: int  # the frame shown first
    title: str
    alt: str
    slider: str  # what the slider moves
    gap: int = 1
    scale: float = 1
    kind: str = field(default="strip", init=False)


@dataclass(frozen=True)
class Folded:
    """Strips of which there are many, behind a line that opens them."""

    title: str
    strips: Sequence[Strip]
    kind: str = field(default="folded", init=False)


@dataclass(frozen=True)
class Chart:
    """An SVG that takes its colours from the page, what is seen on it, and its caption."""

    svg: str
    caption: str
    kind: str = field(default="chart", init=False)


@dataclass(frozen=True)
class Heading:
    """The name of what follows within a section, such as a run's."""

    text: str
    kind: str = field(default="heading", init=False)


@dataclass(frozen=True)
class Paragraph:
    """A few sentences."""

    text: str
    kind: str = field(default="paragraph", init=False)


@dataclass(frozen=True)
class Missing:
    """What is not known of a run yet, and the command that finds it out."""

    what: str
    command: str
    others: str = ""
    kind: str = field(default="missing", init=False)


@dataclass(frozen=True)
class Source:
    """A text to be read or copied as it is written; ``folded`` until somebody opens it."""

    title: str
    text: str
    folded: bool = False
    kind: str = field(default="source", init=False)


@dataclass(frozen=True)
class Notes:
    """A list of remarks, each a `Paragraph`'s text."""

    items: Sequence[str]
    kind: str = field(default="notes", init=False)


Block = Table | Picture | Strip | Folded | Chart | Heading | Paragraph | Missing | Source | Notes


@dataclass(frozen=True)
class Section:
    """A part of the page with its heading and a sentence on what it is about."""

    id: str
    title: str
    lead: str
    blocks: Sequence[Block]
