#!/usr/bin/env bash
# pyarrow 26.0.1: an exception inside `with S3FileSystem.open_output_stream(...)` closes the stream, which completes the
# upload. A reader then finds an object that ends where the exception came.
# Seen: 4 bytes of an object that was to have 8, against moto 5.2.5.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyarrow==26.0.1 'moto[server]==5.2.5' boto3==1.44.5
venv/bin/python - <<'PY'
import os

os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}

from moto.server import ThreadedMotoServer
from pyarrow.fs import S3FileSystem

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
store = S3FileSystem(endpoint_override=f"http://{host}:{port}", region="us-east-1", allow_bucket_creation=True)
store.create_dir("bucket")
try:
    with store.open_output_stream("bucket/object") as stream:
        stream.write(b"half")
        raise ValueError("the producer failed")
except ValueError:
    pass
info = store.get_file_info("bucket/object")
same = info.is_file and info.size == 4
print(f"{'as found' if same else 'changed'}: after the exception the store has {info.type.name}, {info.size} bytes")
server.stop()
raise SystemExit(not same)
PY
