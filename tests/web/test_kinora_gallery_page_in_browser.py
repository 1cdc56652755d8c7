"""The gallery in a real browser: videos play, nothing but its own files is fetched, and it fits a phone."""

import base64
import hashlib
import json
import runpy
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import numpy as np
import pytest

from kinora.evaluation.figures import share
from kinora.evaluation.results import write_media
from kinora.gallery.page import write_gallery

REPORT = runpy.run_path(str(Path(__file__).with_name("test_kinora_report_page_in_browser.py")))
CHROMIUM, FLAGS, PROBE = REPORT["CHROMIUM"], REPORT["FLAGS"], REPORT["PROBE"]
pytestmark = REPORT["pytestmark"]


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """A gallery of three extensions, whose page lets the probe run."""
    results = tmp_path / "results"
    frames_THWC = np.random.default_rng(0).integers(0, 256, (9, 48, 80, 3), np.uint8)
    samples: list[dict[str, Any]] = []
    for index in range(3):
        file, given = f"extend/videos/{index}.mp4", f"extend/given/{index}.mp4"
        for path, frames in ((file, frames_THWC), (given, frames_THWC[:5])):
            (results / path).parent.mkdir(parents=True, exist_ok=True)
            write_media(results / path, frames, 8.0)
        fields = {"group": "forward", "prompt": "a red circle moves left", "seed": index, "size": "80x48"}
        verdict = {"jump": 1.02, "identity": index > 0}
        more = {"file": file, "given": [{"flag": "--video", "file": given}]}
        command = f"kinora generate 'a red circle' --video {given} --extend forward --seed {index}"
        samples.append({**fields, **more, "index": index, "verdict": verdict, "command": command})
    figures = [asdict(share("extend_identity", [False, True, True], goal=0.97))]
    (results / "extend" / "row.json").write_text(json.dumps({"figures": figures, "samples": samples}))
    settings = {"model": "runs/dit", "steps": 24, "guidance": 3.0}
    summary = {"settings": settings, "seed": 0, "rows": ["extend"], "failed": {}}
    (results / "results.json").write_text(json.dumps(summary))
    page = write_gallery([results], tmp_path / "gallery", videos=3)
    allowed = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    html = page.read_text().replace("script-src ", f"connect-src 'self'; script-src 'sha256-{allowed}' ", 1)
    page.write_text(html.replace("<title>", f"<script>{PROBE}</script><title>", 1))
    return page.parent


@pytest.fixture
def server(gallery: Path) -> Iterator[tuple[str, Queue[dict[str, Any]]]]:
    """Serve the folder; what the probe sends is in the queue."""
    answers: Queue[dict[str, Any]] = Queue()

    class Handler(SimpleHTTPRequestHandler):
        def do_POST(self) -> None:
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(gallery)))
    Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}", answers
    served.shutdown()
    served.server_close()


@pytest.mark.parametrize("width", [360, 1280])
def test_videos_play_and_the_page_fits(gallery: Path, server, tmp_path: Path, width: int) -> None:
    address, answers = server
    frame = f'<iframe src="index.html" style="width:{width}px;height:2000px;border:0"></iframe>'
    (gallery / "frame.html").write_text(frame)
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0"]
    browser = subprocess.Popen(
        [*command, f"{address}/frame.html"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        seen = answers.get(timeout=120)
    finally:
        browser.terminate()
        browser.wait(timeout=30)
    assert seen["wrong"] == []
    assert all(name.startswith(f"{address}/media/") for name in seen["resources"])
    assert [(v["width"], v["height"]) for v in seen["videos"]] == [(80, 48)] * 6
    assert all(video["ready"] >= 2 for video in seen["videos"])
    assert not seen["paused"]
    assert seen["wide"] <= seen["window"] == width
