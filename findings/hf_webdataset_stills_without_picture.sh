#!/usr/bin/env bash
# Hugging Face datasets 5.2.0, builder "webdataset": columns are those of the first samples of the first tar. Where later
# tars hold samples of another suffix, their rows come out with None for the column and without their own data, and
# nothing is said.
# Seen: 3 samples of mp4 and 2 of png: 5 rows, columns of mp4 alone, 2 rows with mp4 None; no png anywhere.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1
HF_HOME="$scratch/hf" HF_HUB_OFFLINE=1 venv/bin/python - 2>/dev/null <<'PY' | grep -E '^(as found|changed)'
import io
import tarfile

import datasets


def write(path, suffix, keys):
    with tarfile.open(path, "w") as tar:
        for key in keys:
            for name, data in ((f"{key}.{suffix}", b"media of " + key.encode()), (f"{key}.txt", key.encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


write("a.tar", "mp4", ["v0", "v1", "v2"])
write("b.tar", "png", ["s0", "s1"])
rows = datasets.load_dataset("webdataset", data_files=["a.tar", "b.tar"], split="train", streaming=True)
if rows.features and "mp4" in rows.features:
    rows = rows.cast_column("mp4", datasets.Value("binary"))
rows = list(rows)
columns = sorted({name for row in rows for name in row if not name.startswith("__")})
empty = sum(row.get("mp4") is None for row in rows)
same = (len(rows), columns, empty) == (5, ["mp4", "txt"], 2)
print(f"{'as found' if same else 'changed'}: {len(rows)} rows, columns {columns}, {empty} without media")
raise SystemExit(not same)
PY
