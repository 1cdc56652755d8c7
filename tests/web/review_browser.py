"""Run `kinora review` as people do, and open its page in Chromium."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-sync",
]
WATCH = """
window.ran = [];
window.wrong = [];
addEventListener("securitypolicyviolation", (event) => {
  window.wrong.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""
"""Notes violations of the policy, from the start of each page."""


class Server:
    """The command, which can be killed and started again at the same port."""

    def __init__(self, dataset: Path, state: Path, *flags: str) -> None:
        self._command = [sys.executable, "-m", "kinora", "review", "--dataset", str(dataset)]
        self._command += ["--state", str(state), "--reviewer", "Ada", *flags]
        self._port = 0
        self.state = state
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.start()

    def start(self) -> None:
        """Start it and wait until it says where the page is."""
        self.process = subprocess.Popen(
            [*self._command, "--port", str(self._port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        said = ""
        while not (found := re.search(r"(http://localhost:(\d+)/)", said)):
            line = self.process.stdout.readline()
            assert line, said
            said += line
        self.url, self._port = found[1], int(found[2])

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self._ended()

    def stop(self) -> int:
        """End it as Ctrl-C does; return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self._ended()

    def _ended(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code


@contextmanager
def serving(dataset: Path, state: Path, *flags: str) -> Iterator[Server]:
    """Serve the page of a dataset."""
    server = Server(dataset, state, *flags)
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()


@contextmanager
def reviewing(
    browser: Browser, server: Server, name: str = "Ada", *, expected: str = "^$", **options: Any
) -> Iterator[Page]:
    """Open the page as a reviewer; at the end, nothing may have gone wrong in it.

    Args:
        expected: pattern of messages that may stand in the console.
        options: of the browser's context.
    """
    context = browser.new_context(viewport=options.pop("viewport", {"width": 1280, "height": 720}), **options)
    context.set_default_timeout(int(os.environ.get("REVIEW_TIMEOUT_MS", "20000")))
    context.add_init_script(WATCH)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    try:
        page.goto(server.url)
        page.wait_for_selector("#main[aria-busy='false']")
        if name != "Ada":
            rename(page, name)
        yield page
        assert page.evaluate("window.wrong") == []
        assert [message for message in wrong if not re.search(expected, message)] == []
    finally:
        context.close()


def rename(page: Page, name: str) -> None:
    """Give the reviewer another name, in the settings."""
    page.locator("button.name").click()
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_selector(f"button.name:has-text('{name}')")
    page.wait_for_selector("#main[aria-busy='false']")


def until(page: Page, expression: str) -> None:
    """Wait until an expression is true. Playwright's own way needs eval, which the page forbids."""
    for _ in range(400):
        if page.evaluate(f"() => Boolean({expression})"):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"it never came true: {expression}")


GO = """address => {
  document.querySelector("#main").setAttribute("aria-busy", "true");
  if (location.hash === address) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = address;
}"""
"""Marks the view that is there as not yet the new one, which the page would do a moment later."""


def open_view(page: Page, address: str) -> None:
    """Open a view by its address, such as `search` or `clip/ID`, and wait until it is there."""
    page.evaluate(GO, f"#/{address}")
    page.wait_for_selector("#main[aria-busy='false']")


def open_clip(page: Page, media_id: str) -> None:
    """Open a clip by its address."""
    open_view(page, f"clip/{media_id}")
    assert shown(page) == media_id


def shown(page: Page) -> str:
    """Return the media id of the clip that is shown."""
    address = page.locator(".card-head .where a").get_attribute("href")
    assert address is not None
    return address.rpartition("/")[2]


def call(page: Page, path: str) -> Any:
    """Return what the server answers to the page."""
    return page.evaluate("path => fetch(path).then(answer => answer.json())", path)


def run_command(*words: str) -> dict[str, Any]:
    """Run a command of Kinora; return its JSON."""
    environment = os.environ | {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "kinora", *words, "--json"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
