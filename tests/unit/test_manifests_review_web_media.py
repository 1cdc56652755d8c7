"""Clips over HTTP: ranges equal slices of the clip, on a disk and on S3, and what goes wrong with a tar."""

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from review_pages import JPEG, MP4, Page, running

from manifests import schemas
from manifests.dataset import Commit, Dataset
from manifests.records import Clip, Media, Selection, SourceRow, SourceStatus
from manifests.review.media import media_place
from manifests.review.web.byte_ranges import ByteRange, UnsatisfiableRange, parse_range

CONTENT = hashlib.shake_128(b"clip").digest(700_000)
BEFORE, AFTER = b"\x11" * 1536, b"\x22" * 4096
MEDIA, THUMBNAIL = "a" * 32, b"\xff\xd8\xff thumbnail"


def make_dataset(uri: str) -> Dataset:
    """A dataset of one clip, which lies within a tar."""
    dataset = Dataset.create(uri)
    span = {"start_pts": 30, "end_pts": 60, "time_base_num": 1, "time_base_den": 30, "num_frames": 30}
    clip = Clip(
        clip_id="c" * 32, source_key="k", source_digest="d", uri="/raw/a.mp4", kind="video", stream_index=0,
        height=36, width=64, analysis="a", **span,
    )  # fmt: skip
    source = SourceRow(
        source_key="k", uri="/raw/a.mp4", size_bytes=1, etag="1", carried="{}", analysis="a",
        status=SourceStatus.OK, source_digest="d", kind="video", codec="h264", width=64, height=36, fps=30.0,
        **(span | {"start_pts": 0, "end_pts": 90, "num_frames": 90}),
    )  # fmt: skip
    media = Media(
        media_id=MEDIA, clip_id=clip.clip_id, encoding="e", path="media/one.tar", offset=len(BEFORE),
        length=len(CONTENT), extension="mp4", num_frames=30, height=36, width=64, fps=30.0, duration_s=1.0,
        digest="f" * 32, num_windows=1, window_start_pts=30, window_end_pts=60,
    )  # fmt: skip
    dataset.storage.put("media/one.tar", BEFORE + CONTENT + AFTER)
    kept = Selection(clip_id=clip.clip_id, kept=True, reason="kept", detail="", rules="r")
    clips = schemas.to_table(Clip, [clip]).append_column("thumbnail", pa.array([THUMBNAIL], pa.binary()))
    parts = (
        dataset.write_records("sources", [source]),
        dataset.write_part("clips", clips),
        dataset.write_records("selections", [kept]),
        dataset.write_records("media", [media]),
    )
    return dataset.commit(Commit(stage="test", added=parts))


@pytest.fixture
def page(place: str, tmp_path: Path) -> Iterator[Page]:
    with running(make_dataset(place), tmp_path / "state") as page:
        page.open_session()
        yield page


def test_ranges_equal_slices_of_the_clip(page: Page) -> None:
    size = len(CONTENT)
    whole = page.get(f"/media/{MEDIA}")
    assert (whole.status, whole.body) == (200, CONTENT)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    asked = {
        "bytes=0-99": (0, 100),
        "bytes=100-100": (100, 101),
        "bytes=5000-": (5000, size),
        "bytes=-100": (size - 100, size),
        f"bytes=-{10 * size}": (0, size),
        f"bytes={size - 5}-{size + 5}": (size - 5, size),
        f"bytes=300000-{size - 1}": (300_000, size),
    }
    for header, (start, stop) in asked.items():
        answer = page.get(f"/media/{MEDIA}", range=header)
        assert answer.status == 206, header
        assert answer.body == CONTENT[start:stop], header
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert answer.headers["content-length"] == str(stop - start)
    for header in (f"bytes={size}-", f"bytes={size + 9}-{size + 10}", "bytes=-0"):
        answer = page.get(f"/media/{MEDIA}", range=header)
        assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{size}"), header
    for header in ("bytes=9-5", "bytes=a-b", "bytes=-", "chars=0-1", "bytes=0-1,5-6"):
        answer = page.get(f"/media/{MEDIA}", range=header)
        assert (answer.status, len(answer.body)) == (200, size), header
    head = page.request("HEAD", f"/media/{MEDIA}", range="bytes=0-99")
    assert (head.status, head.body, head.headers["content-length"]) == (206, b"", "100")


def test_entity_tags_spare_the_transfer(page: Page) -> None:
    tag = page.get(f"/media/{MEDIA}").headers["etag"]
    assert page.get(f"/media/{MEDIA}", if_none_match=tag).status == 304
    assert page.get(f"/media/{MEDIA}", if_none_match='"other"').status == 200
    assert page.get(f"/media/{MEDIA}", range="bytes=0-9", if_range=tag).status == 206
    assert page.get(f"/media/{MEDIA}", range="bytes=0-9", if_range='"older"').status == 200
    assert "immutable" in page.get(f"/media/{MEDIA}?v={'f' * 32}").headers["cache-control"]
    assert "immutable" not in page.get(f"/media/{MEDIA}?v=older").headers["cache-control"]


