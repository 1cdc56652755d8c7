#!/usr/bin/env bash
# PyAV 18.1.0: reading VideoFrame.side_data ties the frame and its list of side data into a reference cycle. The
# picture of each decoded frame then lives until the garbage collector runs, not until the last reference goes.
# Seen: of 48 frames decoded with the collector off, 0 stay alive without reading side_data and 48 with it.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import gc

import av
import numpy as np

def write(path, codec, width, height, frames=48, b_frames=0):
    """Encode a white bar that moves right over a ground that grows brighter."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.max_b_frames = b_frames
        for index in range(frames):
            image = np.full((height, width, 3), 4 * index, np.uint8)
            image[:, 2 * index % (width - 8) :][:, :8] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def alive(read_side_data):
    """Decode all frames and drop each; return how many still exist."""
    gc.collect()
    gc.disable()
    with av.open("a.mp4") as container:
        for frame in container.decode(video=0):
            if read_side_data:
                frame.side_data
            del frame
    count = sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
    gc.enable()
    return count


write("a.mp4", "libx264", 128, 96)
plain, after = alive(False), alive(True)
same = (plain, after) == (0, 48)
print(f"{'as found' if same else 'changed'}: {plain} frames alive without side_data, {after} with it")
raise SystemExit(not same)
PY
