"""Self-contained HTML reports on demo runs and datasets."""

from kinora.report.dataset_page import write_dataset_report
from kinora.report.page import write_report

__all__ = ["write_dataset_report", "write_report"]
