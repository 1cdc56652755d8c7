"""The dataset, and the commit of it, that a reading command takes."""

from dataclasses import dataclass

from manifests.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    at: int | str | None = None
    """Commit number to read the dataset at, or a time such as 2026-11-29T12:00 (UTC). Default: the latest."""

    def open(self) -> Dataset:
        """Open the dataset at that commit."""
        return Dataset.open(self.dataset, at=self.at)
