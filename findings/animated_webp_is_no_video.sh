#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1) and cv2.VideoCapture of OpenCV 5.0.0 read no frame of an animated WebP, in which Pillow 12.3.0
# and cv2.imreadanimation find all of them.
# Seen: InvalidDataError from PyAV, 0 frames from VideoCapture, 5 from the other two.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6 pillow==12.3.0 opencv-python-headless==5.0.0.93
venv/bin/python - <<'PY'
import av
import cv2
from PIL import Image

frames = [Image.new("RGB", (64, 48), (50 * index, 100, 200)) for index in range(5)]
frames[0].save("a.webp", save_all=True, append_images=frames[1:], duration=100)
try:
    with av.open("a.webp") as container:
        by_pyav = f"{sum(1 for _ in container.decode(video=0))} frames"
except av.error.InvalidDataError:
    by_pyav = "InvalidDataError"
capture, by_capture = cv2.VideoCapture("a.webp"), 0
while capture.read()[0]:
    by_capture += 1
by_pillow = Image.open("a.webp").n_frames
by_animation = len(cv2.imreadanimation("a.webp")[1].frames)
found = by_pyav, by_capture, by_pillow, by_animation
same = found == ("InvalidDataError", 0, 5, 5)
print(f"{'as found' if same else 'changed'}: PyAV {by_pyav}, VideoCapture {by_capture} frames, "
      f"Pillow {by_pillow}, imreadanimation {by_animation}")
raise SystemExit(not same)
PY
