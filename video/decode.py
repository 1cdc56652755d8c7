"""Decode the frames of an open file in sequence with exact timestamps.

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
from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from video.alpha import alpha_decoder
from video.container import DECODE_ERRORS, Opened, describe_error
from video.crop import Cropper
from video.errors import VideoError, VideoErrorCode
from video.heif import decode_photo
from video.interlace import DecodedFrame, Deinterlacer
from video.packets import PacketReader
from video.truncation import is_truncated

LARGEST_PTS = 1 << 62
"""A larger timestamp is treated as damage."""
MAX_ASPECT = 16
"""A pixel that is wider or higher than this is taken for square."""
_LIMITED_GRAY = ("h264", "hevc", "vvc")
"""Codecs whose gray frames are in limited range unless they state otherwise."""
_MAX_REMEMBERED = 256
"""Packets whose order is remembered until their frames come out."""


def decode(
    opened: Opened, *, skip_damage: bool = False, from_pts: int | None = None
) -> Iterator[DecodedFrame]:
    """Yield each frame, cropped and deinterlaced, with strictly increasing timestamps.

    Args:
        skip_damage: what cannot be decoded is left out, and every frame that refers to it is yielded with
            `damaged` set, up to the next key frame. Without, it is an error.
        from_pts: after a seek, the first frame that counts: those before it may lack what they refer to.

    Raises:
        VideoError: after the last frame, if the end of the file is missing or damaged.
    """
    if opened.photo is not None:
        yield DecodedFrame(decode_photo(opened.photo, opened.container, opened.name), 0)
        return
    frames = FrameReader(opened, skip_damage, from_pts)
    cropper, deinterlacer = Cropper(opened.header.margins), Deinterlacer()
    damage: Exception | None = None
    is_still = opened.is_still
    try:
        for frame in frames:
            for shown in deinterlacer.push(frame):
                yield cropper(shown)
            if is_still:  # ignore the preview, second view or short video that a photo may carry
                break
        for shown in deinterlacer.flush():
            yield cropper(shown)
    except DECODE_ERRORS as error:
        damage = error
        with contextlib.suppress(*DECODE_ERRORS):
            for shown in deinterlacer.flush():
                yield cropper(shown)
    _raise_if_broken(frames, opened, damage)


def _raise_if_broken(frames: "FrameReader", opened: Opened, damage: Exception | None) -> None:
    packets, path = frames.packets, opened.name
    if opened.is_still:
        _raise_if_still_is_broken(frames, opened, damage)
        return
    with contextlib.suppress(*DECODE_ERRORS):  # after an error: measure how far the packets reach
        for _ in frames.remaining:
            pass
    if packets.ends_early:
        missing_s = packets.missing_s
        problem = f"the last {missing_s:.2f} s are missing" if missing_s else "its end is missing"
        raise VideoError(VideoErrorCode.TRUNCATED, path, problem) from damage
    if packets.is_left_unread:
        problem = "another file was joined to it with its header, and what follows cannot be read right"
        raise VideoError(
            VideoErrorCode.DECODE_ERROR, path, problem, "join them with FFmpeg, or list them apart"
        )
    if damage is not None:
        last_pts = frames.last_pts
        where = "at its start" if last_pts is None else f"after {float(last_pts * packets.time_base):.2f} s"
        problem = f"cannot be decoded {where}: {describe_error(damage)}"
        raise VideoError(VideoErrorCode.DECODE_ERROR, path, problem) from damage
    if frames.last_pts is None and frames.first_error is not None:
        problem = f"cannot be decoded: {describe_error(frames.first_error)}"
        raise VideoError(VideoErrorCode.DECODE_ERROR, path, problem) from frames.first_error
    if frames.last_pts is None:
        raise VideoError(VideoErrorCode.NO_FRAMES, path, "not one frame could be decoded")


def _raise_if_still_is_broken(frames: "FrameReader", opened: Opened, damage: Exception | None) -> None:
    if frames.last_pts is None:
        damage = damage or frames.first_error
    if damage is not None:
        problem = "the picture is cut short or broken"
        raise VideoError(VideoErrorCode.TRUNCATED, opened.name, problem) from damage
    if frames.last_pts is None:
        raise VideoError(VideoErrorCode.NO_FRAMES, opened.name, "not one frame could be decoded")
    if is_truncated(opened.path_or_bytes):
        raise VideoError(VideoErrorCode.TRUNCATED, opened.name, "its end is missing")


class FrameReader:
    """Decode the packets of a stream; give each frame its time, pixel aspect and damage."""

    def __init__(self, opened: Opened, skip_damage: bool, from_pts: int | None) -> None:
        self.packets, self.skip_damage = PacketReader(opened), skip_damage
        self.remaining = iter(self.packets)
        self.stream = opened.stream
        self.context: VideoCodecContext = alpha_decoder(opened.stream) or opened.stream.codec_context
        self.is_limited_gray = opened.stream.codec_context.name in _LIMITED_GRAY
        self.aspects = _Aspects(opened)
        self.damage = _Damage(from_pts)
        self.first_error: Exception | None = None
        self.last_pts: int | None = None
        self.period_pts = max(1, round(self.packets.period_pts))
        self.num_packets, self.num_frames = 0, 0
        self.orders: dict[int, int] = {}
        """Number of the packet, in decoding order, by its pts."""

    def __iter__(self) -> Iterator[DecodedFrame]:
        for packet, is_incomplete in self.remaining:
            self.num_packets += 1
            if packet.pts is not None:
                self.orders[packet.pts] = self.num_packets
                if len(self.orders) > _MAX_REMEMBERED:
                    del self.orders[next(iter(self.orders))]
            if is_incomplete:
                self._damaged(ValueError("the file lacks some bytes within"))
            yield from self._decoded(packet)
            if packet.is_keyframe:
                self.aspects.update(self.num_packets)
        yield from self._decoded(None)
        yield from self.damage.flush()

    def _decoded(self, packet: "av.Packet[VideoStream] | None") -> Iterator[DecodedFrame]:
        """Yield what comes out with a packet; with None, what the decoder still holds."""
        try:
            decoded = decode_packet(self.context, packet)
        except MemoryError:
            raise
        except DECODE_ERRORS as error:
            self._damaged(error)
            return
        for frame in decoded:
            order = self._order(frame)
            self.num_frames += 1
            pts = self._pts_of(frame)
            if self.is_limited_gray and frame.color_range == ColorRange.UNSPECIFIED:
                frame.color_range = ColorRange.MPEG if frame.format.name.startswith("gray") else 0
            shown = DecodedFrame(frame, pts, self.aspects.at(order))
            yield from self.damage.push(shown, order, self.context.reorder_depth)

    def _damaged(self, error: Exception) -> None:
        if not self.skip_damage:
            raise error
        self.first_error = self.first_error or error
        self.damage.begin(self.num_packets)

    def _order(self, frame: VideoFrame) -> int:
        """Return the number of a frame's packet; without timestamps, of as many packets as frames."""
        return self.num_frames + 1 if frame.pts is None else self.orders.get(frame.pts, self.num_packets)

    def _pts_of(self, frame: VideoFrame) -> int:
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


