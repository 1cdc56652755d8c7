"""Every verb over HTTP, in both shapes that clients send; what a video object says; and what is refused."""

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from served_videos import SMALL, Videos, clip_mp4, serving, still_png

from video.frames import read_clip
from video.tags import read_tags


@pytest.fixture(scope="module")
def videos(legacy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Videos]:
    with serving(legacy_model, tmp_path_factory.mktemp("state"), max_upload_mb=1, max_seconds=20) as videos:
        yield videos


@pytest.fixture(scope="module")
def made(videos: Videos) -> str:
    """The id of a finished video of 5 frames."""
    video = videos.make(videos.post(prompt="a red circle", **SMALL))
    assert video["status"] == "completed", video
    return video["id"]


def data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def error(answer) -> dict:
    found = answer.json()["error"]
    assert found.keys() == {"message", "type", "param", "code"}
    return found


def frames_of(videos: Videos, video_id: str, tmp_path: Path) -> np.ndarray:
    path = tmp_path / f"{video_id}.mp4"
    path.write_bytes(videos.content(video_id).content)
    return read_clip(path)[0]


def test_a_video_is_made_and_shown_as_the_interface_says(videos, tmp_path):
    answer = videos.post(
        prompt="a red circle", model="sora-2", seconds="1", size="48x32", seed="7", mood="calm"
    )
    first = answer.json()
    assert (first["object"], first["progress"]) == ("video", 0)
    assert first["status"] in ("queued", "in_progress")  # the queue may be empty
    assert (first["seconds"], first["size"], first["prompt"]) == ("1", "48x32", "a red circle")
    assert answer.headers["openai-poll-after-ms"] == "500"
    assert "mood: unknown, and ignored; model: sora-2 was asked for" in answer.headers["x-kinora-notes"]
    video = videos.make(answer)
    assert (video["status"], video["progress"], video["error"]) == ("completed", 100, None)
    assert (video["frames"], video["fps"], video["seed"], video["verb"]) == (9, 8.0, "7", "text")
    assert video["completed_at"] >= video["created_at"]
    assert video["expires_at"] - video["completed_at"] in (168 * 3600 - 1, 168 * 3600, 168 * 3600 + 1)
    content = videos.content(video["id"])
    assert content.headers["content-type"] == "video/mp4"
    assert frames_of(videos, video["id"], tmp_path).shape == (9, 32, 48, 3)
    tags = read_tags(tmp_path / f"{video['id']}.mp4")
    assert (tags["prompt"], tags["seed"], tags["safety"]) == ("a red circle", "7", "prompts not checked")


def test_the_same_request_as_json_makes_the_same_video(videos, tmp_path):
    fields = {"prompt": "a blue square", "seed": 3, "size": "32x32", "num_frames": 5}
    both = [videos.json(**fields), videos.post(**{name: str(value) for name, value in fields.items()})]
    ids = [videos.make(answer)["id"] for answer in both]
    assert np.array_equal(*(frames_of(videos, video_id, tmp_path) for video_id in ids))


def test_a_video_is_served_by_range_with_its_pictures(videos, made, tmp_path):
    whole = videos.content(made)
    part = videos.content(made, range="bytes=4-7")
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert part.headers["content-range"] == f"bytes 4-7/{len(whole.content)}"
    assert videos.content(made, range="bytes=99999999-").status_code == 416
    for variant, shape in (("thumbnail", (32, 32, 3)), ("spritesheet", (64, 128, 3))):
        answer = videos.content(made, variant)
        assert answer.headers["content-type"] == "image/jpeg"
        assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), 1).shape == shape, variant
        (tmp_path / variant).write_bytes(answer.content)
        assert read_tags(tmp_path / variant)["prompt"] == "a red circle"
    assert error(videos.content(made, "poster"))["param"] == "variant"


@pytest.mark.parametrize("shape", ["file", "data URL", "object", "text of an object"])
def test_an_image_is_animated(videos, shape):
    url = data_url(still_png(), "image/png")
    if shape == "file":
        answer = videos.post(
            prompt="x", files=[("input_reference", ("a.png", still_png(), "image/png"))], **SMALL
        )
    elif shape == "text of an object":
        answer = videos.post(prompt="x", image_reference=json.dumps({"image_url": url}), **SMALL)
    else:
        value = url if shape == "data URL" else {"image_url": url}
        answer = videos.json(prompt="x", input_reference=value, **SMALL)
    video = videos.make(answer)
    assert (video["status"], video["verb"], video["frames"]) == ("completed", "animate", 5), video


