"""The playground in a real browser: every verb, progress, errors, texts as texts, small windows, axe-core."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from review_browser import CHROMIUM, FLAGS, WATCH, until
from served_videos import Videos, clip_mp4, serving, still_png

pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on PATH: install the package `chromium`"),
]
PHONE = {"width": 390, "height": 844}
TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import runpy

    script = Path(__file__).parents[1] / "train" / "legacy_model.py"
    return runpy.run_path(str(script))["copy_legacy_model"](tmp_path_factory.mktemp("legacy") / "model")


@pytest.fixture(scope="module")
def videos(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Videos]:
    with serving(model, tmp_path_factory.mktemp("state"), page=True) as videos:
        yield videos


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def playing(browser: Browser, videos: Videos, *, expected: str = "^$", **options: Any) -> Iterator[Page]:
    """Open the page; at the end, nothing may have gone wrong in it.

    Args:
        expected: pattern of messages that may stand in the console.
    """
    context = browser.new_context(viewport=options.pop("viewport", {"width": 1280, "height": 800}), **options)
    context.set_default_timeout(TIMEOUT_MS)
    context.add_init_script(WATCH)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    try:
        page.goto(f"http://localhost:{videos.port}/")
        page.wait_for_selector("#cards li")
        yield page
        assert page.evaluate("window.wrong") == []
        assert [message for message in wrong if not re.search(expected, message)] == []
    finally:
        context.close()


def make(page: Page, verb: str, prompt: str = "a red circle moves left", **fields: str) -> None:
    """Fill the form, send it, and wait until the video is shown."""
    page.get_by_role("radio", name=verb, exact=True).check(force=True)
    page.get_by_label("Prompt", exact=True).fill(prompt)
    for label, value in fields.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Make the video").click()


def shown(page: Page) -> dict[str, str]:
    """Wait for the result; return its facts."""
    page.wait_for_selector("#result video, #result .badge.reject")
    facts = """() => Object.fromEntries([...document.querySelectorAll('#result dl div')].map(
      (fact) => [fact.querySelector('dt').textContent, fact.querySelector('dd').textContent]))"""
    return page.evaluate(facts)


def plays(page: Page) -> None:
    """Wait until the video of the result has played for a moment."""
    until(page, "document.querySelector('#result video')?.readyState >= 2")
    assert page.evaluate("document.querySelector('#result video').error") is None
    assert page.evaluate("document.querySelector('#result video').videoWidth") > 0


def test_every_verb_is_made_from_the_page(browser: Browser, videos: Videos, tmp_path: Path) -> None:
    (tmp_path / "still.png").write_bytes(still_png())
    (tmp_path / "clip.mp4").write_bytes(clip_mp4())
    with playing(browser, videos) as page:
        make(page, "From text", Size="32x32", Seconds="1")
        assert shown(page)["Frames"] == "9"
        plays(page)
        page.get_by_role("button", name="Extend", exact=True).click()
        expect(page.locator(".drop img")).to_be_visible()
        page.get_by_role("button", name="Make the video").click()
        until(page, "document.querySelector('#result dl')?.textContent.includes('Verbextend')")
        page.wait_for_selector("#result video")
        page.get_by_role("radio", name="Animate an image").check(force=True)
        page.locator("#inputs input[type=file]").set_input_files(tmp_path / "still.png")
        until(page, "document.querySelector('.drop canvas')?.width === 32")
        page.get_by_role("button", name="Make the video").click()
        until(page, "document.querySelector('#result dl')?.textContent.includes('Verbanimate')")
        page.wait_for_selector("#result video")
        for verb, label in (("edit", "Edit"), ("loop", "Loop")):
            page.get_by_role("radio", name=label, exact=True).check(force=True)
            page.locator("#inputs input[type=file]").set_input_files(tmp_path / "clip.mp4")
            page.get_by_role("button", name="Make the video").click()
            until(page, f"document.querySelector('#result dl')?.textContent.includes('Verb{verb}')")
            page.wait_for_selector("#result video")
        page.get_by_role("radio", name="Connect").check(force=True)
        for place in range(2):
            page.locator("#inputs input[type=file]").nth(place).set_input_files(tmp_path / "clip.mp4")
        page.get_by_role("button", name="Make the video").click()
        until(page, "document.querySelector('#result dl')?.textContent.includes('Verbconnect')")
        page.wait_for_selector("#result video")
        plays(page)
        assert page.locator("#cards .card").count() >= 6
        assert page.locator("#cards .card img").count() >= 6


def test_a_dropped_file_is_taken(browser: Browser, videos: Videos) -> None:
    with playing(browser, videos) as page:
        page.get_by_role("radio", name="Animate an image").check(force=True)
        dropped = """([bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], 'still.png', { type: 'image/png' }));
          const place = document.querySelector('.drop');
          for (const kind of ['dragover', 'drop'])
            place.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true }));
        }"""
        page.evaluate(dropped, [list(still_png())])
        until(page, "document.querySelector('.drop canvas')?.width === 32")
        assert "still.png" in page.locator(".drop .name").inner_text()


def test_progress_is_shown_and_cancelling_ends_a_video(browser: Browser, videos: Videos) -> None:
    # The page may ask for the state of a video just when it is deleted.
    with playing(browser, videos, expected="status of 404") as page:
        page.locator("summary").click()
        make(page, "From text", Size="32x32", Steps="100000")
        until(page, "document.querySelector('#state')?.textContent.endsWith('%')")
        make(page, "From text", Size="32x32", Steps="2")
        until(page, "document.querySelector('#state')?.textContent === 'waits for 1 other'")
        page.locator("#cards .card button").nth(1).click()
        page.get_by_role("button", name="Cancel").click()
        page.wait_for_selector(".toast:has-text('Cancelled.')")
        page.locator("#cards .card button").first.click()
        assert shown(page)["Verb"] == "text"


def test_errors_are_the_servers_words(browser: Browser, videos: Videos, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"this is no picture")
    with playing(browser, videos, expected="Failed to load resource") as page:
        page.get_by_role("button", name="Make the video").click()
        expect(page.locator("#wrong")).to_have_text("Say what the video shows.")
        make(page, "From text", Size="33x32")
        expect(page.locator("#wrong")).to_contain_text("sides must be multiples of 16")
        make(page, "Animate an image")
        expect(page.locator("#wrong")).to_have_text("Give the image.")
        page.locator("#inputs input[type=file]").set_input_files(tmp_path / "no.png")
        page.get_by_role("button", name="Make the video").click()
        expect(page.locator("#wrong")).to_contain_text("no known video or image format")
        make(page, "From text", Size="32x32")
        shown(page)


def test_texts_stay_texts(browser: Browser, videos: Videos) -> None:
    text = "<img src=x onerror='window.ran.push(1)'>\u202e</p><script>window.ran.push(2)</script>"
    with playing(browser, videos) as page:
        make(page, "From text", text, Size="32x32")
        shown(page)
        expect(page.locator("#result strong")).to_have_text(text)
        page.reload()
        page.wait_for_selector("#cards .card")
        assert page.evaluate("window.ran") == []
        assert page.locator("main img[src=x], main script").count() == 0


def axe(page: Page) -> list[str]:
    """Return the serious and critical violations that axe-core finds in the page."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text() + "\n;0")
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary'][:200]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_every_window_fits(
    browser: Browser, videos: Videos, scheme: Any, tmp_path: Path
) -> None:
    (tmp_path / "still.png").write_bytes(still_png())
    for viewport in ({"width": 1280, "height": 800}, PHONE):
        with playing(
            browser, videos, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce", viewport=viewport
        ) as page:
            make(page, "From text", Size="32x32")
            shown(page)
            for verb in ("From text", "Animate an image", "Extend", "Connect"):
                page.get_by_role("radio", name=verb).check(force=True)
                assert axe(page) == [], verb
            page.locator("summary").click()
            assert axe(page) == [], "settings"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_form_is_used_by_keyboard(browser: Browser, videos: Videos) -> None:
    with playing(browser, videos) as page:
        page.get_by_label("Prompt", exact=True).focus()
        page.keyboard.type("a blue square")
        page.get_by_label("Size", exact=True).focus()
        page.keyboard.type("32x32")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#result strong')?.textContent === 'a blue square'")
        shown(page)
        page.get_by_role("radio", name="From text").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("radio", name="Animate an image")).to_be_checked()


def test_the_command_serves_the_page_and_the_page_waits_for_it(
    browser: Browser, model: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "kinora", "playground", "--model", str(model), "--state", str(tmp_path)]
    port = "0"

    def start() -> tuple[subprocess.Popen[str], str]:
        server = subprocess.Popen(
            [*command, "--port", port, "--device", "cpu"], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        assert server.stdout is not None
        said = server.stdout.readline()
        assert said.startswith("playground of"), said
        return server, said.split()[-1]

    server, url = start()
    port = url.rstrip("/").rpartition(":")[2]
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("#cards li")
        server.kill()
        server.wait()
        page.get_by_label("Prompt", exact=True).fill("a red circle")
        page.get_by_role("button", name="Make the video").click()
        expect(page.locator("#banner")).to_be_visible()
        server.stdout.close()
        server, _ = start()
        expect(page.locator("#banner")).to_be_hidden(timeout=TIMEOUT_MS)
        assert page.get_by_label("Prompt", exact=True).input_value() == "a red circle"
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) in (0, 130)
    finally:
        context.close()
        server.kill()
        server.wait()
        server.stdout.close()
