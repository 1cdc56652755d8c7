"""Report pages, of a demo run or of a dataset: one HTML file that needs nothing beside it."""

from kinora.report.dataset_page import write_dataset_report
from kinora.report.page import write_report

__all__ = ["write_dataset_report", "write_report"]
