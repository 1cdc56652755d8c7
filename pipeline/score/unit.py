"""The clips of one source that lack scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreUnit:
    """Clips of one source, in time order, that the same scorers have not scored."""

    source_key: str
    uri: str
    scorers: tuple[str, ...]
    first_pts: int
    """Time of the first frame of the source."""
    time_base_num: int
    time_base_den: int
    clip_ids: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    """Of each clip, start and end pts."""
    media: tuple[tuple[tuple[str, int, int], ...], ...]
    """Of each clip, path, offset and length of its media: read if the source is gone."""

    @property
    def num_clips(self) -> int:
        return len(self.clip_ids)

    @property
    def name(self) -> str:
        """Name for the attempt log."""
        return f"frames-{self.source_key}-{self.spans[0][0]}-{len(self.spans)}"

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "ScoreUnit":
        """Build a unit from its JSON."""
        return cls(
            **{
                **fields,
                "scorers": tuple(fields["scorers"]),
                "clip_ids": tuple(fields["clip_ids"]),
                "spans": tuple((start, end) for start, end in fields["spans"]),
                "media": tuple(tuple((p, o, n) for p, o, n in each) for each in fields["media"]),
            }
        )
