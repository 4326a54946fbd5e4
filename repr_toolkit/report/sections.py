"""The sections of a report, in their order."""

from collections.abc import Sequence

from repr_toolkit.analyses.comparison.blocks import bayes, figures, summary
from repr_toolkit.analyses.information.blocks import information
from repr_toolkit.analyses.probing.blocks import probes
from repr_toolkit.page.blocks import Section
from repr_toolkit.report.inputs import Reported
from repr_toolkit.report.missing import not_measured
from repr_toolkit.report.provenance import notes, origins
from repr_toolkit.report.training import curves


def all_sections(found: Reported, command: Sequence[str]) -> list[Section]:
    """Everything that is known of the runs; ``command`` is the one that writes the report."""
    sections = [
        summary(found),
        figures(found),
        bayes(found),
        *_of_h(found),
        *analysis_sections(found),
        curves(found),
        origins(found, command),
        notes(found),
    ]
    return [section for section in sections if section is not None]


def _of_h(found: Reported) -> list[Section]:
    """What is known of h, where any run has one."""
    if not found.encoders:
        return []
    return [probes(found), information(found)]


def analysis_sections(reported: Reported) -> list[Section]:
    """A section an analysis that some run has, or could have."""
    sections = []
    for analysis in reported.analyses_shown:
        kept = reported.kept(analysis)
        blocks = analysis.blocks(kept) if kept else []
        blocks += not_measured(reported, analysis)
        if blocks:
            sections.append(Section(analysis.name, analysis.title, analysis.lead, blocks))
    return sections
