"""Decode the pictures of an open file in sequence, each with its exact time, and notice when its end is
missing.

Where times come from, in this order:
1. the file's own presentation time of the frame;
2. AVI and raw streams keep none, but a place for each packet; ASF and MXF may too, when frames are stored out
   of order: there, the n-th frame shown has the n-th smallest place;
3. the decoding time;
4. one frame period after the frame before (raw streams); the first stands at 0.
A time that does not grow is moved to one unit after the one before. Times may begin before 0.
"""

import contextlib
import heapq
import itertools
from collections.abc import Iterator
from fractions import Fraction

import av
import av.error
from av.container import InputContainer
from av.format import Flags
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from video.container import DECODE_ERRORS, describe_error, is_still
from video.errors import VideoError, VideoErrorCode
from video.interlace import Decoded, Deinterlacer

DEFAULT_RATE = Fraction(25)
"""Frames per second for frames without any timestamp in a file that states no rate either."""
DECODING_ORDER = ("avi", "asf", "mxf")
"""Beginnings of the names of containers whose presentation times may be places in decoding order."""
ROUNDING_S = 0.002
"""Containers that count milliseconds round every time."""
LARGEST_PTS = 1 << 62
"""A time beyond it is damage, not a time."""


def decode(container: InputContainer, stream: VideoStream, path: str) -> Iterator[Decoded]:
    """Yield each frame, deinterlaced; times strictly increase. Then raise if the file's end is missing or
    broken."""
    still = is_still(container, stream)
    packets = Packets(container, stream)
    clock = _Clock(packets)
    deinterlacer = Deinterlacer()
    damage: Exception | None = None
    try:
        for frame in itertools.chain.from_iterable(packet.decode() for packet in packets):
            yield from deinterlacer.add(frame, clock.time_of(frame))
            if still:  # a photo may carry a preview, a second view or a short video behind it
                return
        yield from deinterlacer.flush()
    except DECODE_ERRORS as error:
        damage = error
        yield from _held_back(deinterlacer)
    with contextlib.suppress(*DECODE_ERRORS):  # after an error: what else is there?
        for _ in packets:
            pass
    _raise_if_broken(packets, clock.last_pts, damage, path, still)


def _held_back(deinterlacer: Deinterlacer) -> Iterator[Decoded]:
    with contextlib.suppress(*DECODE_ERRORS):
        yield from deinterlacer.flush()


def _raise_if_broken(
    packets: "Packets", last_pts: int | None, damage: Exception | None, path: str, still: bool
) -> None:
    if packets.missing_s > 0 and not still:
        problem = f"the last {packets.missing_s:.2f} s of {packets.stated_end_s or 0:.2f} s are missing"
        raise VideoError(VideoErrorCode.TRUNCATED, path, problem) from damage
    if damage is not None and still:
        raise VideoError(VideoErrorCode.TRUNCATED, path, "the picture is cut short or broken") from damage
    if damage is not None:
        at = "at its start" if last_pts is None else f"after {float(last_pts * packets.time_base):.2f} s"
        raise VideoError(
            VideoErrorCode.DECODE_ERROR, path, f"cannot be decoded {at}: {describe_error(damage)}"
        ) from damage
    if last_pts is None:
        raise VideoError(VideoErrorCode.NO_FRAMES, path, "not one frame could be decoded")


class Packets:
    """The whole packets of one stream, and how far they reach beside what the header states."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.packets = container.demux(stream)
        self.time_base = stream.time_base or 1 / DEFAULT_RATE
        self.period = 1 / (stream.guessed_rate or DEFAULT_RATE)
        self.stated_end_s = _stated_end_s(container, stream)
        self.end_pts: float | None = None
        """Where the last of the packets so far ends, in units of the time base."""
        self.torn = False
        self.count = 0
        self.timeless = container.format.name == "avi" or is_raw(container)
        self.places: list[int] = []
        self.keeps_places = self.timeless or container.format.name.startswith(DECODING_ORDER)

    def __iter__(self) -> Iterator[av.Packet]:
        lasts_pts = float(self.period / self.time_base)
        for packet in self.packets:
            if packet.is_corrupt and packet.size:  # the file ends within it
                self.torn = True
                continue
            self.count += packet.size > 0
            time = packet.pts if packet.pts is not None else packet.dts
            if time is not None:
                end_pts = time + (packet.duration or lasts_pts)
                self.end_pts = end_pts if self.end_pts is None else max(end_pts, self.end_pts)
            place = packet.dts if self.timeless else time
            if self.keeps_places and packet.size and place is not None:
                heapq.heappush(self.places, place)
            yield packet

    @property
    def missing_s(self) -> float:
        """Seconds stated but not there; 0 if all are, give or take two frames of rounding in the
        container."""
        if self.stated_end_s is None:
            return float(self.period) if self.torn else 0.0
        missing_s = self.stated_end_s - (self.end_pts or 0) * float(self.time_base)
        return missing_s if missing_s > 2 * self.period + ROUNDING_S or self.torn else 0.0


class _Clock:
    """Tells the time of each frame shown."""

    def __init__(self, packets: Packets) -> None:
        self.packets = packets
        self.period_pts = max(1, round(packets.period / packets.time_base))
        self.last_pts: int | None = None

    def time_of(self, frame: VideoFrame) -> int:
        if self.packets.places:
            pts = heapq.heappop(self.packets.places)
        else:
            pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None:
            pts = 0 if self.last_pts is None else self.last_pts + self.period_pts
        if self.last_pts is not None:
            pts = max(pts, self.last_pts + 1)
        if abs(pts) > LARGEST_PTS:
            raise ValueError(f"a frame claims the time {pts}")
        self.last_pts = pts
        return pts


def is_raw(container: InputContainer) -> bool:
    """Return whether the file is a bare stream that keeps no times."""
    return Flags.no_timestamps in Flags(container.format.flags)


def _stated_end_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Return when the header says that the pictures end; None where it does not say, or guesses."""
    if stream.duration is not None and stream.time_base is not None and container.format.name != "mpeg":
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    if container.duration is not None and "matroska" in container.format.name and not container.streams.audio:
        return ((container.start_time or 0) + container.duration) / av.time_base
    return None
