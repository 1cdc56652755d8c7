#!/usr/bin/env bash
# webdataset 1.0.2: WebDataset(urls, shardshuffle=100) gives the same order of shards in every epoch that starts from a new
# iterator; detshuffle=True changes it.
# Seen: three epochs, one order; with detshuffle three orders.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check webdataset==1.0.2 numpy==2.4.6
venv/bin/python - <<'PY'
import io
import tarfile

import webdataset

for shard in range(8):
    with tarfile.open(f"{shard}.tar", "w") as tar:
        member = tarfile.TarInfo(f"{shard}.txt")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
urls = [f"{shard}.tar" for shard in range(8)]


def orders(**options):
    dataset = webdataset.WebDataset(urls, shardshuffle=100, **options)
    return len({tuple(sample["__key__"] for sample in dataset) for _ in range(3)})


plain, det = orders(), orders(detshuffle=True)
same = plain == 1 and det > 1
print(f"{'as found' if same else 'changed'}: of three epochs, {plain} order of shards; {det} with detshuffle")
raise SystemExit(not same)
PY
