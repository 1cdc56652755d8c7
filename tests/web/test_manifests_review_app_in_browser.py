"""The review page in a real browser: a session by keyboard up to shards, and what can go wrong in between."""

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from review_browser import (
    CHROMIUM,
    FLAGS,
    Server,
    call,
    open_clip,
    open_view,
    reviewing,
    run_command,
    serving,
    shown,
    until,
)
from review_dataset import NEW, caption_text, write_dataset  # pyright: ignore[reportMissingImports]

from manifests.arrow import pc
from manifests.dataset import Commit, Dataset

pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on PATH: install the package `chromium`"),
]
OFFLINE = "ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|Failed to load resource"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path)


@pytest.fixture
def server(dataset: Dataset, tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "data", tmp_path / "state") as server:
        yield server


def decisions(dataset: Dataset) -> dict[str, list[dict]]:
    """Return the committed reviews by media."""
    found: dict[str, list[dict]] = {}
    for row in dataset.refresh().read("reviews").to_pylist():
        found.setdefault(row["media_id"], []).append(row)
    return found


def hold(page: Page, addresses: str) -> list[Route]:
    """Hold back the requests of the page for these addresses; returns them as they come."""
    held: list[Route] = []
    page.route(addresses, lambda route: held.append(route))  # playwright marks the function
    return held


def wait_for_one(page: Page, held: list[Route]) -> None:
    """Wait until a request of the page is held back."""
    for _ in range(400):
        if held:
            return
        page.wait_for_timeout(50)
    raise AssertionError("the page did not ask")


def press_and_wait(page: Page, key: str) -> None:
    """Press a key that decides on a clip, and wait for the next one."""
    before = shown(page)
    page.keyboard.press(key)
    shown_now = "document.querySelector('.card-head .where a')?.href"
    until(page, f"document.querySelector('.empty') || !{shown_now}?.endsWith('{before}')")


def test_twenty_clips_by_keyboard_up_to_the_shards(
    browser: Browser, dataset: Dataset, server: Server, tmp_path: Path
) -> None:
    edited: dict[str, str] = {}
    rejected: list[str] = []
    seen: list[str] = []
    with reviewing(browser, server) as page:
        expect(page.locator("video")).to_have_js_property("paused", False)
        for number in range(20):
            media_id = shown(page)
            seen.append(media_id)
            if number in (3, 8, 14):
                page.keyboard.press("e")
                page.keyboard.type(f" Edited in round {number}.")
                edited[media_id] = page.locator("#caption-edit").input_value()
                press_and_wait(page, "Control+Enter")
            elif number in (5, 11):
                page.keyboard.press("r")
                page.wait_for_selector("dialog[open]")
                rejected.append(media_id)
                press_and_wait(page, "2")
            else:
                press_and_wait(page, "a")
    assert len(set(seen)) == 20
    assert server.stop() == 130
    rows = decisions(dataset)
    assert [*rows] == seen
    assert all(len(each) == 1 for each in rows.values())
    assert {media for media, (row,) in rows.items() if row["verdict"] == "reject"} == {*rejected}
    assert {rows[media][0]["reason"] for media in rejected} == {"wrong action"}
    assert {media: rows[media][0]["new_text"] for media in edited} == edited
    assert all(text.endswith(".") and "Edited in round" in text for text in edited.values())

    shards = tmp_path / "shards"
    words = ("--captions", "reviewed:dense", "--buckets", '["17x54x96"]', "--fps", "8")
    run_command("pack", "--dataset", dataset.uri, "--out", str(shards), *words)
    clip_of = {row["media_id"]: row["clip_id"] for row in dataset.read("media").to_pylist()}
    texts: dict[str, str] = {}
    for path in shards.rglob("*.tar"):
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
            for member in tar.getmembers():
                if member.name.endswith(".txt"):
                    texts[member.name.removesuffix(".txt")] = tar.extractfile(member).read().decode()  # type: ignore[union-attr]
    assert {clip_of[media] for media in rejected}.isdisjoint(texts)
    assert {media: texts[clip_of[media]] for media in edited} == edited
    assert len(texts) == 24 - len(rejected)


