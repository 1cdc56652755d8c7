#!/usr/bin/env bash
# decord 0.6.0 (2021) cannot open AV1; decord2 3.4.0, another package with the same `import decord`, can. Both read H.264.
# Seen: decord 0.6.0 reads 48 frames of H.264 and raises DECORDError for AV1; decord2 3.4.0 reads 48 of both.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6
venv/bin/pip install -q --disable-pip-version-check --no-deps --target old decord==0.6.0
venv/bin/pip install -q --disable-pip-version-check --no-deps --target new decord2==3.4.0
SVT_LOG=1 venv/bin/python - <<'PY'
import av
import numpy as np

for path, codec in (("h264.mp4", "libx264"), ("av1.mp4", "libsvtav1")):
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in range(48):
            image = np.full((96, 128, 3), 4 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
PY
cat > read.py <<'PY'
import sys

import decord

for path in sys.argv[1:]:
    try:
        print(len(decord.VideoReader(path)), end=" ")
    except decord.DECORDError:
        print("DECORDError", end=" ")
PY
old=$(PYTHONPATH=old venv/bin/python read.py h264.mp4 av1.mp4 2>/dev/null)
new=$(PYTHONPATH=new venv/bin/python read.py h264.mp4 av1.mp4 2>/dev/null)
if [ "$old" = "48 DECORDError " ] && [ "$new" = "48 48 " ]; then state="as found"; else state="changed"; fi
echo "$state: H.264 and AV1: decord 0.6.0 $old, decord2 3.4.0 $new"
[ "$state" = "as found" ]