def test_s3_is_asked_once_for_one_range(s3_uri: str, tmp_path: Path, monkeypatch) -> None:
    dataset = make_dataset(s3_uri)
    asked: list[str] = []
    get = dataset.storage._get_object  # type: ignore[attr-defined]

    def counted(key: str, **span: str):
        asked.append(f"{key} {span.get('Range')}")
        return get(key, **span)

    monkeypatch.setattr(dataset.storage, "_get_object", counted)
    with running(dataset, tmp_path) as page:
        page.open_session()
        page.get(f"/media/{MEDIA}", range="bytes=0-1")
        asked.clear()
        answer = page.get(f"/media/{MEDIA}", range="bytes=300000-599999")
    assert answer.body == CONTENT[300_000:600_000]
    assert asked == [f"media/one.tar bytes={len(BEFORE) + 300_000}-{len(BEFORE) + 599_999}"]


def test_the_body_is_closed_when_the_client_goes(tmp_path: Path, monkeypatch) -> None:
    dataset = make_dataset(str(tmp_path / "d"))
    closed: list[int] = []

    def endless(key: str, offset: int, length: int):
        sent = 0
        try:
            while True:
                sent += 1
                yield bytes(2**16)
        finally:
            closed.append(sent)

    monkeypatch.setattr(dataset.storage, "stream_range", endless)
    with running(dataset, tmp_path / "state") as page:
        page.open_session()
        with socket.create_connection(("127.0.0.1", page.port)) as client:
            request = f"GET /media/{MEDIA} HTTP/1.1\r\nHost: localhost\r\nCookie: {page.cookie}\r\n\r\n"
            client.sendall(request.encode())
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            assert closed == []
        for _ in range(600):
            if closed:
                break
            time.sleep(0.05)
    assert len(closed) == 1


def test_posters_strips_and_the_source(page: Page) -> None:
    poster = page.get(f"/media/{MEDIA}/poster")
    assert (poster.status, poster.body, poster.headers["content-type"]) == (200, THUMBNAIL, "image/jpeg")
    for _ in range(2):  # the second comes from the cache
        assert page.get(f"/media/{MEDIA}/frames?indices=0,4,8").body == JPEG
    assert page.get(f"/media/{MEDIA}/source/before").body == JPEG
    assert page.pictures.asked == [(len(CONTENT), (0, 4, 8)), ("/raw/a.mp4", "before")]
    whole = page.get(f"/media/{MEDIA}/source/after/video")
    assert (whole.status, whole.body, whole.headers["content-type"]) == (200, MP4, "video/mp4")
    part = page.get(f"/media/{MEDIA}/source/after/video", range="bytes=4-7")
    assert (part.status, part.body) == (206, MP4[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{len(MP4)}"
    assert page.get(f"/media/{MEDIA}/source/after/video", range="bytes=99-").status == 416
    assert page.pictures.asked[2:] == [("/raw/a.mp4", "after", "video")]
    for bad in ("", "a", "1,,2", "-1", ",".join("1" * 33), "123456789"):
        assert page.get(f"/media/{MEDIA}/frames?indices={bad}").status == 400, bad
    assert page.get(f"/media/{MEDIA}/source/around").status == 404


def test_a_tar_that_is_gone_or_damaged_is_named(tmp_path: Path) -> None:
    dataset = make_dataset(str(tmp_path / "d"))
    tar = tmp_path / "d" / "media" / "one.tar"
    with running(dataset, tmp_path / "state") as page:
        page.open_session()
        os.truncate(tar, 1000)
        short = page.get(f"/media/{MEDIA}")
        assert short.status == 410
        assert "ends before this clip" in short.json["error"]
        assert page.get(f"/media/{MEDIA}/frames?indices=0").json["error"] == short.json["error"]
        tar.unlink()
        gone = page.get(f"/media/{MEDIA}", range="bytes=0-99")
        assert gone.status == 410
        assert "media/one.tar: the tar with this clip is gone" in gone.json["error"]
        strip = page.get(f"/media/{MEDIA}/frames?indices=1")
        assert (strip.status, strip.json["error"]) == (410, gone.json["error"])
        assert page.get(f"/media/{MEDIA}/poster").status == 200


@pytest.mark.parametrize(
    "path", ["/etc/hostname", "media/../x.tar", "../a.tar", "media/a.tar/..", "media/a.bin"]
)
def test_a_row_that_names_another_file_is_refused(path: str) -> None:
    row = {"media_id": MEDIA, "clip_id": "c", "path": path, "offset": 0, "length": 9}
    with pytest.raises(ValueError, match="no tar in media/"):
        media_place(row | {"extension": "mp4", "digest": ""})


def test_a_range_has_a_beginning_and_an_end() -> None:
    assert parse_range(None, 10) is None
    assert parse_range("bytes = 2 - 4", 10) == ByteRange(start=2, stop=5)
    with pytest.raises(UnsatisfiableRange):
        parse_range("bytes=0-", 0)