def test_an_edit_has_a_draft_a_length_and_undo(browser: Browser, dataset: Dataset, server: Server) -> None:
    with reviewing(browser, server) as page:
        media_id = shown(page)
        original = page.locator("#caption-text .text").first.inner_text()
        page.keyboard.press("e")
        page.keyboard.type(" arjklefsu 123?")  # keys of the page, typed
        assert page.locator("#caption-edit").input_value() == original + " arjklefsu 123?"
        size = f"{len(original) + 15} characters, {len(original.split()) + 2} words (+15)"
        expect(page.locator("#caption-size")).to_have_text(size)
        page.keyboard.press("Control+z")
        assert page.locator("#caption-edit").input_value() != original + " arjklefsu 123?"
        page.locator("#caption-edit").fill(original)
        page.keyboard.press("End")
        page.keyboard.press("Alt+1")
        snippet = original + " The camera stands still."
        assert page.locator("#caption-edit").input_value() == snippet
        page.wait_for_timeout(400)
        page.reload()
        page.wait_for_selector("#main[aria-busy='false']")
        assert shown(page) == media_id
        expect(page.locator("#caption-edit")).to_have_value(snippet)
        expect(page.locator(".note")).to_contain_text("Your draft from before was kept")
        page.locator("#caption-edit").focus()
        page.keyboard.press("Control+s")
        expect(page.locator(".caption .badge.edit")).to_have_text("edited")
        expect(page.locator("#caption-text .text").first).to_have_text(snippet)
        page.keyboard.press("u")
        expect(page.locator(".toast").last).to_contain_text("Undone: edited.")
        expect(page.locator("#caption-text .text").first).to_have_text(original)
    assert server.stop() == 130
    assert [row["verdict"] for row in dataset.refresh().read("reviews").to_pylist()] == ["edit", "withdraw"]


def test_what_was_typed_last_is_kept_when_the_reviewer_goes_on(browser: Browser, server: Server) -> None:
    with reviewing(browser, server) as page:
        media_id = shown(page)
        page.keyboard.press("e")
        page.keyboard.type(" Typed last.")
        typed = page.locator("#caption-edit").input_value()
        page.keyboard.press("Escape")
        press_and_wait(page, "n")
        page.keyboard.press("p")
        expect(page.locator("#caption-edit")).to_have_value(typed)
        assert shown(page) == media_id


def test_a_clip_that_comes_late_does_not_replace_a_newer_one(browser: Browser, server: Server) -> None:
    with reviewing(browser, server) as page:
        strata = hold(page, "**/api/strata")
        page.reload()
        page.wait_for_selector("#main[aria-busy='false']")
        wait_for_one(page, strata)
        page.keyboard.press("x")  # the strata are not there yet
        expect(page.locator("dialog h2")).to_have_text("List of the queue")
        page.keyboard.press("Escape")
        for route in strata:
            route.continue_()
        page.unroute("**/api/strata")
        moves = hold(page, "**/api/next")
        press_and_wait(page, "n")
        wait_for_one(page, moves)
        page.keyboard.press("n")
        page.keyboard.press("End")
        last = call(page, "/api/queue?offset=-1&limit=1")["items"][0]["media_id"]
        page.wait_for_selector(f".card-head a[href$='{last}']")
        with page.expect_response(lambda answer: answer.url.endswith("/api/next")) as late:
            moves[0].continue_()
        late.value.finished()
        page.wait_for_timeout(300)  # time to show it
        assert shown(page) == last


