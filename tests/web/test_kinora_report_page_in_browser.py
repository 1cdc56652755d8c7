"""The report page in a real browser: nothing is fetched, nothing goes wrong, every video plays."""

import base64
import hashlib
import json
import runpy
import shutil
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from kinora.report import write_dataset_report, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on PATH: install the package `chromium`"),
]

DEMO = runpy.run_path(str(Path(__file__).parents[1] / "unit" / "report_demo.py"))
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,2400",
]
PROBE = """
const wrong = [];
const tell = (event) => wrong.push("error: " + (event.message || event.target.outerHTML.slice(0, 90)));
addEventListener("error", tell, true);
addEventListener("securitypolicyviolation", (event) => wrong.push("blocked: " + event.blockedURI));
const waitFor = (video, event) => new Promise((done) => {
  video.addEventListener(event, done, {once: true});
  video.addEventListener("error", done, {once: true});
});
addEventListener("load", async () => {
  const videos = [...document.querySelectorAll("video")];
  const first = videos[0];
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!calm && first.paused) await waitFor(first, "playing");
  const paused = first.paused, controls = first.controls;
  for (const video of videos) {
    if (video.readyState >= 2) continue;
    const loaded = waitFor(video, "loadeddata");
    video.preload = "auto";
    video.load();
    await loaded;
  }
  const seen = videos.map((v) => ({ready: v.readyState, width: v.videoWidth, height: v.videoHeight}));
  const names = performance.getEntriesByType("resource").map((entry) => entry.name);
  const resources = names.filter((name) => !name.startsWith("data:"));
  const {scrollWidth: wide, clientWidth: window} = document.documentElement;
  const report = {wrong, videos: seen, resources, paused, controls, wide, window};
  await fetch("/probe", {method: "POST", body: JSON.stringify(report)});
});
"""
DATASET_PROBE = """
const wrong = [];
const tell = (event) => wrong.push("error: " + (event.message || event.target.outerHTML.slice(0, 90)));
addEventListener("error", tell, true);
addEventListener("securitypolicyviolation", (event) => wrong.push("blocked: " + event.blockedURI));
addEventListener("load", async () => {
  const names = performance.getEntriesByType("resource").map((entry) => entry.name);
  const resources = names.filter((name) => !name.startsWith("data:"));
  const {scrollWidth: wide, clientWidth: window} = document.documentElement;
  await fetch("/probe", {method: "POST", body: JSON.stringify({wrong, resources, wide, window})});
});
"""
"""As `PROBE`, for a page without videos."""

Look = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page with the probe inside, which its policy lets run."""
    html = write_report(DEMO["make_demo"](tmp_path_factory.mktemp("web") / "demo", videos=4)).read_text()
    allowed = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    html = html.replace("script-src ", f"connect-src 'self'; script-src 'sha256-{allowed}' ", 1)
    return html.replace("<title>", f"<script>{PROBE}</script><title>", 1)


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    """Open a page in Chromium and return what the probe saw."""
    answers: Queue[dict[str, Any]] = Queue()
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(pages.get(self.path, "").encode())

        def do_POST(self) -> None:
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()

    def open_page(html: str, *flags: str, width: int | None = None) -> dict[str, Any]:
        pages["/page"] = html
        pages["/frame"] = f'<iframe src="/page" style="width:{width}px;height:2000px;border:0"></iframe>'
        address = f"http://127.0.0.1:{server.server_port}/{'frame' if width else 'page'}"
        profile = tmp_path / f"profile-{len(list(tmp_path.iterdir()))}"
        command = [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={profile}", "--remote-debugging-port=0"]
        browser = subprocess.Popen([*command, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return answers.get(timeout=120)
        finally:
            browser.terminate()
            browser.wait(timeout=30)

    yield open_page
    server.shutdown()
    server.server_close()


def test_plays_without_a_request_or_an_error(page: str, look: Look) -> None:
    seen = look(page)
    assert seen["wrong"] == []
    assert seen["resources"] == []
    assert len(seen["videos"]) == 6
    assert all(video["ready"] >= 2 for video in seen["videos"])
    assert [(v["width"], v["height"]) for v in seen["videos"]] == [(64, 64)] * 5 + [(320, 136)]
    assert not seen["paused"]
    assert not seen["controls"]


def test_stands_still_where_motion_is_unwelcome(page: str, look: Look) -> None:
    seen = look(page, "--force-prefers-reduced-motion")
    assert seen["paused"]
    assert seen["controls"]


@pytest.mark.parametrize("width", [360, 820])
def test_fits_the_window(page: str, look: Look, width: int) -> None:
    seen = look(page, width=width)
    assert seen["window"] == width
    assert seen["wide"] <= width


def test_the_probe_sees_a_request_that_should_not_be(page: str, look: Look) -> None:
    seen = look(page.replace("</main>", '<img src="http://127.0.0.1:9/x.png" alt=""></main>'))
    assert any("127.0.0.1:9" in wrong for wrong in seen["wrong"])


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_on_a_dataset_fits_and_asks_for_nothing(tmp_path: Path, look: Look, width: int) -> None:
    dataset = DEMO["make_dataset"](tmp_path / "dataset")
    html = write_dataset_report(dataset.uri, tmp_path / "page.html").read_text()
    allowed = base64.b64encode(hashlib.sha256(DATASET_PROBE.encode()).digest()).decode()
    html = html.replace("img-src", f"connect-src 'self'; script-src 'sha256-{allowed}'; img-src", 1)
    seen = look(html.replace("<title>", f"<script>{DATASET_PROBE}</script><title>", 1), width=width)
    assert seen["wrong"] == []
    assert seen["resources"] == []
    assert seen["wide"] <= seen["window"] == width
