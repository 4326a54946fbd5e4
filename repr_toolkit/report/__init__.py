"""One self-contained page of everything that is known of trained runs."""

from repr_toolkit.report.write import write_report

__all__ = ["write_report"]