def test_the_player_steps_frames_and_keeps_its_speed(
    browser: Browser, dataset: Dataset, server: Server
) -> None:
    with reviewing(browser, server) as page:
        frame = "Number(document.querySelector('.timeline').value)"
        until(page, "document.querySelector('video').readyState >= 2")
        page.keyboard.press("k")
        page.evaluate("document.querySelector('video').currentTime = 0.5 / 8")
        until(page, f"{frame} === 0")
        for _ in range(3):
            page.keyboard.press(".")
        until(page, f"{frame} === 3")
        page.keyboard.press(",")
        until(page, f"{frame} === 2")
        page.keyboard.press(">")
        until(page, f"{frame} === 10")
        page.keyboard.press("j")
        until(page, f"{frame} < 10")
        page.keyboard.press("k")
        for _ in range(9):
            page.keyboard.press("[")
        assert page.evaluate("document.querySelector('video').playbackRate") == 0.1
        press_and_wait(page, "n")
        assert page.evaluate("document.querySelector('video').playbackRate") == 0.1
        for _ in range(9):
            page.keyboard.press("]")
        assert page.evaluate("document.querySelector('video').playbackRate") == 4
        page.keyboard.press("=")
        strip = page.locator(".film > .strip").first
        assert strip.locator(".cell").all_inner_texts() == ["1", "5", "9", "13", "17"]
        strip.locator(".cell").nth(2).click()
        until(page, f"{frame} === 8")
        until(page, "[...document.querySelectorAll('.film img')].every(i => i.naturalWidth > 0)")
        page.evaluate("document.querySelector('video').currentTime = 4.5 / 8")
        until(page, f"{frame} === 4")
        page.keyboard.press("s")
        page.keyboard.press("i")
        page.keyboard.press("o")  # a span of one frame is none
        expect(page.locator(".span-bar output")).to_have_text("Span 0.50 to 2.13 s (1.63 s)")
        page.keyboard.press(".")
        page.keyboard.press("o")
        expect(page.locator(".span-bar output")).to_have_text("Span 0.50 to 0.75 s (0.25 s)")
        page.keyboard.press("Enter")
        expect(page.locator(".caption .badge.span")).to_be_visible()
    server.stop()
    (row,) = dataset.refresh().read("reviews").to_pylist()
    assert (row["verdict"], row["start_s"], row["end_s"]) == ("span", 0.5, 0.75)


def test_a_jump_is_as_long_as_the_settings_say_and_the_next_clip_is_fetched_ahead(
    browser: Browser, server: Server
) -> None:
    with reviewing(browser, server) as page:
        following = call(page, "/api/queue?offset=1&limit=1")["items"][0]["media_id"]
        loaded = "performance.getEntriesByType('resource')"
        until(page, f"{loaded}.some(each => each.name.includes('/media/{following}?'))")
        page.locator("button.name").click()
        page.get_by_label("Jump of < and >, in seconds").fill("0.5")
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_selector("dialog", state="detached")
        page.wait_for_selector("#main[aria-busy='false']")
        until(page, "document.querySelector('video').readyState >= 2")
        page.keyboard.press("l")  # it plays: faster
        expect(page.locator("select.speed")).to_have_value("1.5")
        page.keyboard.press("k")
        expect(page.locator("video")).to_have_js_property("paused", True)
        page.evaluate("document.querySelector('video').currentTime = 0.5 / 8")
        until(page, "Number(document.querySelector('.timeline').value) === 0")
        page.keyboard.press(">")
        until(page, "Number(document.querySelector('.timeline').value) === 4")


def test_a_span_that_is_too_short_for_a_video_is_named_at_once(
    browser: Browser, dataset: Dataset, tmp_path: Path
) -> None:
    config = {"buckets": ["9x54x96", "1x54x96"], "fps": 8.0, "max_crop": 0.1}
    dataset.commit(Commit(stage="pack", config=config))
    with serving(tmp_path / "data", tmp_path / "state") as server, reviewing(browser, server) as page:
        until(page, "document.querySelector('video').readyState >= 2")
        page.keyboard.press("k")
        page.keyboard.press("s")
        expect(page.locator(".span-bar")).to_contain_text("bucket 9x54x96")
        page.evaluate("document.querySelector('video').currentTime = 5.5 / 8")
        until(page, "Number(document.querySelector('.timeline').value) === 5")
        page.keyboard.press("o")
        too_short = "Too short for a video: it would be packed as one frame (1x54x96)."
        expect(page.locator(".span-bar .note")).to_have_text(f"{too_short} A video needs more than 1.00 s.")
        page.keyboard.press("Enter")
        expect(page.locator(".toast.wrong").last).to_contain_text("Saved. Too short for a video")


