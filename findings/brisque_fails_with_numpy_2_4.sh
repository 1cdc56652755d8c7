#!/usr/bin/env bash
# brisque 0.2.0 takes float() of arrays of one element, which numpy 2.4 refuses: no image gets a score.
# Seen: TypeError "only 0-dimensional arrays can be converted to Python scalars".
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check brisque==0.2.0 numpy==2.4.6 opencv-python-headless==5.0.0.93
venv/bin/python - <<'PY'
import numpy as np
from brisque import BRISQUE

image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
try:
    found = f"score {BRISQUE(url=False).score(image):.1f}"
except TypeError as error:
    found = f"TypeError: {error}"
same = found.startswith("TypeError: only 0-dimensional arrays")
print(f"{'as found' if same else 'changed'}: {found}")
raise SystemExit(not same)
PY
