#!/usr/bin/env bash
# Hugging Face datasets 5.2.0: a README.md whose `configs` name a folder of videos and one of images, each with its own
# metadata.parquet. The builder of all configurations is taken from the first, so that the images load as column `video`
# of type Video, without an error before a row is decoded. The folder of images alone loads as images.
# Seen: together: videos -> video: Video, images -> video: Video; alone: images -> image: Image.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1 pillow==12.3.0
HF_HOME="$scratch/hf" HF_HUB_OFFLINE=1 venv/bin/python - 2>/dev/null <<'PY' | grep -E '^(as found|changed)'
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

folder = Path("data")
for name, ending in (("videos", "mp4"), ("images", "png")):
    (folder / name / "files").mkdir(parents=True)
    for number in range(3):
        path = folder / name / "files" / f"{number:04d}.{ending}"
        if ending == "png":
            Image.new("RGB", (16, 16), (80 * number, 0, 0)).save(path)
        else:
            path.write_bytes(b"never decoded here")
    names = [f"files/{number:04d}.{ending}" for number in range(3)]
    pq.write_table(pa.table({"file_name": names, "text": ["a", "b", "c"]}), folder / name / "metadata.parquet")
lines = ["---", "configs:"]
for name in ("videos", "images"):
    paths = [f"{name}/files/*", f"{name}/metadata.parquet"]
    lines += [f"- config_name: {name}", "  data_files:", "  - split: train", "    path:", *(f"    - {p}" for p in paths)]
(folder / "README.md").write_text("\n".join([*lines, "---", ""]))


def load(*args):
    features = datasets.load_dataset(*args, split="train").features
    return ", ".join(f"{name}: {type(kind).__name__}" for name, kind in features.items() if name != "text")


together = {name: load("data", name) for name in ("videos", "images")}
alone = load("data/images")
same = (together["videos"], together["images"], alone) == ("video: Video", "video: Video", "image: Image")
shown = ", ".join(f"{name} -> {columns}" for name, columns in together.items())
print(f"{'as found' if same else 'changed'}: together: {shown}; alone: images -> {alone}")
raise SystemExit(not same)
PY