class _Damage:
    """Mark the frames that refer to damage.

    Damage begins with a packet and ends with the next key frame behind it. Frames that the decoder flags come
    out after frames that refer to them, so frames wait for as many as the decoder may reorder.
    """

    def __init__(self, from_pts: int | None) -> None:
        self.from_pts = from_pts
        """While set, flagged frames before it may be those that a seek left incomplete."""
        self.first: int | None = None
        """Order of the first damaged packet; None while there is no damage."""
        self.is_shown = False
        """Whether a frame was marked since: then all are, up to the key frame."""
        self.queue: deque[tuple[DecodedFrame, int]] = deque()

    def begin(self, order: int) -> None:
        self.first = order if self.first is None else min(order, self.first)

    def push(self, shown: DecodedFrame, order: int, depth: int) -> list[DecodedFrame]:
        """Add a frame and return those for which nothing can change."""
        frame = shown.frame
        if self.from_pts is not None and (shown.pts >= self.from_pts or _is_clean_key(frame)):
            self.from_pts = None
        if frame.is_corrupt and self.from_pts is None:
            self.begin(order)
            self.queue = deque((self._marked(each, number), number) for each, number in self.queue)
        elif self.first is not None and _is_clean_key(frame) and order > self.first:
            self.first, self.is_shown = None, False
        self.queue.append((self._marked(shown, order), order))
        return [self.queue.popleft()[0] for _ in range(len(self.queue) - depth)]

    def flush(self) -> Iterator[DecodedFrame]:
        while self.queue:
            yield self.queue.popleft()[0]

    def _marked(self, shown: DecodedFrame, order: int) -> DecodedFrame:
        if self.first is None or (order < self.first and not self.is_shown):
            return shown
        self.is_shown = True
        return shown._replace(damaged=True)


def _is_clean_key(frame: VideoFrame) -> bool:
    return frame.key_frame and not frame.is_corrupt


class _Aspects:
    """The width of a pixel over its height, which a codec may change at a key frame."""

    def __init__(self, opened: Opened) -> None:
        self.context = opened.stream.codec_context
        self.changes = [(0, pixel_aspect(opened.stream))]
        """Order of the first packet, and the aspect from there on."""
        stated_by_container = _plausible(self.context.sample_aspect_ratio) != self.changes[0][1]
        self.is_fixed = stated_by_container or not opened.may_change_aspect

    def update(self, order: int) -> None:
        """Note a change with the key frame of this order."""
        if self.is_fixed:
            return
        aspect = _plausible(self.context.sample_aspect_ratio)
        if aspect != self.changes[-1][1]:
            self.changes.append((order, aspect))

    def at(self, order: int) -> Fraction:
        """Return the aspect of the frame of a packet."""
        if len(self.changes) == 1:
            return self.changes[0][1]
        return next(aspect for first, aspect in reversed(self.changes) if first <= order)


def decode_packet(context: VideoCodecContext, packet: "av.Packet[VideoStream] | None") -> list[VideoFrame]:
    """Return the frames that come out with a packet; with None, those that the decoder still holds."""
    return context.decode(packet)  # pyright: ignore[reportUnknownMemberType]  # the stubs leave Packet open


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the width of a pixel over its height; 1 if it is not stated or implausible."""
    return _plausible(stream.sample_aspect_ratio)


def _plausible(aspect: Fraction | None) -> Fraction:
    return aspect if aspect and Fraction(1, MAX_ASPECT) <= aspect <= MAX_ASPECT else Fraction(1)
