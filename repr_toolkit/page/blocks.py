"""The blocks of a report: tables, pictures, charts and texts, as plain data.

The page, the terminal and Weights & Biases each write them their own way; the page escapes every
text. In a `Paragraph`, **stars** make a text strong, *one star* emphasises it and `backticks` make
it code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from repr_toolkit.support.tables import NONE


class _Kind:
    @property
    def kind(self) -> str:
        """The name of the class in lower case, by which a template chooses."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Cell:
    """A text, a detail in smaller print (an interval, a remark), and a standard error.

    `how` is what the interval is, or why there is none, which a note below the table says.

    The page shows the text over its detail, a terminal the text ± the error, or else the text with
    the detail in brackets.
    """

    text: str = NONE
    detail: str = ""
    error: str = ""
    how: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.text} ({self.detail})" if self.detail else self.text


@dataclass(frozen=True)
class Row:
    """A line of a table: a label, an explanation in plain words, and a cell for each column.

    Consecutive rows of the same `group` stand under its name. With `intervals` a terminal shows the
    details in a second line.
    """

    label: str
    cells: Sequence[Cell]
    about: str = ""
    group: str = ""
    intervals: bool = False

    @property
    def empty(self) -> bool:
        """Whether every cell is."""
        return all(cell == Cell() for cell in self.cells)


@dataclass(frozen=True)
class Table(_Kind):
    """Rows under the names of their columns.

    `corner` is the heading over the rows' labels. A terminal names groups only where `grouped`.
    With `by_column` not the rows but the columns say what is measured.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]
    corner: str = "Measure"
    grouped: bool = True
    by_column: bool = False


@dataclass(frozen=True)
class ColourBar:
    """The scale of a picture's colours: a strip (PNG, one pixel high) and its ends' values."""

    png: bytes
    low: str
    high: str
    title: str
    middle: str = ""


@dataclass(frozen=True)
class Picture(_Kind):
    """A PNG with its description in words.

    `scale` is the size of its pixels on the screen, which stay sharp if it is `pixelated`. A
    picture on `paper` has dark print on white, and keeps its white on a dark page.
    """

    png: bytes
    size: tuple[int, int]  # width and height, in its own pixels
    alt: str
    caption: str = ""
    scale: float = 1
    pixelated: bool = False
    paper: bool = False
    bar: ColourBar | None = None
    columns: Sequence[str] = ()  # the headings of equally wide columns
    rows: Sequence[str] = ()  # the labels of equally high rows


@dataclass(frozen=True)
class Strip(_Kind):
    """Frames of equal width side by side in one PNG; a slider shows one of them.

    `gap` is the number of empty columns of pixels between two frames.
    """

    png: bytes
    size: tuple[int, int]
    labels: Sequence[str]  # of the frames, such as "α = −0.5"
    ticks: Sequence[str]  # the same in short
    start: int  # the frame to show first
    title: str
    alt: str
    slider: str  # the name of what the slider moves
    gap: int = 1
    scale: float = 1


@dataclass(frozen=True)
class Folded(_Kind):
    """Strips behind a line that opens them."""

    title: str
    strips: Sequence[Strip]


@dataclass(frozen=True)
class Chart(_Kind):
    """An SVG, which takes its colours from the page, and its caption."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Heading(_Kind):
    """A heading within a section, such as a run's name."""

    text: str


@dataclass(frozen=True)
class Paragraph(_Kind):
    """A few sentences."""

    text: str


@dataclass(frozen=True)
class Missing(_Kind):
    """A result that a run lacks, and the command that adds it."""

    what: str
    command: str
    others: str = ""


@dataclass(frozen=True)
class Source(_Kind):
    """A text as it is, to read or to copy, behind a line that opens it if `folded`."""

    title: str
    text: str
    folded: bool = False


@dataclass(frozen=True)
class Notes(_Kind):
    """A list of remarks, each a `Paragraph`'s text."""

    items: Sequence[str]


Block = Table | Picture | Strip | Folded | Chart | Heading | Paragraph | Missing | Source | Notes


@dataclass(frozen=True)
class Section:
    """A part of the page, with its heading and a sentence on its question."""

    id: str
    title: str
    lead: str
    blocks: Sequence[Block]
