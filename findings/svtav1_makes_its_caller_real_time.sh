#!/usr/bin/env bash
# Where a process runs as root, as in most containers, opening the AV1 encoder of PyAV 18.1.0's wheel (SVT-AV1 4.1.0) gives the calling thread the real-time policy
# SCHED_FIFO with priority 99, and it stays so after the file is closed. Child processes inherit it. A real-time thread never gives way to others: beside a Ray
# cluster that such a process starts, the raylet and the control store get no processor and nodes count as dead. x264, x265 and libvpx leave the policy alone.
# Remedy: put the policy back after the encoder is open (os.sched_setscheduler for each thread), or encode without CAP_SYS_NICE.
# Seen as root: libx264 0 0, libx265 0 0, libvpx-vp9 0 0, libsvtav1 1 1 (policy of this thread, and of a child, after the file is closed; 1 is SCHED_FIFO).
set -euo pipefail
test "$(id -u)" = 0 || { echo "run this as root: SVT-AV1 cannot raise the priority of others"; exit 2; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6
seen=$(SVT_LOG=1 venv/bin/python - 2>/dev/null <<'PY'
import io
import os
import subprocess
import sys

import av
import numpy as np

CHILD = "import os; print(os.sched_getscheduler(0))"
found = []
for codec in ("libx264", "libx265", "libvpx-vp9", "libsvtav1"):
    with av.open(io.BytesIO(), "w", format="matroska") as output:
        stream = output.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((96, 128, 3), 40 * number, np.uint8))
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    found.append(f"{codec} {os.sched_getscheduler(0)} {child.stdout.strip()}")
print(", ".join(found))
PY
)
if [ "$seen" = "libx264 0 0, libx265 0 0, libvpx-vp9 0 0, libsvtav1 1 1" ]; then state="as found"; else state="changed"; fi
echo "$state: $seen"
[ "$state" = "as found" ]