def test_the_source_around_a_clip_plays(browser: Browser, dataset: Dataset, server: Server) -> None:
    second = dataset.read("media").to_pylist()[1]["media_id"]
    with reviewing(browser, server, expected="status of 422") as page:
        open_clip(page, second)
        page.keyboard.press("b")
        until(
            page,
            "[...document.querySelectorAll('.around video')].filter(v => v.readyState >= 2).length === 2",
        )
        widths = page.evaluate("[...document.querySelectorAll('.around video')].map(v => v.videoWidth)")
        assert widths == [96, 96]
        expect(page.locator(".around video").first).to_be_in_viewport(ratio=1)
        page.keyboard.press("b")
        expect(page.locator(".around img").first).to_be_visible()
        first = dataset.read("media").to_pylist()[0]["media_id"]
        open_clip(page, first)
        page.keyboard.press("b")
        expect(page.locator(".around .failed")).to_contain_text("begins with this clip")


def test_clips_are_assigned_and_taken_back(browser: Browser, dataset: Dataset, server: Server) -> None:
    with reviewing(browser, server) as page:
        page.keyboard.press("Shift+A")
        page.get_by_label("Reviewer", exact=True).fill("Grace")
        page.get_by_label("Clips", exact=True).fill("10")
        page.get_by_role("button", name="Assign", exact=True).last.click()
        expect(page.locator(".toast").last).to_contain_text("10 clips are Grace's now")
        page.get_by_role("button", name="Assign", exact=True).first.click()
        expect(page.locator(".assigned")).to_contain_text("Grace 10 open of 10")
        page.get_by_role("button", name="Take back the open clips of Grace").click()
        expect(page.locator(".toast").last).to_contain_text("10 clips were taken back from Grace")
        assert call(page, "/api/assigned") == {"assigned": []}


def test_a_tab_left_open_shows_both_texts(browser: Browser, dataset: Dataset, server: Server) -> None:
    media_id = dataset.read("media").to_pylist()[0]["media_id"]
    original = caption_text(0, NEW)
    conflicts = "status of 409"
    with (
        reviewing(browser, server, expected=conflicts) as ada,
        reviewing(browser, server, "Grace", expected=conflicts) as grace,
    ):
        for page, text in ((grace, "The text of Grace."), (ada, "The text of Ada.")):
            open_clip(page, media_id)
            page.keyboard.press("e")
            page.locator("#caption-edit").fill(text)
        grace.keyboard.press("Control+s")
        expect(grace.locator("#caption-text .text").first).to_have_text("The text of Grace.")
        ada.keyboard.press("Control+s")
        expect(ada.locator("dialog h2")).to_have_text("Grace decided meanwhile")
        expect(ada.locator("#conflict-mine")).to_have_text("The text of Ada.")
        expect(ada.locator("#conflict-theirs")).to_have_text("The text of Grace.")
        rows = call(ada, f"/api/cards/{media_id}")["history"]
        assert [row["new_text"] for row in rows] == ["The text of Grace."]
        ada.get_by_role("button", name="Save mine").click()
        expect(ada.locator("#caption-text .text").first).to_have_text("The text of Ada.")
        rows = call(ada, f"/api/cards/{media_id}")["history"]
        assert [row["new_text"] for row in rows] == ["The text of Grace.", "The text of Ada."]
        grace.locator("#main").focus()
        grace.keyboard.press("a")
        expect(grace.locator("dialog h2")).to_have_text("Ada decided meanwhile")
        grace.get_by_role("button", name="Keep theirs").click()
        expect(grace.locator("#caption-text .text").first).to_have_text("The text of Ada.")
        ada.keyboard.press("e")
        ada.locator("#caption-edit").fill("")
        ada.keyboard.press("Control+s")
        expect(ada.locator("dialog h2")).to_have_text("Remove this text?")
        ada.get_by_role("button", name="Keep the text").click()
        assert len(call(ada, f"/api/cards/{media_id}")["history"]) == 2
    assert original not in ("The text of Ada.", "The text of Grace.")


