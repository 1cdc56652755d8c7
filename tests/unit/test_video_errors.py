"""Each problem with a file has an error code, and its message names the file and the remedy."""

import os
import pickle

import av
import cv2
import numpy as np
import pytest

from video.errors import REMEDIES, VideoError, VideoErrorCode
from video.frames import read_frames
from video.probe import probe


def write_video(path, *, count=48, faststart=True):
    noise = np.random.default_rng(0)
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=12, options={"bf": "0", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for pts in range(count):
            frame = av.VideoFrame.from_ndarray(noise.integers(0, 256, (64, 64, 3), np.uint8), format="rgb24")
            frame.pts = pts
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for pts in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, pts * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def error_of(read, path):
    with pytest.raises(VideoError) as caught:
        read(path)
    error = caught.value
    assert str(path) in str(error)
    assert error.remedy == REMEDIES[error.code]
    assert error.remedy in str(error)
    return error


def read_all(path):
    return list(read_frames(path))


@pytest.mark.parametrize("read", [probe, read_all])
def test_files_that_do_not_open(tmp_path, read):
    empty, text, folder = tmp_path / "empty.mp4", tmp_path / "text.mp4", tmp_path / "folder.mp4"
    empty.touch()
    text.write_text("Dear reader, this is a letter and not a film.\n" * 50)
    folder.mkdir()
    assert error_of(read, tmp_path / "gone.mp4").code == VideoErrorCode.VANISHED
    assert error_of(read, empty).code == VideoErrorCode.EMPTY_FILE
    assert error_of(read, text).code == VideoErrorCode.NOT_MEDIA
    assert error_of(read, folder).code == VideoErrorCode.UNREADABLE
    assert error_of(read, write_sound(tmp_path / "sound.m4a")).code == VideoErrorCode.NO_VIDEO_STREAM


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_without_permission(tmp_path):
    path = write_video(tmp_path / "secret.mp4", count=2)
    path.chmod(0)
    assert error_of(probe, path).code == VideoErrorCode.UNREADABLE


def test_without_its_index(tmp_path):
    path = write_video(tmp_path / "cut.mp4", faststart=False)
    path.write_bytes(path.read_bytes()[:20000])
    assert error_of(probe, path).code == VideoErrorCode.TRUNCATED


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_without_its_end_gives_the_frames_before(tmp_path, share):
    path = write_video(tmp_path / "cut.mp4")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert probe(path).duration_s == pytest.approx(4.0)
    seen = []

    def read(path):
        seen.extend(frame.pts for frame in read_frames(path))

    error = error_of(read, path)
    assert error.code == VideoErrorCode.TRUNCATED
    assert "missing" in str(error)
    assert 48 * share - 4 < len(seen) < 48


def test_broken_in_the_middle(tmp_path):
    path = write_video(tmp_path / "broken.mp4")
    media = bytearray(path.read_bytes())
    middle = len(media) // 2
    media[middle : middle + 8000] = b"\xff" * 8000
    path.write_bytes(media)
    error = error_of(read_all, path)
    assert error.code == VideoErrorCode.DECODE_ERROR
    assert "after 1" in error.problem or "after 2" in error.problem


def test_half_a_picture(tmp_path):
    path = tmp_path / "half.png"
    picture = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))[
        1
    ].tobytes()
    path.write_bytes(picture[: len(picture) // 8])
    assert error_of(read_all, path).code == VideoErrorCode.TRUNCATED


def test_a_whole_file_is_fine(tmp_path):
    assert len(read_all(write_video(tmp_path / "whole.mp4"))) == 48


def test_a_playlist_reads_no_other_file(tmp_path):
    write_video(tmp_path / "inside.ts", count=12)
    playlist = tmp_path / "list.mp4"
    playlist.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nhttp://127.0.0.1:9/inside.ts\n#EXT-X-ENDLIST\n"
    )
    assert error_of(probe, playlist).code == VideoErrorCode.NOT_MEDIA


def test_errors_cross_processes():
    error = VideoError(VideoErrorCode.TRUNCATED, "a.mp4", "half is missing")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.code, copy.path, copy.remedy, str(copy)) == (
        error.code,
        error.path,
        error.remedy,
        str(error),
    )