def test_images_stand_at_places(videos):
    files = [("image[]", (f"{n}.png", still_png(), "image/png")) for n in range(2)]
    assert "give one place for each" in error(videos.post(prompt="x", files=files, at_frame="0"))["message"]
    answer = videos.post(prompt="x", files=files, at_frame="[0, -1]", **SMALL)
    video = videos.make(answer)
    assert (video["status"], video["verb"]) == ("completed", "animate")


@pytest.mark.parametrize("shape", ["file", "id", "parts of an id"])
def test_a_video_is_extended_and_is_as_long_as_both(videos, made, shape, tmp_path):
    shared = {"prompt": "x", "seconds": "1"}
    if shape == "file":
        answer = videos.post("/extensions", files=[("video", ("v.mp4", clip_mp4(), "video/mp4"))], **shared)
        frames, seconds = 9 + 8, "2.125"
    else:
        value = {"video[id]": made} if shape == "parts of an id" else {}
        answer = (videos.post if value else videos.json)(
            "/extensions", **shared, **(value or {"video": {"id": made}})
        )
        frames, seconds = 5 + 8, "1.625"
    video = videos.make(answer)
    assert (video["status"], video["verb"], video["frames"]) == ("completed", "extend", frames), video
    assert video["seconds"] == seconds
    assert video["remixed_from_video_id"] == (None if shape == "file" else made)


def test_a_video_is_remixed_and_edited(videos, made):
    remix = videos.make(videos.json(f"/{made}/remix", prompt="a blue circle"))
    assert (remix["verb"], remix["frames"], remix["remixed_from_video_id"]) == ("edit", 5, made)
    assert (remix["size"], remix["seconds"]) == ("32x32", videos.show(made)["seconds"])
    by_id = videos.make(videos.json("/edits", prompt="x", video={"id": made}, strength=0.5))
    by_file = videos.make(
        videos.post("/edits", prompt="x", files=[("video", ("a", clip_mp4(5)))], size="32x32")
    )
    reference = [("input_reference", ("a", clip_mp4(5)))]
    by_reference = videos.make(videos.post(prompt="x", files=reference, size="32x32", seconds="4"))
    assert "seconds: left out, as an edit is as long as its video" in by_reference["notes"]
    assert [each["verb"] for each in (by_id, by_file, by_reference)] == ["edit"] * 3
    assert [each["frames"] for each in (by_id, by_file, by_reference)] == [5] * 3


def test_what_the_interface_lacks_has_fields_of_its_own(videos, made):
    loop = videos.make(videos.json(prompt="x", loop=True, size="32x32", seconds=1))
    assert (loop["verb"], loop["frames"]) == ("loop", 8)
    pair = [{"id": made}, {"id": made}]
    joined = videos.make(videos.json(prompt="x", connect=pair, seconds=0.5))
    assert (joined["verb"], joined["frames"], joined["seconds"]) == ("connect", 14, "1.75")
    parts = [("connect[][id]", (None, made)), ("connect[][id]", (None, made))]
    assert videos.make(videos.post(prompt="x", seconds="0.5", files=parts))["frames"] == 14
    later = videos.make(videos.json(prompt="x", prompt_at=[[0.5, "two"]], **SMALL))
    assert later["status"] == "completed"
    before = videos.make(
        videos.json("/extensions", prompt="x", video={"id": made}, extend="backward", num_frames=5)
    )
    assert before["frames"] == 10
    image = videos.make(videos.json(prompt="x", size="32x32", frames=1))
    assert videos.content(image["id"]).headers["content-type"] == "image/png"
    draft = videos.make(videos.json(prompt="a draft", draft=True, size="128x128", num_frames=5, seed=9))
    assert draft["size"] == "64x64"
    final = videos.make(videos.json(from_draft={"id": draft["id"]}, size="96x96"))
    assert (final["prompt"], final["seed"], final["size"]) == ("a draft", "9", "96x96")


