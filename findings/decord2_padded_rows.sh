#!/usr/bin/env bash
# decord2 3.4.0 takes the bytes of a row divided by the width for the number of channels. FFmpeg pads a row of RGB to a
# multiple of 64 bytes, so a width whose padded row is a multiple of it gives frames with more than 3 channels, and
# get_batch raises. A width of 128 needs no padding and is read rightly.
# Seen: 96x96 gives (96, 96, 4) and DECORDError "The size must exactly match"; 128x96 gives (96, 128, 3) and a batch.
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
        stream.codec_context.max_b_frames = b_frames
        for index in range(frames):
            image = np.full((height, width, 3), 4 * index, np.uint8)
            image[:, 2 * index % (width - 8) :][:, :8] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def read(path):
    """Return the shape of a frame, and of a batch of two or the error that it raises."""
    reader = decord.VideoReader(path)
    try:
        batch = reader.get_batch([0, 1]).shape
    except decord.DECORDError as error:
        batch = "The size must exactly match" if "size must exactly match" in str(error) else str(error)
    return reader[0].asnumpy().shape, batch


write("96.mp4", "libx264", 96, 96)
write("128.mp4", "libx264", 128, 96)
found = read("96.mp4"), read("128.mp4")
same = found == (((96, 96, 4), "The size must exactly match"), ((96, 128, 3), (2, 96, 128, 3)))
print(f"{'as found' if same else 'changed'}: 96x96 {found[0]}, 128x96 {found[1]}")
raise SystemExit(not same)
PY
