"""Read the packets of one stream: empty ones left out, times continued where a file was joined, and whether
the end of the file is missing.
"""

import heapq
from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer
from av.format import Flags
from av.video.stream import VideoStream

from video.container import Opened
from video.joins import is_left_unread
from video.truncation import is_truncated

DEFAULT_RATE = Fraction(25)
"""Frames per second assumed for a file without timestamps and without a frame rate."""
DECODING_ORDER = ("avi", "asf", "mxf")
"""Prefixes of the names of containers whose presentation timestamps may be positions in decoding order."""
INDEXED = ("mov,mp4", "matroska")
"""Containers whose times are those of one index and cannot begin anew. No duration is believed."""
UNCOUNTED = ("ivf", "mpegts", "ogg")
"""Containers whose header states an estimate, or what a recorder planned."""
ROUNDING_S = 0.002
"""Tolerance for containers that round timestamps to milliseconds."""
_LAG_OF_FLAGS = 2
"""Where files were joined, one of this many packets before the key frame looks incomplete."""
MIN_STEP_BACK_S = 0.1
"""A smaller step back in decoding order, but to a key frame, is jitter."""


class PacketReader:
    """Demux one stream.

    Empty packets, which say "as before", are left out. In files that were joined end to end, whose times
    begin anew, the times of later parts are moved behind the earlier ones.
    """

    def __init__(self, opened: Opened) -> None:
        self.media, self.container, self.stream = opened.path_or_bytes, opened.container, opened.stream
        self.time_base = self.stream.time_base or 1 / DEFAULT_RATE
        self.period = 1 / (self.stream.guessed_rate or DEFAULT_RATE)
        self.period_pts = float(self.period / self.time_base)
        self.min_step_back_pts = MIN_STEP_BACK_S / float(self.time_base)
        self.may_begin_anew = opened.is_joined or not self.container.format.name.startswith(INDEXED)
        self.end_pts: float | None = None
        """End of the last packet so far, in units of the time base."""
        self.is_cut_short = False
        """Whether the file ends within the last packet."""
        self.has_no_pts = self.container.format.name == "avi" or is_raw(self.container)
        self.positions: list[int] = []
        self.sorts_positions = self.has_no_pts or self.container.format.name.startswith(DECODING_ORDER)
        self.last_position = 0
        """Position in the file of the last packet."""
        self._last_dts: int | None = None
        self._shift = 0
        """Units of the time base that the present part is moved by."""

    def __iter__(self) -> "Iterator[tuple[av.Packet[VideoStream], bool]]":
        """Yield each packet, and whether the container says that some of its bytes were lost.

        The last packet is left out if the file ends within it.
        """
        held: list[av.Packet[VideoStream]] = []
        for packet in self.container.demux(self.stream):
            if not packet.size:
                continue
            joins = self.may_begin_anew and self._move_behind(packet)
            if joins or (held and packet.is_keyframe):
                yield from ((each, False) for each in held)
                held.clear()
            self._note(packet)
            if held or packet.is_corrupt:
                held.append(packet)
            else:
                yield packet, False
            if len(held) > _LAG_OF_FLAGS:
                yield from ((each, each.is_corrupt) for each in held)
                held.clear()
        self.is_cut_short = bool(held) and held[-1].is_corrupt
        yield from ((each, each.is_corrupt) for each in held[: -1 if self.is_cut_short else None])

    def _move_behind(self, packet: "av.Packet[VideoStream]") -> bool:
        """Continue the times of a part that begins anew; return whether `packet` is its first."""
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is None:
            return False
        last, self._last_dts = self._last_dts, dts
        # the first packet of a part is a key frame; another one that steps back a little is jitter
        jitter_pts = 0 if packet.is_keyframe else max(2 * self.period_pts, self.min_step_back_pts)
        joins = last is not None and last - dts > jitter_pts
        if joins and self.end_pts is not None:
            first = dts if self.has_no_pts or packet.pts is None else packet.pts
            self._shift = round(self.end_pts) - first
        if self._shift:
            packet.dts = None if packet.dts is None else packet.dts + self._shift
            packet.pts = None if packet.pts is None else packet.pts + self._shift
        return joins

    def _note(self, packet: "av.Packet[VideoStream]") -> None:
        self.last_position = packet.pos or 0
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            end_pts = time + (packet.duration or self.period_pts)
            self.end_pts = end_pts if self.end_pts is None else max(end_pts, self.end_pts)
        position = packet.dts if self.has_no_pts else time
        if self.sorts_positions and position is not None:
            heapq.heappush(self.positions, position)

    @property
    def ends_early(self) -> bool:
        """Whether bytes are missing at the end of the file, or, where these do not tell, stated frames."""
        if self.is_cut_short:
            return True
        told = is_truncated(self.media)
        name = self.container.format.name
        if name.startswith(INDEXED):
            states_frames = self.end_pts is None and self.missing_s > 0
            return told is True or states_frames or self._lacks_samples()
        return bool(self.missing_s) if told is None and not name.startswith(UNCOUNTED) else bool(told)

    @property
    def is_left_unread(self) -> bool:
        """Whether the file goes on with another one, whose header FFmpeg does not pass."""
        return is_left_unread(self.media, self.container.format.name, self.last_position)

    @property
    def missing_s(self) -> float:
        """Seconds that the header states but the packets do not reach; 0 within two frames of rounding."""
        stream, name = self.stream, self.container.format.name
        if stream.duration is None or stream.time_base is None or name in ("mpeg", "matroska,webm"):
            return 0.0
        stated_s = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
        missing_s = stated_s - (self.end_pts or 0) * float(self.time_base)
        return missing_s if missing_s > 2 * self.period + ROUNDING_S else 0.0

    def _lacks_samples(self) -> bool:
        """Return whether the index names bytes after the end of the file."""
        entries = self.stream.index_entries
        if "mov" not in self.container.format.name or not len(entries):
            return False
        last = entries[len(entries) - 1]
        return last.pos + last.size > self.container.size


def is_raw(container: InputContainer) -> bool:
    """Return whether the file is a raw stream without timestamps."""
    return Flags.no_timestamps in Flags(container.format.flags)
