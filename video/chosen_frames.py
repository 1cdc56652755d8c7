"""Decode some frames of a short video, with no more decoding and memory than they need.

Legend: T all frames, N chosen frames, H height, W width, C channels (RGB).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, groupby
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from video.alpha import has_alpha_plane
from video.animation import is_animated_webp
from video.container import DECODE_ERRORS, Media, Opened, display_name, open_media
from video.convert import RgbConverter, has_alpha, pose_of
from video.decode import decode_packet, pixel_aspect
from video.entry_points import CODECS, changes_parameter_sets, is_entry_point
from video.errors import VideoError, VideoErrorCode
from video.frames import read_lazy_frames
from video.packets import PacketReader

CONTAINERS = ("mov,mp4", "matroska")
"""Prefixes of FFmpeg's names of containers whose packets state when each frame is shown, and which seek."""

Choose = Callable[[np.ndarray], Sequence[int]]
"""Takes times_T, the time of every frame in seconds from the first, and returns the indices of N frames."""


class EntryPoint(NamedTuple):
    """A packet at which decoding may begin."""

    pts: int
    dts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """What the packets of a file say of its frames."""

    pts_T: tuple[int, ...]
    """Timestamp of every frame in the order of display, in units of the time base."""
    entry_points: tuple[EntryPoint, ...]
    """In the order of the file; the first is the first frame."""
    num_key_frames: int
    """Packets that the container marks as key frames."""
    has_new_parameter_sets: bool
    """Whether a packet changes the codec's parameters, so that decoding must begin at the first frame."""


class _NotAsStated(Exception):
    """Decoding gives other frames than the packets say."""