def test_a_synchronous_request_is_answered_with_the_file(videos, tmp_path):
    answer = videos.post("/sync", prompt="x", **SMALL)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert videos.show(answer.headers["x-kinora-video-id"])["status"] == "completed"
    (tmp_path / "a.mp4").write_bytes(answer.content)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert len([*container.decode(video=0)]) == 5
    failed = videos.post("/sync", prompt="x", prompt_at='[[9, "later"]]', **SMALL)
    assert (failed.status_code, error(failed)["code"]) == (400, "invalid_value")


def test_videos_are_listed_in_pages(videos):
    for _ in range(3):
        videos.make(videos.post(prompt="x", **SMALL))
    first = videos.client.get("/v1/videos?limit=2").json()
    assert (first["object"], len(first["data"]), first["has_more"]) == ("list", 2, True)
    found, after = [], None
    while True:
        query = {"limit": "2", "order": "asc"} | ({"after": after} if after else {})
        page = videos.client.get("/v1/videos", params=query).json()
        found += [each["id"] for each in page["data"]]
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert len({*found}) == len(found)
    assert found[-2:] == [each["id"] for each in first["data"]][::-1]
    for query, param in (("limit=0", "limit"), ("limit=x", "limit"), ("order=up", "order")):
        assert error(videos.client.get(f"/v1/videos?{query}"))["param"] == param
    assert videos.client.get("/v1/videos?after=video_x").status_code == 404


def test_a_video_is_deleted(videos):
    video = videos.make(videos.post(prompt="x", **SMALL))
    path = f"/v1/videos/{video['id']}"
    assert videos.client.delete(path).json() == {
        "id": video["id"],
        "object": "video.deleted",
        "deleted": True,
    }
    for answer in (videos.client.get(path), videos.client.delete(path), videos.content(video["id"])):
        assert (answer.status_code, error(answer)["code"]) == (404, "not_found")
    assert [each.name for each in (videos.state / "videos").iterdir() if video["id"] in each.name] == []


NOT_AN_IMAGE = [("input_reference", ("a.png", b"this is no picture", "image/png"))]


@pytest.mark.parametrize(
    ("values", "files", "param", "words"),
    [
        ({"seconds": "1"}, [], None, "the prompt is empty"),
        ({"prompt": " "}, [], None, "the prompt is empty"),
        ({"prompt": "x", "size": "big"}, [], "size", "expected WIDTHxHEIGHT"),
        ({"prompt": "x", "size": "33x32"}, [], None, "sides must be multiples of 16"),
        ({"prompt": "x", "size": "4096x4096"}, [], "size", "is too large"),
        ({"prompt": "x", "seconds": "soon"}, [], "seconds", "'soon' cannot be used"),
        ({"prompt": "x", "seconds": "-1"}, [], "seconds", "out of range"),
        ({"prompt": "x", "seconds": "nan"}, [], "seconds", "is no number"),
        ({"prompt": "x", "seconds": "1000"}, [], "seconds", "20 at most"),
        ({"prompt": "x", "num_frames": "8"}, [], None, "1 more than a multiple of 4"),
        ({"prompt": "x", "num_frames": "5", "frames": "5"}, [], "num_frames", "under another name"),
        ({"prompt": "x", "fps": "30"}, [], "fps", "makes 8 frames a second"),
        ({"prompt": "x", "flow_shift": "3"}, [], "flow_shift", "cannot be set"),
        ({"prompt": "x", "num_inference_steps": "0"}, [], "steps", "out of range"),
        ({"prompt": "x", "extend": "sideways"}, [], "extend", "is none of forward, backward"),
        ({"prompt": "x", "strength": "0.5"}, [], "strength", "add one, or leave it out"),
        ({"prompt": "x", "extra_params": "[1]"}, [], "extra_params", "no JSON object"),
        ({"prompt": "x", "seed": "1", "seed[x]": "2"}, [], "seed", "is given in two ways"),
        ({"prompt": "x"}, NOT_AN_IMAGE, "input_reference", "no known video or image format (NOT_MEDIA)"),
        ({"prompt": "x", "input_reference": "/etc/passwd"}, [], "input_reference", "neither a data URL nor"),
        (
            {"prompt": "x", "input_reference": "http://127.0.0.1/a"},
            [],
            "input_reference",
            "nothing is fetched",
        ),
        ({"prompt": "x", "input_reference": "data:image/png;base64,%%"}, [], "input_reference", "no base64"),
        ({"prompt": "x", "video_reference": '{"file_id": "f"}'}, [], "video_reference", "no files here"),
        ({"prompt": "x", "from_draft": "video_" + "0" * 32}, [], "video_id", "no such video"),
    ],
)
def test_a_bad_request_says_what_is_wrong_and_leaves_nothing(videos, values, files, param, words):
    before = sorted(path.name for path in (videos.state / "videos").iterdir())
    answer = videos.post(files=files, **values)
    found = error(answer)
    assert answer.status_code == (404 if param == "video_id" else 400)
    assert words in found["message"], found
    assert found["param"] == param or param is None
    assert "/state" not in found["message"]
    assert sorted(path.name for path in (videos.state / "videos").iterdir()) == before


