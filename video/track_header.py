"""Read what a container's header says of a video track and PyAV does not pass on: the part of the frame to
show, and whether Dolby Vision has a base layer that can be shown alone.
"""

from fractions import Fraction
from typing import BinaryIO, NamedTuple

from av.container import InputContainer
from av.video.stream import VideoStream

from video.boxes import EBML_SEGMENT, Element, content, ebml_elements, file_size, iso_box, iso_boxes
from video.streams import shown_streams

_SAMPLE_ENTRY_BYTES = 78
"""Of a visual sample entry before its boxes (ISO/IEC 14496-12, 12.1.3)."""
_DOLBY_VISION = (b"dvcC", b"dvvC", b"dvwC")
_OWN_COLOR_PROFILES = (1, 3, 5, 10, 20)
"""Dolby Vision profiles whose frames need not be compatible with any other signal."""
_TRACKS, _TRACK_ENTRY, _CLUSTER = b"\x16T\xaek", b"\xae", b"\x1f\x43\xb6\x75"
_TRACK_TYPE, _VIDEO = b"\x83", b"\xe0"
_PIXEL_CROP = (b"\x54\xcc", b"\x54\xbb", b"\x54\xdd", b"\x54\xaa")
"""Matroska's ids of PixelCropLeft, PixelCropTop, PixelCropRight and PixelCropBottom."""
_BLOCK_ADDITION, _ADDITION_TYPE, _ADDITION_DATA = b"\x41\xe4", b"\x41\xe7", b"\x41\xed"


class Margins(NamedTuple):
    """Pixels to leave out at each side of the stored frame."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


class TrackHeader(NamedTuple):
    """What the header says beside the frames."""

    margins: Margins = Margins()
    has_base_layer: bool = True
    """False for Dolby Vision whose frames are in a color space of its own (profile 5 and alike)."""


def read_track_header(file: BinaryIO, container: InputContainer, stream: VideoStream) -> TrackHeader:
    """Return the header of `stream` in an open MP4, MOV, Matroska or WebM file; the default for others."""
    if "mov" in container.format.name:
        return _iso_track(file, stream.id)
    if "matroska" in container.format.name:
        return _matroska_track(file, shown_streams(container).index(stream))
    return TrackHeader()


def clean_aperture(box: bytes, width: int, height: int) -> Margins:
    """Return the margins of a `clap` box (ISO/IEC 14496-12, 12.1.4) in a frame of `width` x `height`."""
    if len(box) < 32:
        return Margins()
    numbers = [int.from_bytes(box[i : i + 4], signed=True) for i in range(0, 32, 4)]
    if min(numbers[1::2]) < 1:
        return Margins()
    inside_w, inside_h, off_x, off_y = (
        Fraction(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)
    )
    left, top = round((width - inside_w) / 2 + off_x), round((height - inside_h) / 2 + off_y)
    margins = Margins(left, top, width - round(inside_w) - left, height - round(inside_h) - top)
    return margins if min(margins) >= 0 and inside_w >= 1 and inside_h >= 1 else Margins()


def _iso_track(file: BinaryIO, track_id: int) -> TrackHeader:
    movie = iso_box(file, (b"moov",), 0, file_size(file))
    for track in iso_boxes(file, movie.start, movie.end) if movie else ():
        if track.kind == b"trak" and _iso_track_id(file, track) == track_id:
            path = (b"mdia", b"minf", b"stbl", b"stsd")
            table = iso_box(file, path, track.start, track.end)
            entry = next(iso_boxes(file, table.start + 8, table.end), None) if table else None
            return TrackHeader() if entry is None else _sample_entry(file, entry)
    return TrackHeader()


def _iso_track_id(file: BinaryIO, track: Element) -> int:
    header = iso_box(file, (b"tkhd",), track.start, track.end)
    if header is None:
        return 0
    fields = content(file, header, 24)
    at = 20 if fields[:1] == b"\1" else 12
    return int.from_bytes(fields[at : at + 4])


def _sample_entry(file: BinaryIO, entry: Element) -> TrackHeader:
    fields = content(file, entry, _SAMPLE_ENTRY_BYTES)
    width, height = int.from_bytes(fields[24:26]), int.from_bytes(fields[26:28])
    margins, has_base_layer = Margins(), True
    for box in iso_boxes(file, entry.start + _SAMPLE_ENTRY_BYTES, entry.end):
        if box.kind == b"clap":
            margins = clean_aperture(content(file, box), width, height)
        elif box.kind in _DOLBY_VISION:
            has_base_layer = _has_base_layer(content(file, box))
    return TrackHeader(margins, has_base_layer)


def _matroska_track(file: BinaryIO, number: int) -> TrackHeader:
    """Return the header of the video track `number`, counted from 0."""
    size = file_size(file)
    segment = next((each for each in ebml_elements(file, 0, size) if each.kind == EBML_SEGMENT), None)
    for element in ebml_elements(file, segment.start, segment.end) if segment else ():
        if element.kind == _CLUSTER:
            break
        if element.kind == _TRACKS:
            entries = (each for each in ebml_elements(file, element.start, element.end))
            tracks = [
                [*ebml_elements(file, each.start, each.end)] for each in entries if each.kind == _TRACK_ENTRY
            ]
            videos = [track for track in tracks if _is_video(file, track)]
            return _track_entry(file, videos[number]) if number < len(videos) else TrackHeader()
    return TrackHeader()


def _is_video(file: BinaryIO, track: list[Element]) -> bool:
    return any(content(file, each) == b"\1" for each in track if each.kind == _TRACK_TYPE)


def _track_entry(file: BinaryIO, track: list[Element]) -> TrackHeader:
    margins, has_base_layer = Margins(), True
    for element in track:
        if element.kind not in (_VIDEO, _BLOCK_ADDITION):
            continue
        inside = {each.kind: content(file, each) for each in ebml_elements(file, element.start, element.end)}
        if element.kind == _VIDEO:
            margins = Margins(*(int.from_bytes(inside.get(kind, b"")) for kind in _PIXEL_CROP))
        elif inside.get(_ADDITION_TYPE, b"")[-4:] in _DOLBY_VISION:
            has_base_layer = _has_base_layer(inside.get(_ADDITION_DATA, b""))
    return TrackHeader(margins, has_base_layer)


def _has_base_layer(configuration: bytes) -> bool:
    """Return whether the frames can be shown without Dolby Vision, from its profile (upper 7 bits of the
    third byte) and the compatible signal (upper half of the fifth)."""
    if len(configuration) < 5:
        return True
    return configuration[2] >> 1 not in _OWN_COLOR_PROFILES or configuration[4] >> 4 != 0