def read_chosen(
    media: Media, choose: Choose, *, transform: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> np.ndarray:
    """Return the chosen frames of `read_frames`, each after `transform`, as one array.

    Where the packets tell the timestamps, decoding begins at the last entry point before a chosen frame and
    ends with the last one. Other files (`read_timeline`) are decoded in sequence, twice. One frame in its
    full size is held at a time.

    Args:
        choose: which frames, in any order, with repeats.
        transform: takes rgb_HWC (uint8), such as a resize.

    Raises:
        VideoError: for a file that cannot be decoded, or whose end is missing.
    """
    try:
        if not is_animated_webp(media) and (frames_NHWC := _from_entry_points(media, choose, transform)):
            return np.stack(frames_NHWC)
    except (_NotAsStated, VideoError, *DECODE_ERRORS):
        pass  # decoding in sequence raises, and names the damage
    return np.stack(_in_sequence(media, choose, transform))


def read_nearest(
    media: Media, times_s: Sequence[float], *, transform: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> np.ndarray:
    """Return the frame nearest to each of `times_s` (seconds from the first frame), as `read_chosen` does.

    Of two frames that are equally near, the earlier.
    """
    wanted_N = np.asarray(times_s, np.float64)

    def choose(times_T: np.ndarray) -> Sequence[int]:
        return [int(np.abs(times_T - time).argmin()) for time in wanted_N]

    return read_chosen(media, choose, transform=transform)


def read_timeline(opened: Opened) -> Timeline | str:
    """Demux a file. Returns a reason where its packets do not tell what decoding in sequence gives."""
    context, container = opened.stream.codec_context, opened.container
    codec, extradata = context.name, context.extradata
    if opened.is_still:
        return "a still"
    if not container.format.name.startswith(CONTAINERS):
        return f"the container {container.format.name}"
    if opened.is_joined:
        return "files that were joined"
    if any(opened.header.margins):
        return "a part of each frame to leave out"
    if has_alpha_plane(opened.stream):
        return "transparency"
    pts: list[int] = []
    entry_points: list[EntryPoint] = []
    num_key_frames, changed = 0, False
    packets = PacketReader(opened)
    for packet, is_incomplete in packets:
        if is_incomplete:
            return "bytes that are missing within"
        if packet.is_discard:
            return "an edit list leaves out some frames"
        if packet.pts is None:
            return "packets without timestamps"
        content = bytes(packet)
        num_key_frames += packet.is_keyframe
        if packet.is_keyframe and (
            is_entry_point(codec, extradata, content) or (not pts and codec not in CODECS)
        ):
            entry_points.append(EntryPoint(packet.pts, packet.pts if packet.dts is None else packet.dts))
        pts.append(packet.pts)
        changed = changed or changes_parameter_sets(codec, extradata, content)
    if packets.ends_early:
        return "its end is missing"
    if len(set(pts)) < len(pts):
        return "timestamps that repeat"
    if not entry_points or not entry_points[0].pts == pts[0] == min(pts):
        return "a first frame at which decoding cannot begin"
    return Timeline(
        pts_T=tuple(sorted(pts)),
        entry_points=tuple(entry_points[: 1 if changed else None]),
        num_key_frames=num_key_frames,
        has_new_parameter_sets=changed,
    )


def _from_entry_points(
    media: Media, choose: Choose, transform: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray] | None:
    """Read the chosen frames from the entry points before them. Returns None where `read_timeline` has a
    reason against it."""
    with open_media(media) as opened:
        container, stream = opened.container, opened.stream
        stream.codec_context.thread_count = 1
        timeline = read_timeline(opened)
        if isinstance(timeline, str) or stream.time_base is None:
            return None
        pts_T = timeline.pts_T
        indices = choose(_seconds(pts_T, stream.time_base))
        convert = RgbConverter(size_px=None, interpolation="FAST_BILINEAR", still=False)
        wanted = {pts_T[index] for index in indices}
        found: dict[int, np.ndarray] = {}
        first_and_wanted = sorted({pts_T[0], *wanted})  # the first sets the size of all frames
        for entry, group in groupby(first_and_wanted, key=lambda pts: _entry_before(timeline, pts)):
            for pts, frame in _decode_from(container, stream, entry, set(group)):
                rgb_HWC = convert(frame, pose_of(frame, pixel_aspect(stream)))
                if pts in wanted:
                    found[pts] = transform(rgb_HWC)
        return [found[pts_T[index]] for index in indices]


def _seconds(pts_T: Sequence[int], time_base: Fraction) -> np.ndarray:
    """Return times_T from the first frame, rounded as `read_frames` rounds."""
    if time_base.numerator == 1:
        times_T = np.array(pts_T) / time_base.denominator
    else:
        times_T = np.array([float(pts * time_base) for pts in pts_T])
    return times_T - times_T[0]


def _entry_before(timeline: Timeline, pts: int) -> EntryPoint:
    """Return the last entry point that is not after `pts`."""
    return timeline.entry_points[bisect_right(timeline.entry_points, pts, key=lambda entry: entry.pts) - 1]


def _decode_from(
    container: InputContainer, stream: VideoStream, entry: EntryPoint, wanted: set[int]
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield the frames at the timestamps `wanted`, decoding from `entry`."""
    container.seek(entry.dts, stream=stream, backward=True)
    begins_at_entry = False
    for packet in chain(container.demux(stream), [None]):
        if packet is not None and not packet.size:
            continue
        if packet is not None and not begins_at_entry and packet.pts != entry.pts:
            raise _NotAsStated(f"the seek to {entry} came out at {packet.pts}")
        begins_at_entry = True
        for frame in decode_packet(stream.codec_context, packet):
            if frame.interlaced_frame or frame.pts is None or has_alpha(frame):
                raise _NotAsStated("a frame is interlaced, transparent or has no timestamp")
            if frame.pts in wanted:
                wanted.discard(frame.pts)
                yield frame.pts, frame
        if not wanted:
            return
    raise _NotAsStated(f"the frames at {sorted(wanted)} did not come out")


def _in_sequence(
    media: Media, choose: Choose, transform: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray]:
    """Read the times of all frames, then the chosen frames."""
    times = [frame.time_s for frame in read_lazy_frames(media)]
    if not times:
        raise VideoError(VideoErrorCode.NO_FRAMES, display_name(media), "not one frame could be decoded")
    indices = choose(np.array(times) - times[0])
    wanted, found = set(indices), dict[int, np.ndarray]()
    for index, frame in enumerate(read_lazy_frames(media)):
        if index in wanted:
            found[index] = transform(frame.to_rgb())
        elif index == 0:
            frame.to_rgb()  # sets the size of all frames
        if index >= max(wanted):
            break
    return [found[index] for index in indices]