def test_the_server_goes_and_comes_back(browser: Browser, dataset: Dataset, server: Server) -> None:
    with reviewing(browser, server, "Grace", expected=OFFLINE) as page:
        press_and_wait(page, "a")
        media_id = shown(page)
        page.keyboard.press("e")
        page.locator("#caption-edit").fill("Typed while the server was away.")
        server.kill()
        page.keyboard.press("Control+s")
        expect(page.locator("#banner")).to_contain_text("The server does not answer")
        expect(page.locator("#caption-edit")).to_have_value("Typed while the server was away.")
        server.start()
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#caption-text .text").first).to_have_text("Typed while the server was away.")
        assert shown(page) == media_id
    server.stop()
    rows = decisions(dataset)
    assert [row["verdict"] for each in rows.values() for row in each] == ["approve", "edit"]
    assert rows[media_id][0]["new_text"] == "Typed while the server was away."
    assert {row["reviewer"] for each in rows.values() for row in each} == {"Grace"}


def test_claims_lead_to_the_frames_that_decide_on_them(
    browser: Browser, dataset: Dataset, tmp_path: Path
) -> None:
    media = dataset.read("media").to_pylist()[0]
    rows = dataset.read("captions").filter(pc.equal(dataset.read("captions")["media_id"], media["media_id"]))
    claims = [
        {"text": "the square is red", "verdict": "supported", "start_s": None, "end_s": None},
        {"text": "it moves to the left", "verdict": "unsupported", "start_s": 1.0, "end_s": 2.0},
    ]
    rows = rows.filter(pc.equal(rows["version"], NEW)).append_column("claims", pa.array([claims]))
    part = dataset.write_part("captions", rows.append_column("unsupported", pa.array([1])))
    dataset.commit(Commit(stage="audit", added=(part,)))
    with serving(tmp_path / "data", tmp_path / "state") as server, reviewing(browser, server) as page:
        open_clip(page, media["media_id"])
        listed = page.locator(".claims li")
        expect(listed).to_have_count(2)
        expect(listed.first.locator(".badge.approve")).to_have_text("supported")
        expect(listed.last.locator(".badge.reject")).to_have_text("unsupported")
        until(page, "document.querySelector('video').readyState >= 2")
        listed.last.get_by_role("button", name="frame 9").click()
        until(page, "Number(document.querySelector('.timeline').value) === 8")
        expect(page.locator("video")).to_have_js_property("paused", True)


def test_media_that_is_gone_is_named_and_the_review_goes_on(
    browser: Browser, dataset: Dataset, server: Server, tmp_path: Path
) -> None:
    tar = tmp_path / "data" / "media" / "clips.tar"
    os.rename(tar, tar.with_suffix(".away"))
    for raw in (tmp_path / "raw").iterdir():
        raw.unlink()
    with reviewing(browser, server, expected="Failed to load resource") as page:
        expect(page.locator(".problem")).to_contain_text("media/clips.tar: the tar with this clip is gone")
        expect(page.locator(".around .strip.failed").first).to_contain_text(
            "the source was moved, changed or deleted"
        )
        press_and_wait(page, "a")
        expect(page.locator(".problem")).to_be_visible()
        os.rename(tar.with_suffix(".away"), tar)
        page.get_by_role("button", name="Try again").click()
        until(page, "document.querySelector('video').readyState >= 2")
        expect(page.locator(".problem")).to_be_hidden()


