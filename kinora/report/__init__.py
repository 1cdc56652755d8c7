"""The report page of a demo run: one HTML file that needs nothing beside it."""

from kinora.report.page import write_report

__all__ = ["write_report"]
