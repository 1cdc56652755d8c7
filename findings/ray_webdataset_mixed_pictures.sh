#!/usr/bin/env bash
# ray.data.read_webdataset of Ray 2.60.0 cannot read a tar whose samples hold pictures of different suffixes: it makes a
# column of each, and the missing values cannot become a tensor. With decoder=None the same tar is read.
# Seen: ValueError "Tried to cast column jpg to the TensorArray tensor extension type but the conversion failed"; 3 rows
# with decoder=None.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check 'ray[data]==2.60.0' pandas==3.1.1 pyarrow==26.0.1 pillow==12.3.0 webdataset==1.0.2
venv/bin/python - 2>/dev/null <<'PY' | grep -E '^(as found|changed)'
import io
import logging
import tarfile

import ray
from PIL import Image

with tarfile.open("a.tar", "w") as tar:
    for index, suffix in enumerate(("jpg", "png", "png")):
        data = io.BytesIO()
        Image.new("RGB", (16, 16), "red").save(data, {"jpg": "JPEG", "png": "PNG"}[suffix])
        member = tarfile.TarInfo(f"{index:03d}.{suffix}")
        member.size = len(data.getvalue())
        tar.addfile(member, io.BytesIO(data.getvalue()))
ray.init(num_cpus=1, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
ray.data.DataContext.get_current().enable_progress_bars = False


def read(**options):
    try:
        return len(ray.data.read_webdataset("a.tar", **options).take_all())
    except Exception as error:
        is_cast = "to the TensorArray tensor extension type but the conversion failed" in str(error)
        return "a cast to tensors fails" if is_cast else type(error).__name__


decoded, raw = read(), read(decoder=None)
same = (decoded, raw) == ("a cast to tensors fails", 3)
print(f"{'as found' if same else 'changed'}: decoded: {decoded}; decoder=None: {raw} rows")
raise SystemExit(not same)
PY
