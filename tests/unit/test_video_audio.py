"""The sound of a clip is in sync with its pictures, whatever the container, the codec and the span."""
# PyAV's stubs leave the types of streams open.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from video.audio import cut_with_sound
from video.audio_source import open_sound
from video.cut import cut
from video.probe import probe
from video.random_access import frames_at

FPS, SECONDS = 25, 5
EVENTS_S = (0.6, 1.6, 2.52, 3.8)
"""When a flash and a beep begin, each at the start of a frame."""
LENGTH_S = 0.08
FILES = {
    "aac.mp4": ("libx264", "aac", 44100, "mono"),
    "mp3.mkv": ("libx264", "libmp3lame", 48000, "stereo"),
    "opus.webm": ("libvpx", "libopus", 48000, "stereo"),
    "pcm.mov": ("libx264", "pcm_s16le", 22050, "mono"),
    "ac3.ts": ("libx264", "ac3", 48000, "stereo"),
    "mp2.mpg": ("mpeg2video", "mp2", 44100, "stereo"),
    "wma.asf": ("msmpeg4v3", "wmav2", 44100, "stereo"),
}
COPIED = {"aac.mp4": "aac", "mp3.mkv": "mp3", "opus.webm": "opus", "ac3.ts": "ac3", "mp2.mpg": "mp2"}


def is_event(time_s: np.ndarray) -> np.ndarray:
    return np.any([(time_s >= s - 1e-6) & (time_s < s + LENGTH_S - 1e-6) for s in EVENTS_S], axis=0)


def write(path: Path, video: str, audio: str, rate: int, layout: str) -> None:
    """Write a dark video that flashes and a silent track that beeps, both at `EVENTS_S`."""
    times_N = np.arange(SECONDS * rate) / rate
    beeps_N = np.where(is_event(times_N), 0.8 * np.sin(2 * np.pi * 1000 * times_N), 0).astype(np.float32)
    samples_CN = np.stack([beeps_N] * (1 if layout == "mono" else 2))
    with av.open(str(path), "w") as out:
        pictures = out.add_stream(video, rate=FPS, options={"g": "12"})
        pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        sound = out.add_stream(audio, rate=rate, layout=layout, bit_rate=128_000)
        for index in range(SECONDS * FPS):
            level = 235 if is_event(np.array([index / FPS]))[0] else 20 + index % 5
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            out.mux(pictures.encode(frame.reformat(format="yuv420p")))
            first = index * rate // FPS
            part_CN = np.ascontiguousarray(samples_CN[:, first : (index + 1) * rate // FPS])
            beep = av.AudioFrame.from_ndarray(part_CN, format="fltp", layout=layout)
            beep.sample_rate, beep.pts, beep.time_base = rate, first, Fraction(1, rate)
            out.mux(sound.encode(beep))
        out.mux(pictures.encode(None))
        out.mux(sound.encode(None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    for name, about in FILES.items():
        write(folder / name, *about)
    return folder


def flashes(content: bytes) -> list[float]:
    """Return when each flash begins, in seconds."""
    with av.open(io.BytesIO(content)) as container:
        shown = [(float(f.pts * f.time_base), f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    lit = [(0.0, False), *((time_s, pixels.mean() > 128) for time_s, pixels in shown)]
    return [time_s for (_, before), (time_s, now) in pairwise(lit) if now and not before]


def beeps(content: bytes) -> list[float]:
    """Return when each beep begins, in seconds."""
    found: list[float] = []
    with av.open(io.BytesIO(content)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray()
            packed = not frame.format.is_planar
            samples_CN = samples.reshape(frame.samples, -1).T if packed else samples
            scale = 32768.0 if frame.format.name.startswith("s16") else 1.0
            loud = np.flatnonzero(np.abs(samples_CN / scale).max(0) > 0.3)
            times = float(frame.pts * frame.time_base) + loud / frame.sample_rate
            for time_s in times.tolist():
                if not found or time_s - found[-1] > 0.4:
                    found.append(time_s)
    return found


def decoded(content: bytes) -> list[tuple[float, bytes]]:
    with av.open(io.BytesIO(content)) as container:
        return [(float(f.pts * f.time_base), f.to_ndarray().tobytes()) for f in container.decode(video=0)]


@pytest.mark.parametrize("mode", ["copy", "aac"])
@pytest.mark.parametrize("name", FILES)
def test_every_beep_is_at_its_flash_in_spans_and_windows(folder, name, mode):
    path = str(folder / name)
    about = probe(path)
    spans = [(10, 53), (53, 120)]
    unit = 1 / (FPS * about.time_base)
    spans_pts = [tuple(about.start_pts + round(side * unit) for side in span) for span in spans]
    options: Any = {"windows": [1, 2]}
    clips = [*cut_with_sound(path, spans_pts, audio=mode, **options)]
    plain = [*cut(path, spans_pts, **options)]
    assert len(clips) == len(plain) == 3
    assert {clip.audio for clip in clips} == {COPIED.get(name, "aac") if mode == "copy" else "aac"}
    seen = 0
    for clip, silent in zip(clips, plain, strict=True):
        assert decoded(clip.media) == decoded(silent.media)
        pairs = [*zip(flashes(clip.media), beeps(clip.media), strict=True)]
        assert all(abs(flash - beep) < 0.5 / FPS for flash, beep in pairs), pairs
        seen += len(pairs)
    assert seen == len(EVENTS_S)


def test_readers_of_pictures_see_no_difference(folder):
    path = str(folder / "aac.mp4")
    about = probe(path)
    [clip] = cut_with_sound(path, [(0, round(2 / about.time_base))], audio="aac")
    [plain] = cut(path, [(0, round(2 / about.time_base))])
    both = [probe(clip.media), probe(plain.media)]
    assert both[0].has_audio
    assert not both[1].has_audio
    assert both[0].time_base == both[1].time_base
    seen, expected = (frames_at(each.media, [3, 40]).frames_NHWC for each in (clip, plain))
    assert np.array_equal(seen, expected)


def test_a_silent_file_and_a_span_before_the_sound_stay_as_they_are(folder, tmp_path):
    [plain] = cut(str(folder / "aac.mp4"), [(0, 12800)])
    (tmp_path / "silent.mp4").write_bytes(plain.media)
    [again] = cut(str(tmp_path / "silent.mp4"), [(0, 6400)])
    [silent] = cut_with_sound(str(tmp_path / "silent.mp4"), [(0, 6400)], audio="copy")
    assert (silent.media, silent.audio) == (again.media, "")


def test_the_sound_of_a_file_joined_end_to_end_goes_on(folder, tmp_path):
    joined = tmp_path / "joined.ts"
    joined.write_bytes((folder / "ac3.ts").read_bytes() * 2)
    start_s = probe(str(folder / "ac3.ts")).start_pts / Fraction(90000)
    with open_sound(str(joined), Fraction(0)) as sound:
        assert sound is not None
        packets = sound.packets(Fraction(0), Fraction(100))
    starts = [packet.start_s - start_s for packet in packets]
    assert all(0 < after - before < 0.1 for before, after in pairwise(starts))
    assert abs(starts[-1] - 2 * SECONDS) < 0.1
