"""Decode the frames of an open file in sequence with exact timestamps, and detect a missing end.

Timestamps come from, in this order:
1. the presentation timestamp of the frame;
2. in AVI and raw streams, and in ASF and MXF with reordered frames, packets carry positions in decoding order
   instead: the n-th displayed frame gets the n-th smallest position;
3. the decoding timestamp;
4. one frame period after the previous frame (raw streams), starting at 0.
A timestamp that does not increase becomes one unit after the previous one. Timestamps may start below 0.
"""

import contextlib
import heapq
import itertools
from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer
from av.format import Flags
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from video.container import DECODE_ERRORS, describe_error, is_still
from video.errors import VideoError, VideoErrorCode
from video.interlace import DecodedFrame, Deinterlacer

DEFAULT_RATE = Fraction(25)
"""Frames per second assumed for a file without timestamps and without a frame rate."""
DECODING_ORDER = ("avi", "asf", "mxf")
"""Prefixes of the names of containers whose presentation timestamps may be positions in decoding order."""
ROUNDING_S = 0.002
"""Tolerance for containers that round timestamps to milliseconds."""
LARGEST_PTS = 1 << 62
"""A larger timestamp is treated as damage."""


def decode(container: InputContainer, stream: VideoStream, path: str) -> Iterator[DecodedFrame]:
    """Yield each frame, deinterlaced, with strictly increasing timestamps.

    Raises:
        VideoError: after the last frame, if the end of the file is missing or damaged.
    """
    still = is_still(container, stream)
    packets = PacketReader(container, stream)
    clock = _Clock(packets)
    deinterlacer = Deinterlacer()
    damage: Exception | None = None
    try:
        for frame in itertools.chain.from_iterable(packet.decode() for packet in packets):
            yield from deinterlacer.push(frame, clock.pts_of(frame))
            if still:  # ignore the preview, second view or short video that a photo may carry
                return
        yield from deinterlacer.flush()
    except DECODE_ERRORS as error:
        damage = error
        yield from _flush_after_error(deinterlacer)
    with contextlib.suppress(*DECODE_ERRORS):  # after an error: measure how far the packets reach
        for _ in packets:
            pass
    _raise_if_broken(packets, clock.last_pts, damage, path, still)


def _flush_after_error(deinterlacer: Deinterlacer) -> Iterator[DecodedFrame]:
    with contextlib.suppress(*DECODE_ERRORS):
        yield from deinterlacer.flush()


def _raise_if_broken(
    packets: "PacketReader", last_pts: int | None, damage: Exception | None, path: str, still: bool
) -> None:
    if packets.missing_s > 0 and not still:
        problem = f"the last {packets.missing_s:.2f} s of {packets.stated_end_s or 0:.2f} s are missing"
        raise VideoError(VideoErrorCode.TRUNCATED, path, problem) from damage
    if damage is not None and still:
        raise VideoError(VideoErrorCode.TRUNCATED, path, "the picture is cut short or broken") from damage
    if damage is not None:
        where = "at its start" if last_pts is None else f"after {float(last_pts * packets.time_base):.2f} s"
        raise VideoError(
            VideoErrorCode.DECODE_ERROR, path, f"cannot be decoded {where}: {describe_error(damage)}"
        ) from damage
    if last_pts is None:
        raise VideoError(VideoErrorCode.NO_FRAMES, path, "not one frame could be decoded")


class PacketReader:
    """Demux one stream, and compare where its packets end with the duration in the header."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.packets = container.demux(stream)
        self.time_base = stream.time_base or 1 / DEFAULT_RATE
        self.period = 1 / (stream.guessed_rate or DEFAULT_RATE)
        self.stated_end_s = _stated_end_s(container, stream)
        self.end_pts: float | None = None
        """End of the last packet so far, in units of the time base."""
        self.has_corrupt_packet = False
        self.count = 0
        self.has_no_pts = container.format.name == "avi" or is_raw(container)
        self.positions: list[int] = []
        self.sorts_positions = self.has_no_pts or container.format.name.startswith(DECODING_ORDER)

    def __iter__(self) -> "Iterator[av.Packet[VideoStream]]":
        lasts_pts = float(self.period / self.time_base)
        for packet in self.packets:
            if packet.is_corrupt and packet.size:  # the file ends within it
                self.has_corrupt_packet = True
                continue
            self.count += packet.size > 0
            time = packet.pts if packet.pts is not None else packet.dts
            if time is not None:
                end_pts = time + (packet.duration or lasts_pts)
                self.end_pts = end_pts if self.end_pts is None else max(end_pts, self.end_pts)
            position = packet.dts if self.has_no_pts else time
            if self.sorts_positions and packet.size and position is not None:
                heapq.heappush(self.positions, position)
            yield packet

    @property
    def missing_s(self) -> float:
        """Seconds that the header states but the packets do not reach; 0 within two frames of rounding."""
        if self.stated_end_s is None:
            return float(self.period) if self.has_corrupt_packet else 0.0
        missing_s = self.stated_end_s - (self.end_pts or 0) * float(self.time_base)
        return missing_s if missing_s > 2 * self.period + ROUNDING_S or self.has_corrupt_packet else 0.0


class _Clock:
    """Assign a timestamp to each decoded frame."""

    def __init__(self, packets: PacketReader) -> None:
        self.packets = packets
        self.period_pts = max(1, round(packets.period / packets.time_base))
        self.last_pts: int | None = None

    def pts_of(self, frame: VideoFrame) -> int:
        if self.packets.positions:
            pts = heapq.heappop(self.packets.positions)
        else:
            pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None:
            pts = 0 if self.last_pts is None else self.last_pts + self.period_pts
        if self.last_pts is not None:
            pts = max(pts, self.last_pts + 1)
        if abs(pts) > LARGEST_PTS:
            raise ValueError(f"a frame has the timestamp {pts}")
        self.last_pts = pts
        return pts


def is_raw(container: InputContainer) -> bool:
    """Return whether the file is a raw stream without timestamps."""
    return Flags.no_timestamps in Flags(container.format.flags)


def _stated_end_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the end of the video from the header, in seconds; None if it is missing or an estimate."""
    if stream.duration is not None and stream.time_base is not None and container.format.name != "mpeg":
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    if container.duration is not None and "matroska" in container.format.name and not container.streams.audio:
        return ((container.start_time or 0) + container.duration) / av.time_base
    return None