def test_search_and_a_bulk_edit_that_is_undone_as_one(
    browser: Browser, dataset: Dataset, server: Server
) -> None:
    with reviewing(browser, server, expected="status of 400") as page:
        page.keyboard.press("/")
        page.get_by_label("Words").fill("yellow")
        page.keyboard.press("Enter")
        expect(page.locator(".results h2")).to_have_text("6 clips")
        page.get_by_label("SQL condition").fill("nothing = 1")
        page.keyboard.press("Enter")
        expect(page.locator(".results [role=alert]")).to_contain_text("nothing")
        page.get_by_label("SQL condition").fill("sharpness > 100")
        page.keyboard.press("Enter")
        expect(page.locator(".results")).to_contain_text("0 clips")
        page.get_by_label("SQL condition").fill("sharpness < 0.1")
        page.keyboard.press("Enter")
        expect(page.locator(".results h2")).to_have_text("2 clips")
        page.get_by_label("Find (regular expression)").fill("yell(ow)")
        page.get_by_label("Replace by").fill(r"gold-\1")
        page.get_by_role("button", name="Preview").click()
        expect(page.locator(".preview")).to_contain_text("2 of 2 clips would change")
        assert (
            page.locator(".sample ins").first.inner_text() == "added: gold-ow"
            or "gold" in page.locator(".sample ins").first.inner_text()
        )
        page.get_by_role("button", name="Apply to 2 clips").click()
        expect(page.locator(".toast").last).to_contain_text("2 clips changed")
        page.get_by_label("Words").fill('"gold ow"')
        page.keyboard.press("Enter")
        expect(page.locator(".results h2")).to_have_text("2 clips")
        page.keyboard.press("Escape")
        page.keyboard.press("u")
        expect(page.locator(".results h2")).to_have_text("0 clips")
        page.get_by_label("Words").fill("yellow")
        page.keyboard.press("Enter")
        expect(page.locator(".results h2")).to_have_text("2 clips")


def test_an_answer_that_comes_late_does_not_replace_that_of_a_newer_search(
    browser: Browser, dataset: Dataset, server: Server
) -> None:
    held: list[Route] = []
    with reviewing(browser, server) as page:
        page.route("**/api/queue?*limit=30*", lambda route: route.continue_() if held else held.append(route))
        page.keyboard.press("/")
        page.get_by_label("Words").fill("yellow")
        page.keyboard.press("Enter")
        expect(page.locator(".results h2")).to_have_text("6 clips")
        with page.expect_response(lambda answer: answer.url == held[0].request.url) as late:
            held[0].continue_()
        late.value.finished()
        page.evaluate("() => new Promise((done) => setTimeout(done, 300))")  # time to show it
        expect(page.locator(".results h2")).to_have_text("6 clips")
        page.get_by_label("Words").fill("nothing like this")
        page.keyboard.press("Enter")
        expect(page.locator(".results")).to_contain_text("0 clips")


