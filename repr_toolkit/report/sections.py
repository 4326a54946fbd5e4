"""The sections of a report, in their order."""

from repr_toolkit.analyses.comparison.blocks import LEADS, blocks, figures
from repr_toolkit.page.blocks import Section
from repr_toolkit.report.frozen import frozen
from repr_toolkit.report.inputs import Reported
from repr_toolkit.report.missing import not_measured
from repr_toolkit.report.provenance import notes, origins
from repr_toolkit.report.training import curves
from repr_toolkit.runs.kept import showing


def all_sections(reported: Reported, command: str) -> list[Section]:
    """Everything that is known of the runs; `command` is the one that writes the report."""
    sections = [
        summary(reported),
        pictures(reported),
        *analysis_sections(reported),
        curves(reported),
        origins(reported, command),
        notes(reported),
    ]
    return [section for section in sections if section is not None]


def summary(reported: Reported) -> Section | None:
    """The table that comes first: every run with a decoder a column; None without any."""
    if reported.comparison is None:
        return None
    lead = "How well each model codes, redraws and represents images that it was not trained on."
    with showing(reported.compared):
        return Section("summary", "Summary", lead, blocks(reported.comparison))


def pictures(reported: Reported) -> Section | None:
    """Figures 6 and 3 of the runs, and samples of those without encoder; None without a decoder."""
    every = [compared.arrays for compared in reported.compared]
    files = [file for file in LEADS if any(file in arrays for arrays in every)]
    if not files:
        return None
    drawn = [block for compared in reported.compared for block in figures(compared)]
    lead = " ".join(LEADS[file] for file in files)
    titles = {"figure6.png": "Reconstructions", "figure3.png": "Samples of each class"}
    title = next((titles[file] for file in titles if file in files), "Samples")
    return Section("figures", title, lead, drawn)


def analysis_sections(reported: Reported) -> list[Section | None]:
    """A section an analysis that some run has, or could have; a study of frozen h among them."""
    sections: list[Section | None] = []
    for analysis in reported.analyses_shown:
        kept = reported.kept(analysis)
        blocks = analysis.shown(kept) if kept else []
        blocks += not_measured(reported, analysis)
        if blocks:
            sections.append(Section(analysis.name, analysis.title, analysis.lead, blocks))
        if analysis.name == "information":
            sections.append(frozen(reported))
    return sections
