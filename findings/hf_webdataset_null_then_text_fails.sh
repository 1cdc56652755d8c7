#!/usr/bin/env bash
# Hugging Face datasets 5.2.0, builder "webdataset", not streaming: where the JSON members of the first samples hold null
# for a field, its type is fixed as null, and a later sample with a text there ends the load. Streaming reads the same tar.
# Seen: DatasetGenerationError, from "Couldn't cast array of type string to null"; streaming: 1200 rows.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1
HF_HOME="$scratch/hf" HF_HUB_OFFLINE=1 venv/bin/python - 2>/dev/null <<'PY' | grep -E '^(as found|changed)'
import io
import json
import tarfile

import datasets

with tarfile.open("a.tar", "w") as tar:
    for number in range(1200):
        data = json.dumps({"medium": "a text" if number == 1100 else None}).encode()
        member = tarfile.TarInfo(f"{number:06d}.json")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def load(streaming):
    try:
        rows = datasets.load_dataset("webdataset", data_files=["a.tar"], split="train", streaming=streaming)
        return f"{sum(1 for _ in rows)} rows"
    except Exception as error:
        chain = [error, error.__cause__, error.__context__]
        is_cast = any("Couldn't cast array of type string to null" in str(each) for each in chain if each)
        return type(error).__name__ if is_cast else f"another {type(error).__name__}"


whole, streamed = load(False), load(True)
same = (whole, streamed) == ("DatasetGenerationError", "1200 rows")
print(f"{'as found' if same else 'changed'}: not streaming: {whole}; streaming: {streamed}")
raise SystemExit(not same)
PY