def test_blind_comparison_and_disagreements(browser: Browser, dataset: Dataset, tmp_path: Path) -> None:
    media_id = dataset.read("media").to_pylist()[0]["media_id"]
    flags = ("--reviews-per-clip", "2")
    with (
        serving(tmp_path / "data", tmp_path / "state", *flags) as server,
        reviewing(browser, server, expected="Failed to load resource") as ada,
    ):
        page = ada
        page.keyboard.press("g")
        page.keyboard.press("c")
        page.wait_for_selector(".side")
        assert NEW not in page.locator(".pair").inner_text()
        page.keyboard.press("1")
        expect(page.locator(".score")).to_contain_text("1 votes")
        page.keyboard.press("0")
        expect(page.locator(".score")).to_contain_text("2 votes")
        expect(page.locator(".score")).to_contain_text("95 % interval")
        page.keyboard.press("u")
        expect(page.locator(".score")).to_contain_text("1 votes")
        cards = hold(page, "**/api/cards/*")
        page.keyboard.press("2")
        wait_for_one(page, cards)
        page.keyboard.press("2")  # the next pair is not shown yet: this is no vote on it
        cards[0].continue_()
        page.unroute("**/api/cards/*")
        expect(page.locator(".score")).to_contain_text("2 votes")
        page.route("**/api/compare/next", lambda route: route.abort(), times=1)
        page.keyboard.press("0")  # the server is away when the pair after this vote is asked for
        expect(page.locator(".score")).to_contain_text("3 votes")
        page.keyboard.press("0")
        expect(page.locator(".score")).to_contain_text("4 votes")
        open_clip(ada, media_id)
        ada.keyboard.press("a")
        with reviewing(browser, server, "Grace") as grace:
            open_clip(grace, media_id)
            expect(grace.locator(".caption .badge", has_text="blind")).to_be_visible()
            assert "Ada" not in grace.locator(".card").inner_text()
            grace.keyboard.press("r")
            grace.keyboard.press("1")
            expect(grace.locator(".toast").last).to_contain_text("rejected")
            grace.keyboard.press("g")
            grace.keyboard.press("d")
            expect(grace.locator(".side h2")).to_contain_text(["Ada", "Grace"])
            grace.keyboard.press("2")
            grace.keyboard.press("2")  # settled once
            expect(grace.locator(".empty")).to_contain_text("Nobody differs")
        card = call(ada, f"/api/cards/{media_id}")
        assert (card["decision"]["verdict"], card["decision"]["disagreement"]) == ("reject", False)
        assert [row["verdict"] for row in card["history"]] == ["approve", "reject", "reject"]


def test_a_view_that_was_left_before_it_was_there_takes_no_keys(
    browser: Browser, dataset: Dataset, server: Server
) -> None:
    with reviewing(browser, server) as page:
        held = hold(page, "**/api/compare/next")
        page.goto(f"{server.url}#/compare")
        wait_for_one(page, held)
        open_view(page, "queue")
        held[0].continue_()
        page.wait_for_timeout(500)
        page.keyboard.press("?")
        assert "Left is better" not in page.locator("dialog .help").inner_text()
        page.keyboard.press("Escape")
        page.keyboard.press("0")
        page.wait_for_timeout(300)
    assert server.stop() == 130
    assert dataset.refresh().read("reviews").num_rows == 0


def test_help_lists_the_keys_and_deep_links_open(browser: Browser, dataset: Dataset, server: Server) -> None:
    with reviewing(browser, server, expected="status of 400") as page:
        page.keyboard.press("?")
        listed = page.locator("dialog .help").inner_text()
        for about in ("Approve", "One frame back", "Mend the span", "List of the queue", "Search"):
            assert about in listed
        expect(page.locator("dialog h2")).to_be_in_viewport()
        page.keyboard.press("Escape")
        page.keyboard.press("End")
        last = call(page, "/api/queue?offset=-1&limit=1")["items"][0]["media_id"]
        page.wait_for_selector(f".card-head a[href$='{last}']")
        page.goto("about:blank")
        page.goto(f"{server.url}#/clip/{last}")
        page.wait_for_selector("#main[aria-busy='false']")
        assert shown(page) == last
        page.keyboard.press("#")
        page.keyboard.type("3")
        page.keyboard.press("Enter")
        third = call(page, "/api/queue?offset=2&limit=1")["items"][0]["media_id"]
        page.wait_for_selector(f".card-head a[href$='{third}']")
        open_view(page, f"clip/{'0' * 32}")
        expect(page.locator(".empty")).to_contain_text("0000")
    entries = [json.loads(line) for line in (Path(server.state) / "audit.jsonl").read_text().splitlines()]
    assert {entry["reviewer"] for entry in entries} == {"Ada"}