def test_what_an_address_needs_is_named(videos, made):
    assert "give the video" in error(videos.post("/edits", prompt="x"))["message"]
    assert "give two" in error(videos.json(prompt="x", connect=[{"id": made}]))["message"]
    both = videos.json(prompt="x", image_reference="data:,x", video_reference="data:,x")
    assert "give one of them" in error(both)["message"]
    waiting = videos.post(prompt="x", **(SMALL | {"num_inference_steps": "2000"})).json()["id"]
    for answer in (videos.content(waiting), videos.json(f"/{waiting}/remix", prompt="x")):
        assert (answer.status_code, error(answer)["code"]) == (400, "video_not_ready")
    videos.client.delete(f"/v1/videos/{waiting}")


def test_ids_of_another_form_are_not_found(videos):
    for video_id in (
        "x",
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "video_" + "G" * 32,
        "a" * 3000,
        "%00",
        "ü",
    ):
        for path in (video_id, f"{video_id}/content"):
            answer = videos.client.get(f"/v1/videos/{path}")
            assert answer.status_code in (307, 404), video_id
            assert error(answer)["code"] == "not_found"
            assert b"root:" not in answer.content


def test_bodies_have_a_kind_and_a_size(videos):
    url, headers = "/v1/videos", {"content-type": "text/plain"}
    assert error(videos.client.post(url, content=b"x", headers=headers))["code"] == "unsupported_media_type"
    for content in (b"{", b"[]", b'"x"', b'{"prompt": "\\ud83d"}', b"[" * 100_000):
        answer = videos.client.post(url, content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, "the body" in error(answer)["message"]) == (400, True), content[:20]
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert videos.client.post(url, content=b"no parts", headers=broken).status_code == 400
    assert (
        videos.client.post(url, content=b"x", headers={"content-type": "multipart/form-data"}).status_code
        == 400
    )
    large = [("input_reference", ("a.mp4", b"x" * 2**20, "video/mp4"))]
    answer = videos.post(prompt="x", files=large)
    assert (answer.status_code, error(answer)["code"]) == (413, "request_too_large")

    def chunks():
        yield b'{"prompt": "'
        for _ in range(20):
            yield b"x" * 2**16

    answer = videos.client.post(url, content=chunks(), headers={"content-type": "application/json"})
    assert (answer.status_code, error(answer)["code"]) == (413, "request_too_large")


def test_a_client_that_goes_away_leaves_nothing(videos):
    before = len(videos.client.get("/v1/videos?limit=100").json()["data"])
    head = "POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    head += (
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\nContent-Disposition: form-data; name="
    )
    with socket.create_connection(("127.0.0.1", videos.port)) as client:
        client.sendall(head.encode())
    videos.make(videos.post(prompt="x", **SMALL))
    assert len(videos.client.get("/v1/videos?limit=100").json()["data"]) == before + 1
    assert [path.name for path in (videos.state / "videos").iterdir() if path.name.startswith(".")] == []


def test_other_addresses_and_methods_are_errors_of_the_interface(videos, made):
    assert error(videos.client.get("/v1/chat"))["code"] == "not_found"
    assert error(videos.client.get("/"))["code"] == "not_found"
    put = videos.client.put(f"/v1/videos/{made}")
    assert (put.status_code, error(put)["code"]) == (405, "method_not_allowed")


def test_pages_of_other_sites_are_refused(videos):
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = videos.client.post("/v1/videos", json={"prompt": "x"}, headers=headers)
        assert (answer.status_code, error(answer)["code"]) == (403, "cross_site_request")
    answer = videos.client.get("/v1/videos", headers={"host": "evil.example"})
    assert (answer.status_code, error(answer)["code"]) == (421, "unknown_host")
    assert "kinora serve" in error(answer)["message"]
