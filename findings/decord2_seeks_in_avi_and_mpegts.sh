#!/usr/bin/env bash
# decord2 3.4.0: frames of H.264 with B-frames and a key frame every 12, asked for from the last to the first. In MP4
# each is the frame of that number. In AVI and in an MPEG transport stream others come, without an error. PyAV reads
# the same 48 frames of all three in sequence.
# Seen: of 47 frames wrong: MP4 0, AVI 36, MPEG-TS 47.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6 decord2==3.4.0
venv/bin/python - <<'PY'
import av
import decord
import numpy as np

def write(path, codec, width, height, frames=48, b_frames=0):
    """Encode a white bar that moves right over a ground that grows brighter."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.max_b_frames, stream.codec_context.gop_size = b_frames, 12
        for index in range(frames):
            image = np.full((height, width, 3), 4 * index, np.uint8)
            image[:, 2 * index % (width - 8) :][:, :8] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def wrong(path):
    """Ask for 47 frames, the last first; return how many are not the frame of that number."""
    with av.open(path) as container:
        true = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    reader, count = decord.VideoReader(path), 0
    for index in range(46, -1, -1):
        frame = reader[index].asnumpy().astype(int)
        nearest = min(range(len(true)), key=lambda other: np.abs(true[other] - frame).sum())
        count += nearest != index
    return count


for name in ("a.mp4", "a.avi", "a.ts"):
    write(name, "libx264", 128, 96, b_frames=2)
mp4, avi, ts = wrong("a.mp4"), wrong("a.avi"), wrong("a.ts")
same = mp4 == 0 and avi > 0 and ts > 0
print(f"{'as found' if same else 'changed'}: of 47 frames wrong: MP4 {mp4}, AVI {avi}, MPEG-TS {ts}")
raise SystemExit(not same)
PY
