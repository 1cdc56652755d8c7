"""Errors of media files: a stable code, the problem, and a remedy."""

from enum import StrEnum
from pathlib import Path


class VideoErrorCode(StrEnum):
    """Why a file cannot be used. Stored in failure rows, so values are stable."""

    VANISHED = "VANISHED"
    UNREADABLE = "UNREADABLE"
    EMPTY_FILE = "EMPTY_FILE"
    NOT_MEDIA = "NOT_MEDIA"
    NO_VIDEO_STREAM = "NO_VIDEO_STREAM"
    UNSUPPORTED = "UNSUPPORTED"
    NO_FRAMES = "NO_FRAMES"
    TRUNCATED = "TRUNCATED"
    DECODE_ERROR = "DECODE_ERROR"
    TOO_LARGE = "TOO_LARGE"
    TIMED_OUT = "TIMED_OUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    CRASHED = "CRASHED"


FATAL_CODES = frozenset({VideoErrorCode.TIMED_OUT, VideoErrorCode.OUT_OF_MEMORY, VideoErrorCode.CRASHED})
"""Codes of files whose decoding process was killed or crashed."""


REMEDIES = {
    VideoErrorCode.VANISHED: "check the path, and that nothing moves or deletes files while they are read",
    VideoErrorCode.UNREADABLE: "make it a plain file that this user may read (chmod u+r)",
    VideoErrorCode.EMPTY_FILE: "copy or download it again, or remove it from the source list",
    VideoErrorCode.NOT_MEDIA: "remove it from the source list, or rename it to what it is",
    VideoErrorCode.NO_VIDEO_STREAM: "remove it from the source list: it holds nothing to see",
    VideoErrorCode.UNSUPPORTED: "re-encode it with a common codec such as H.264, VP9 or AV1",
    VideoErrorCode.NO_FRAMES: "check the span that was asked for, or copy the file again",
    VideoErrorCode.TRUNCATED: "copy or download it again: its end is missing",
    VideoErrorCode.DECODE_ERROR: "copy it again, or repair it by re-encoding it",
    VideoErrorCode.TOO_LARGE: "scale or split it, or run `kinora retry` with a larger limit of that name",
    VideoErrorCode.TIMED_OUT: "play it to see whether it ends, then re-encode it; or, if it is only long, "
    "`kinora retry --quarantined` with a larger --sandbox.wall-s or --sandbox.wall-s-per-mb",
    VideoErrorCode.OUT_OF_MEMORY: "scale it down or re-encode it; or, if this machine has the memory, "
    "`kinora retry --quarantined` with a larger --sandbox.memory-mb",
    VideoErrorCode.CRASHED: "re-encode it, or remove it from the source list; "
    "`kinora retry --quarantined` tries it again as it is",
}


class VideoError(ValueError):
    """A media file cannot be read, or not to its end."""

    def __init__(
        self, code: VideoErrorCode, path: str | Path, problem: str, remedy: str | None = None
    ) -> None:
        self.code, self.path, self.problem = code, str(path), problem
        self.remedy = remedy or REMEDIES[code]
        super().__init__(f"{self.path}: {problem} ({code}); {self.remedy}")

    def __reduce__(self) -> tuple[type["VideoError"], tuple[VideoErrorCode, str, str, str]]:
        # the default would call __init__ with the message alone
        return VideoError, (
            self.code,
            self.path,
            self.problem,
            self.remedy,
        )
