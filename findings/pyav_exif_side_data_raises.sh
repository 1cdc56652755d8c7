#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): the frame of a JPEG with an EXIF block has side data of a type that PyAV's enum lacks, so
# reading VideoFrame.side_data raises ValueError. The picture itself decodes.
# Seen: ValueError: 31 is not a valid Type.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6 pillow==12.3.0
venv/bin/python - <<'PY'
import av
from PIL import Image

exif = Image.Exif()
exif[0x0112] = 6  # orientation
Image.new("RGB", (64, 48), "red").save("a.jpg", exif=exif)
with av.open("a.jpg") as container:
    frame = next(container.decode(video=0))
size = frame.width, frame.height
try:
    said = f"{len(list(frame.side_data))} entries of side data"
except ValueError as error:
    said = f"ValueError: {error}"
same = size == (64, 48) and said.startswith("ValueError: 31 is not a valid")
print(f"{'as found' if same else 'changed'}: a frame of {size[0]}x{size[1]}, {said}")
raise SystemExit(not same)
PY
