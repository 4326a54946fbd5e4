"""Reads every case of the tests of folders, and writes what came of it to docs/folders.md.

PYTHONPATH=.:tests python tests/folders_page.py
"""

import re
import tempfile
from collections import Counter
from pathlib import Path

from repr_toolkit.data.folder import load_folder, survey_folder
from repr_toolkit.support import console
from toys import folder_files, folder_layouts
from toys.folders import Case, make
from toys.processes import ROOT

PAGE = ROOT / "docs/folders.md"
TABLES = {
    "Layouts": folder_layouts.LAYOUTS,
    "Links": folder_layouts.LINKS,
    "What systems and cameras leave behind": folder_layouts.SYSTEMS,
    "Runs of the toolkit": folder_layouts.OWN_RUNS,
    "Formats": folder_files.FORMATS,
    "Modes and sizes": folder_files.MODES,
    "Damage, and folders that make no sense": folder_files.REFUSED,
}


def files_of(case: Case) -> str:
    """The lines of a case, those that differ by a number as one."""
    counts = Counter(re.sub(r"(^|/)\d+(?=[ .])", r"\1N", line) for line in case.files)
    return ", ".join(f"{line} × {n}" if n > 1 else line for line, n in counts.items())


def row(case: Case) -> str:
    """A case as a row: its name, its files, what is taken and what is said."""
    with tempfile.TemporaryDirectory() as place:
        root = make(Path(place) / "photos", case.files)
        console._said.clear()
        try:
            load_folder(root, case.size, case.mode)
            [said] = console._said
            layout = survey_folder(root).layout
            labels = layout.labels or {s: [""] * len(f) for s, f in layout.splits.items()}
            counts = [
                f"{split} {name} {count}"
                for split, names in labels.items()
                for name, count in Counter(names).items()
            ]
        except ValueError as error:
            said, counts = str(error), ["refused"]
    said = re.sub(r"; listed in .*", "", said.replace(place + "/", ""))
    options = [f"data.{k} {getattr(case, k)}" for k in ("size", "mode") if getattr(case, k)]
    cells = [case.name, "; ".join([files_of(case), *options]), ", ".join(counts), said]
    return "| " + " | ".join(_as_text(cell) for cell in cells) + " |"


def _as_text(cell: str) -> str:
    """Names may be no text, or have the end of a line in them."""
    text = cell.encode(errors="backslashreplace").decode()
    text = re.sub(r"(x/){9,}", "x/…/", text).translate({10: r"\n", 13: r"\r", 124: r"\|"})
    return re.sub(r" +", " ", re.sub(r"\(\.apng,.*?\)", "(.apng, …)", text))


def main() -> None:
    head = "| folder | files | taken | said |\n|---|---|---|---|\n"
    tables = [
        f"## {title}\n\n{head}" + "\n".join(map(row, cases)) for title, cases in TABLES.items()
    ]
    text = PAGE.read_text("utf-8").partition("## Layouts")[0]
    PAGE.write_text(text + "\n\n".join(tables) + "\n", "utf-8")


if __name__ == "__main__":
    main()
