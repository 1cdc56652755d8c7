"""Keep the sound of a clip with it: as a second track of its MP4, which readers of pictures ignore.

The sound of a clip begins at its first frame and ends with its span. `copy` keeps the packets of the source,
cut at their boundaries; an edit list leaves out what lies before the first frame. `aac` decodes, cuts to the
sample, and encodes. The video track is carried over packet by packet.
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal, cast

import av
import numpy as np
from av.audio.resampler import AudioResampler

from video.audio_source import Sound, SoundPacket, open_sound
from video.container import DECODE_ERRORS, Media
from video.cut import CutClip, cut
from video.encode import REPRODUCIBLE
from video.probe import probe

AudioMode = Literal["copy", "aac"]

COPIED_CODECS = ("aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus")
"""Codecs that MP4 holds and players know there; `copy` encodes others as `aac` does."""
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_BITS_PER_S = 96_000
"""Bits per second and channel."""
_MAX_DRIFT_S = Fraction(1, 50)
"""Frames that follow each other within this time are joined without a gap: containers round times."""


def cut_with_sound(
    media: Media, spans: Sequence[tuple[int, int]], *, audio: AudioMode, **options: Any
) -> Iterator[CutClip]:
    """Cut as `video.cut.cut` does, and keep the sound of each clip; `CutClip.audio` names its codec.

    A clip of a silent source, and a still, are as `cut` returns them.

    Args:
        options: arguments of `cut`.
    """
    if not spans:
        return
    unit_s = probe(media).time_base
    with open_sound(media, spans[0][0] * unit_s) as sound:
        for clip in cut(media, spans, **options):
            if sound is None or clip.suffix != "mp4":
                yield clip
                continue
            start_s, end_s = clip.first_pts * unit_s, clip.end_pts * unit_s
            content, codec = add_sound(clip.media, sound, start_s, end_s, audio)
            yield replace(clip, media=content, audio=codec)


def add_sound(
    clip: bytes, sound: Sound, start_s: Fraction, end_s: Fraction, mode: AudioMode
) -> tuple[bytes, str]:
    """Return an MP4 with the sound of [start_s, end_s) beside its video, and the codec of the sound.

    Returns the MP4 as it is, and an empty name, if there is no sound in the span.
    """
    packets = sound.packets(start_s, end_s)
    if not any(packet.end_s > start_s for packet in packets):
        return clip, ""
    codec = sound.stream.codec_context.codec.canonical_name
    copied = mode == "copy" and codec in COPIED_CODECS
    samples_CN = None if copied else _decode(sound, packets, start_s, end_s)
    out = io.BytesIO()
    with (
        av.open(io.BytesIO(clip), "r") as opened,
        av.open(out, "w", format="mp4", options=REPRODUCIBLE) as created,
    ):
        source, target = cast(Any, opened), cast(Any, created)  # PyAV's stubs leave types of packets open
        pictures = source.streams.video[0]
        track = target.add_stream_from_template(pictures)
        track.time_base = pictures.time_base
        if samples_CN is None:
            packets_out = _copied(target, sound, packets, start_s)
        else:
            packets_out = _encoded(target, sound, samples_CN)
        video = (packet for packet in source.demux(pictures) if packet.size)
        for packet in _interleaved(video, packets_out, track):
            target.mux(packet)
    return out.getvalue(), codec if copied else "aac"


def _interleaved(video: Iterator[Any], audio: Iterator[Any], track: Any) -> Iterator[Any]:
    """Yield the packets of both tracks in order of time."""
    picture, sound = next(video, None), next(audio, None)
    while picture is not None or sound is not None:
        if sound is None or (
            picture is not None and picture.dts * picture.time_base <= sound.dts * sound.time_base
        ):
            assert picture is not None
            picture.stream = track
            yield picture
            picture = next(video, None)
        else:
            yield sound
            sound = next(audio, None)


def _copied(target: Any, sound: Sound, packets: Sequence[SoundPacket], start_s: Fraction) -> Iterator[Any]:
    track = target.add_stream_from_template(sound.stream)

    def moved() -> Iterator[Any]:
        for each in packets:
            packet = each.packet
            packet.pts = packet.dts = round((each.start_s - start_s) / packet.time_base)
            packet.stream = track
            yield packet

    return moved()


def _decode(sound: Sound, packets: Sequence[SoundPacket], start_s: Fraction, end_s: Fraction) -> np.ndarray:
    """Return the samples of a span, channels x samples, float32; silence where nothing can be decoded."""
    context = cast(Any, sound.stream.codec_context)
    context.flush_buffers()
    rate, num_channels = _rate_of(sound), min(2, context.channels or 2)
    resampler = AudioResampler(format="fltp", layout="mono" if num_channels == 1 else "stereo", rate=rate)
    samples_CN = np.zeros((num_channels, round((end_s - start_s) * rate)), np.float32)
    place = -1 << 62
    for each in packets:
        with contextlib.suppress(*DECODE_ERRORS):
            for frame in context.decode(each.packet):
                exact = round((each.time_of(frame) - start_s) * rate)
                place = exact if abs(exact - place) > _MAX_DRIFT_S * rate else place
                frame.pts = None
                for part in resampler.resample(frame):
                    part_CN = part.to_ndarray()
                    _place(samples_CN, part_CN, place)
                    place += part_CN.shape[1]
    return samples_CN


def _place(samples_CN: np.ndarray, part_CN: np.ndarray, place: int) -> None:
    """Copy samples to their place, as far as it lies inside."""
    first, last = max(0, place), min(samples_CN.shape[1], place + part_CN.shape[1])
    if first < last:
        samples_CN[:, first:last] = part_CN[:, first - place : last - place]


def _rate_of(sound: Sound) -> int:
    rate = sound.stream.codec_context.sample_rate
    return rate if rate in _AAC_RATES else 48000


def _encoded(target: Any, sound: Sound, samples_CN: np.ndarray) -> Iterator[Any]:
    rate, layout = _rate_of(sound), "mono" if samples_CN.shape[0] == 1 else "stereo"
    track = target.add_stream("aac", rate=rate, layout=layout)
    track.codec_context.bit_rate = _BITS_PER_S * samples_CN.shape[0]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples_CN), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return iter([*track.encode(frame), *track.encode(None)])
