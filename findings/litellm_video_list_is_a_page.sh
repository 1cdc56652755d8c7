#!/usr/bin/env bash
# litellm 1.110.2: video_list() states that it returns list[VideoObject]; it returns the whole answer of GET /v1/videos,
# a dict whose keys a loop over "the list" gives. video_status() and the other calls return VideoObject, as stated.
# Seen: video_list gives a dict with the keys data, first_id, has_more, last_id, object.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check litellm==1.110.2
LITELLM_LOCAL_MODEL_COST_MAP=True NO_PROXY='*' venv/bin/python - <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import litellm

VIDEO = {"id": "video_1", "object": "video", "status": "completed", "model": "m", "created_at": 1}
PAGE = {"object": "list", "data": [VIDEO], "first_id": "video_1", "last_id": "video_1", "has_more": False}


class Videos(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(PAGE).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Videos)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v1"
found = litellm.video_list(api_base=base, api_key="any", custom_llm_provider="openai")
same = isinstance(found, dict) and "data" in found
said = f"a dict with the keys {', '.join(sorted(found))}" if same else f"{type(found).__name__} of {[*found][:2]}"
print(f"{'as found' if same else 'changed'}: video_list gives {said}")
raise SystemExit(not same)
PY
