"""The review page shows texts as texts, fits every window, and has no serious fault that axe-core finds."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from review_browser import CHROMIUM, FLAGS, Server, call, open_clip, open_view, reviewing, serving, until
from review_dataset import write_dataset

pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on PATH: install the package `chromium`"),
]
VIEWS = ("queue", "search", "compare", "disagreements", "figures")
PHONE = {"width": 390, "height": 844}
LOADED = """!document.querySelector(".loading") && [...document.images].every((image) =>
    image.complete || image.loading === "lazy" && image.getBoundingClientRect().top > innerHeight)"""
"""No picture that is in the window is still on its way, so that nothing moves any more."""


def markup_texts() -> list[str]:
    """Return a hundred texts that would run a script, which sets a flag, if one were parsed as markup."""
    run = "window.ran.push({})"
    forms = (
        "<script>%s</script>",
        "<img src=x onerror='%s'>",
        "<svg onload='%s'></svg>",
        "<svg><script>%s</script></svg>",
        "<video><source onerror='%s'></video>",
        "<iframe srcdoc='<script>parent.%s</script>'></iframe>",
        "<details open ontoggle='%s'>x</details>",
        "<input autofocus onfocus='%s'>",
        '"><img src=x onerror="%s">',
        "'><svg/onload='%s'>",
        "</p></textarea></title><script>%s</script>",
        "<a href='javascript:%s'>here</a>",
        "<style>@import 'javascript:%s';</style>",
        "<body onload='%s'>",
        "<math><mtext><img src=x onerror='%s'></mtext></math>",
        "<template><script>%s</script></template>",
        "{{constructor.constructor('%s')()}}",
        "${%s}",
        "<!--><img src=x onerror='%s'>-->",
        "&lt;img src=x onerror='%s'&gt;",
    )
    made = [form % run.format(f"{n}.{k}") for k in range(5) for n, form in enumerate(forms)]
    wraps = ("{}", "A red square. {}", "{} moves left.", "\u202e{}", "{}\n\n# Heading & <b>bold</b>")
    return [wraps[n // len(forms)].format(text) for n, text in enumerate(made)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("review")
    write_dataset(folder)
    with serving(folder / "data", folder / "state", "--reviews-per-clip", "2") as server:
        yield server


def test_a_hundred_texts_with_markup_stay_texts(browser: Browser, tmp_path: Path) -> None:
    texts = markup_texts()
    assert len({*texts}) == 100
    names = [f"{text[:60].replace('/', '∕')}.mp4" for text in texts[:25]]
    write_dataset(tmp_path, 100, text=lambda number, version: texts[number], names=names)
    with (
        serving(tmp_path / "data", tmp_path / "state") as server,
        reviewing(browser, server, expected="Failed to load resource") as page,
    ):
        media: dict[str, str] = {}
        for offset in (0, 50):
            items = call(page, f"/api/queue?offset={offset}&limit=50")["items"]
            media |= {item["text"]: item["media_id"] for item in items}
        assert {*media} == {*texts}
        open_view(page, "search")
        listed: list[str] = []
        for _ in range(4):
            until(
                page,
                f"document.querySelector('.results .quiet')?.textContent.startsWith('{len(listed) + 1} ')",
            )
            listed += page.locator(".item-text").evaluate_all("all => all.map(each => each.textContent)")
            if (after := page.get_by_role("button", name="After")).is_enabled():
                after.click()
        assert sorted(listed) == sorted(texts)
        for text in texts[::6]:
            open_clip(page, media[text])
            shown = page.locator("#caption-text .text").first.evaluate("element => element.textContent")
            assert shown == text
        page.keyboard.press("e")
        assert page.locator("#caption-edit").input_value() == texts[96]
        assert page.evaluate("window.ran") == []
        made = "document.querySelectorAll('main script, main iframe, main svg:not(.icon), main style').length"
        assert page.evaluate(made) == 0


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
def test_axe_finds_nothing_serious(browser: Browser, server: Server, scheme: Any) -> None:
    with reviewing(browser, server, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce") as page:
        for view in VIEWS:
            open_view(page, view)
            expect(page.get_by_role("navigation", name="Views").locator("[aria-current=page]")).to_have_text(
                view.capitalize()
            )
            until(page, LOADED)
            assert axe(page) == [], view
        open_view(page, "queue")
        page.keyboard.press("e")
        assert axe(page) == [], "editor"
        page.keyboard.press("Escape")
        for key, name in (("?", "help"), ("r", "reject"), ("x", "list")):
            page.keyboard.press(key)
            page.wait_for_selector("dialog[open]")
            assert axe(page) == [], name
            page.keyboard.press("Escape")
        page.locator("button.name").click()
        assert axe(page) == [], "settings"


@pytest.mark.parametrize("window", [PHONE, {"width": 1280, "height": 720}])
def test_every_view_fits_the_window(browser: Browser, server: Server, window: Any) -> None:
    with reviewing(browser, server, viewport=window) as page:
        for view in VIEWS:
            open_view(page, view)
            expect(page.get_by_role("navigation", name="Views").locator("[aria-current=page]")).to_have_text(
                view.capitalize()
            )
            until(page, LOADED)
            assert page.evaluate("document.documentElement.scrollWidth") <= window["width"], view
        assert (
            page.evaluate("(nav => nav.scrollWidth - nav.clientWidth)(document.querySelector('.top nav'))")
            <= 0
        )
        open_view(page, "queue")
        approve = page.get_by_role("button", name="Approve").bounding_box()
        assert approve is not None
        assert 0 <= approve["y"] <= window["height"] - approve["height"]
        assert approve["height"] >= 36
        video = page.locator("video").bounding_box()
        assert video is not None
        assert video["y"] + video["height"] <= approve["y"]
