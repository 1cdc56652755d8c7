"""Read the transcript of a source: a file beside it, named like it with another ending."""

from functools import lru_cache
from pathlib import PurePosixPath

from captioner.transcript import TranscriptError, heard_between
from pipeline.caption.units import CaptionUnit
from pipeline.sources.fetch import is_local
from pipeline.sources.uri import TarMember, storage_and_key
from video.container import local_path

_MAX_BYTES = 16 * 2**20


def is_ending(transcripts: str) -> bool:
    """Whether `CaptionConfig.transcripts` is the ending of files, not a column of the source list."""
    return transcripts.startswith(".")


def heard_in(unit: CaptionUnit, transcripts: str) -> str:
    """Return what is heard while a clip runs; an empty string without a transcript.

    Raises TranscriptError, with the file, for one that cannot be read.
    """
    if unit.heard_error:
        raise TranscriptError(unit.heard_error)
    if not is_ending(transcripts):
        return unit.heard
    where = beside(unit.uri, transcripts)
    content = _read(where)
    try:
        return heard_between(content, unit.start_s, unit.end_s, whole=unit.whole) if content else ""
    except TranscriptError as error:
        raise TranscriptError(f"{where}: {error}; mend the transcript, or leave it out") from None


def beside(uri: str, ending: str) -> str:
    """Return where the file of a source with another ending is: `a/clip.en.vtt` of `a/clip.mp4`."""
    return uri.removesuffix(PurePosixPath(uri).suffix) + ending


@lru_cache(maxsize=64)
def _read(where: str) -> str:
    """Return the text of a file; an empty string if there is none."""
    if TarMember.parse(where):
        return ""
    try:
        if is_local(where):
            path = local_path(where)
            content = path.read_bytes() if path.stat().st_size <= _MAX_BYTES else None
        else:
            storage, key = storage_and_key(where)
            content = storage.read_range(key, 0, _MAX_BYTES + 1)
            content = content if len(content) <= _MAX_BYTES else None
    except FileNotFoundError:
        return ""
    if content is None:
        raise TranscriptError(f"{where}: has more than {_MAX_BYTES // 2**20} MiB; it is no transcript")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TranscriptError(f"{where}: is not UTF-8 ({error}); save it as UTF-8") from None
