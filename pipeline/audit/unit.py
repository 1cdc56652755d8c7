"""A run of consecutive captions to check."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manifests.parts import Part

RUN = 16
"""Captions of a run, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditUnit:
    """Consecutive captions of one part, and their media."""

    part: dict[str, Any]
    """Fields of the `Part` that holds the captions."""
    rows: tuple[int, ...]
    """Their rows in the part."""
    media: tuple[dict[str, Any], ...]
    """Of each: `media_id`, `clip_id`, `uri`, `path`, `offset`, `length`, `num_frames`, `height`, `width`, and
    its span in the source, `start_s` and `end_s`."""

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "AuditUnit":
        """Build a unit from its JSON."""
        return cls(part=fields["part"], rows=tuple(fields["rows"]), media=tuple(fields["media"]))

    def to_part(self) -> Part:
        """Return the part of the captions."""
        return Part(**self.part)
