"""What the intervals of numbers are, and why some have none."""

from collections.abc import Iterable, Iterator, Mapping

from repr_toolkit.page.blocks import Block, Table

ONE_RUN = "Each column of a run is one training run: no interval has the spread between trainings."
MISSING = "no interval: "


def interval_notes(numbers: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences on the intervals of numbers, each its name and its `how`; see `Number`.

    >>> interval_notes([("probe, %", "Wilson's over 96 images"), ("m", "")])
    ["95 % intervals: “probe, %”: Wilson's over 96 images."]
    """
    kinds: dict[str, dict[str, None]] = {}
    reasons: dict[str, dict[str, None]] = {}
    for name, how in numbers:
        if how.startswith(MISSING):
            reasons.setdefault(how.removeprefix(MISSING), {})[f"“{name}”"] = None
        elif how:
            kinds.setdefault(how, {})[f"“{name}”"] = None
    said = {"95 % intervals": kinds, "No interval": reasons}
    return [f"{what}: {_each(named)}." for what, named in said.items() if named]


def _each(named: Mapping[str, Iterable[str]]) -> str:
    return "; ".join(f"{', '.join(names)}: {how}" for how, names in named.items())


def numbers_of(blocks: Iterable[Block]) -> Iterator[tuple[str, str]]:
    """The name and the `how` of every number in the tables: that of its row, or of its column."""
    for table in blocks:
        if isinstance(table, Table):
            for row in table.rows:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    yield column if table.by_column else row.label, cell.how
