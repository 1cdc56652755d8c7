"""Pictures of frames, which the command line's package makes: this package imports no video library."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Side = Literal["before", "after"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSpan:
    """A span of one version of a source file."""

    uri: str
    source_key: str
    start_pts: int
    end_pts: int
    """The first frame after the span."""
    time_base_num: int
    time_base_den: int


class PictureError(ValueError):
    """The frames cannot be decoded: the message names the file, the problem and a remedy."""


class Pictures(Protocol):
    """Decodes frames into one JPEG, a strip of equally wide pictures from left to right, or a short video."""

    def media_strip(self, content: bytes, indices: Sequence[int]) -> bytes:
        """Return the frames at `indices` of a medium. Raises PictureError."""
        ...

    def source_strip(self, span: SourceSpan, side: Side) -> bytes:
        """Return a few frames of the source just before or after a span. Raises PictureError.

        A place before the beginning or after the end of the source is a grey picture.
        """
        ...

    def source_video(self, span: SourceSpan, side: Side) -> bytes:
        """Return a small MP4 of the seconds of the source just before or after a span.

        Raises PictureError, also if the source begins or ends with the span.
        """
        ...
