"""GIF animations: every frame, its time and its colours come back."""

import av
import numpy as np

from video.gif import encode_gif


def moving_square(frames: int) -> np.ndarray:
    frames_THWC = np.full((frames, 32, 48, 3), (40, 60, 90), np.uint8)
    for t in range(frames):
        frames_THWC[t, 8:20, t : t + 12] = (255, 10 * t, 0)
    return frames_THWC


def test_frames_times_and_colours_come_back(tmp_path):
    frames_THWC = moving_square(17)
    encode_gif(frames_THWC, 8, tmp_path / "a.gif")
    content = (tmp_path / "a.gif").read_bytes()
    assert content.startswith(b"GIF89a")
    assert b"NETSCAPE2.0" in content  # it repeats
    with av.open(str(tmp_path / "a.gif")) as container:
        decoded = [
            (float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]
    assert np.array_equal([image for _, image in decoded], frames_THWC)
    times_s = np.array([time_s for time_s, _ in decoded])
    assert np.abs(times_s - np.arange(17) / 8).max() <= 0.005 + 1e-9
    encode_gif(frames_THWC, 8, tmp_path / "b.gif")
    assert (tmp_path / "b.gif").read_bytes() == content


def test_one_frame_is_a_still(tmp_path):
    encode_gif(moving_square(1), 8, tmp_path / "a.gif")
    with av.open(str(tmp_path / "a.gif")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 1
