"""Configuration of the review desk."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewConfig:
    """How clips are given to reviewers, and how decisions are committed."""

    reviews_per_clip: int = 1
    """Reviewers that decide on each clip. With 2 or more they are blind to each other until all are in."""
    lease_s: float = 600.0
    """Seconds for which a clip is held for the reviewer who opened it; renewed by any request for it."""
    near_margin: float = 0.1
    """A clip is near a limit if its value is within this fraction of the limit, on the side that is kept."""
    seed: int = 0
    """Seed of the order of every queue."""
    commit_every_s: float = 30.0
    """Seconds after which recorded decisions are committed to the dataset; 0: only on `flush` and `close`."""
    commit_every: int = 500
    """Number of recorded decisions after which they are committed at once."""
    regex_timeout_s: float = 5.0
    """Seconds that a regular expression may take on all texts of one bulk edit."""
    query_timeout_s: float = 10.0
    """Seconds that an SQL filter may take."""
    max_text_chars: int = 20_000
    """Characters of the longest text that an edit may write."""

    def __post_init__(self) -> None:
        """Check the ranges. Raises ValueError."""
        if self.reviews_per_clip < 1:
            raise ValueError(f"reviews_per_clip: {self.reviews_per_clip} is not at least 1")
        for name in ("lease_s", "regex_timeout_s", "query_timeout_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not above 0 seconds")
        for name in ("near_margin", "commit_every_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)} is below 0")
        for name in ("commit_every", "max_text_chars"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not at least 1")
