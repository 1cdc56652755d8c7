#!/usr/bin/env bash
# Hugging Face datasets 5.2.0: `Dataset.to_parquet` of rows whose videos are files writes their paths and no bytes, without a
# word: the file counts its rows anywhere, and fails where the paths are not. `save_to_disk` copies the bytes.
# Seen: to_parquet: 0 of 3 rows with bytes; save_to_disk: 3 of 3.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1
HF_HOME="$scratch/hf" HF_HUB_OFFLINE=1 venv/bin/python - 2>/dev/null <<'PY' | grep -E '^(as found|changed)'
from pathlib import Path

import datasets
import pyarrow.parquet as pq

Path("clips").mkdir()
contents = {f"{number:04d}.mp4": bytes([number]) * 5000 for number in range(1, 4)}
for name, content in contents.items():
    Path("clips", name).write_bytes(content)
rows = datasets.load_dataset("videofolder", data_dir="clips", split="train")
rows.to_parquet("out.parquet")
videos = pq.read_table("out.parquet")["video"].to_pylist()
written = sum(video["bytes"] in contents.values() for video in videos)
rows.save_to_disk("saved")
saved = datasets.load_from_disk("saved").cast_column("video", datasets.Video(decode=False))
kept = sum(row["video"]["bytes"] in contents.values() for row in saved)
same = (len(videos), written, kept) == (3, 0, 3)
shown = f"to_parquet: {written} of {len(videos)} rows with bytes; save_to_disk: {kept} of {len(saved)}"
print(f"{'as found' if same else 'changed'}: {shown}")
raise SystemExit(not same)
PY
