"""Read the sound of a file, span by span, on the clock of its video."""

import contextlib
import io
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from video.container import DECODE_ERRORS, Media, local_path

INDEXED = ("mov,mp4", "matroska")
"""Containers whose times are those of one index: they cannot begin anew, and can be entered in the middle."""
PREROLL_S = Fraction(1, 8)
"""Sound before a span that decoders need until their output is right: two frames of AAC, 80 ms of Opus."""
_ENTER_S = 2
"""Seconds before the first span at which reading begins."""
_MIN_STEP_BACK_S = Fraction(1, 10)
_MAX_PACKETS = 1 << 16
"""Packets that wait at a join until the video says how far its times move."""


@dataclass(frozen=True, slots=True)
class SoundPacket:
    """An encoded packet, with its time on the clock of the video."""

    packet: Any
    """An `av.Packet` of the audio stream."""
    start_s: Fraction
    end_s: Fraction
    shift_s: Fraction
    """How far it was moved to be on that clock."""

    def time_of(self, frame: Any) -> Fraction:
        """Return the time of a frame that was decoded when this packet was given to the decoder."""
        if frame.pts is None or frame.time_base is None:
            return self.start_s
        return frame.pts * Fraction(frame.time_base) + self.shift_s


class Sound:
    """The packets of one audio stream. Spans must be asked for in order of time."""

    def __init__(self, container: InputContainer, stream: AudioStream, video: VideoStream | None) -> None:
        self.stream = stream
        self._packets = _packets(container, stream, video)
        self._buffer: deque[SoundPacket] = deque()

    def packets(self, start_s: Fraction, end_s: Fraction) -> list[SoundPacket]:
        """Return the packets that overlap [start_s, end_s), and those of `PREROLL_S` before it."""
        while not self._buffer or self._buffer[-1].start_s < end_s:
            following = next(self._packets, None)
            if following is None:
                break
            if following.end_s > start_s - PREROLL_S:
                self._buffer.append(following)
        while self._buffer and self._buffer[0].end_s <= start_s - PREROLL_S:
            self._buffer.popleft()
        return [packet for packet in self._buffer if packet.start_s < end_s]


@contextmanager
def open_sound(media: Media, from_s: Fraction) -> Generator[Sound | None]:
    """Open the default audio stream of `media`; None if there is none, or if its codec is not known here.

    Args:
        from_s: start of the first span, on the clock of the video.
    """
    with contextlib.ExitStack() as stack:
        source = io.BytesIO(media) if isinstance(media, bytes) else local_path(media).open("rb")
        stack.enter_context(source)
        options = {"protocol_whitelist": "none"}
        container = stack.enter_context(av.open(source, "r", options=options, metadata_errors="replace"))
        stream = _default_stream(container)
        if stream is None:
            yield None
            return
        is_indexed = container.format.name.startswith(INDEXED)
        if is_indexed and from_s > _ENTER_S:
            with contextlib.suppress(*DECODE_ERRORS):  # then from the start
                container.seek(round((from_s - _ENTER_S) * av.time_base), backward=True)
        pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        yield Sound(container, stream, None if is_indexed or not pictures else pictures[0])


def _default_stream(container: InputContainer) -> AudioStream | None:
    """Return the audio stream marked as default, else the first; of those that can be decoded."""
    known: list[AudioStream] = [
        stream
        for stream in container.streams.audio
        if getattr(stream, "codec_context", None) is not None and stream.codec_context.sample_rate
    ]
    default = [stream for stream in known if stream.disposition & Disposition.default]
    return next(iter(default or known), None)


def _packets(
    container: InputContainer, stream: AudioStream, video: VideoStream | None
) -> Iterator[SoundPacket]:
    """Yield the packets of `stream` up to damage.

    Where a file was joined end to end, times begin anew, and later parts follow earlier ones in the video
    (`video.decode`); the sound moves with it.

    Args:
        video: the stream that says so; None if the container cannot be joined.
    """
    tracks = (stream,) if video is None else (stream, video)
    sound_clock, video_clock = _Clock(stream), _Clock(video) if video is not None else None
    waiting: deque[tuple[Any, Fraction, Fraction, int]] = deque()
    with contextlib.suppress(*DECODE_ERRORS):
        for packet in container.demux(*tracks):
            if not packet.size:
                continue
            if video is not None and packet.stream.index == video.index:
                assert video_clock is not None
                video_clock.advance(packet)
            elif (span := sound_clock.advance(packet)) is not None:
                waiting.append((packet, *span, sound_clock.part))
            while waiting and (
                video_clock is None or waiting[0][3] <= video_clock.part or len(waiting) > _MAX_PACKETS
            ):
                yield _moved(waiting.popleft(), video_clock)
    while waiting:
        yield _moved(waiting.popleft(), video_clock)


def _moved(item: tuple[Any, Fraction, Fraction, int], video: "_Clock | None") -> SoundPacket:
    packet, start_s, end_s, part = item
    shift_s = video.shifts_s[min(part, video.part)] if video is not None else Fraction(0)
    return SoundPacket(packet, start_s + shift_s, end_s + shift_s, shift_s)


class _Clock:
    """The times of one stream: in which of the joined parts it is, and how far these move."""

    def __init__(self, stream: AudioStream | VideoStream) -> None:
        self.time_base = Fraction(stream.time_base or Fraction(1, 1000))
        rate = getattr(stream, "guessed_rate", None)
        self._period_s = 1 / Fraction(rate) if rate else Fraction(0)
        self.part, self.shifts_s = 0, [Fraction(0)]
        self._last_s: Fraction | None = None
        self._end_s: Fraction | None = None

    def advance(self, packet: Any) -> tuple[Fraction, Fraction] | None:
        """Return start and end of a packet in its part; None if they are not known."""
        order: int | None = packet.dts if packet.dts is not None else packet.pts
        shown: int | None = packet.pts if packet.pts is not None else packet.dts
        if order is None or shown is None:
            if self._end_s is None:
                return None
            start_s = self._end_s - self.shifts_s[-1]
        else:
            start_s, order_s = Fraction(shown * self.time_base), Fraction(order * self.time_base)
            least_s = max(2 * self._period_s, _MIN_STEP_BACK_S)
            if self._last_s is not None and self._end_s is not None and self._last_s - order_s > least_s:
                self.part += 1
                self.shifts_s.append(self._end_s - start_s)
            self._last_s = order_s
        length_s = Fraction(packet.duration or 0) * self.time_base or self._period_s
        end_s = start_s + length_s
        moved_s = end_s + self.shifts_s[-1]
        self._end_s = moved_s if self._end_s is None else max(self._end_s, moved_s)
        return start_s, end_s
