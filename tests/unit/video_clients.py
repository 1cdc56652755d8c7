"""Call every verb of a server with a client of other people, and print what came back as JSON.

Run it with an interpreter that has them: `python video_clients.py CLIENT BASE_URL IMAGE VIDEO`.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

SHARED = {"model": "sora-2", "seconds": "1", "size": "32x32"}
EXTRA = {"seed": 5, "num_inference_steps": 2, "guidance_scale": 2.0}

Log = list[dict[str, Any]]


def official(base_url: str, image: str, video: str) -> Log:
    from openai import BadRequestError, NotFoundError, OpenAI

    client = OpenAI(base_url=base_url, api_key="any", max_retries=0)
    log: Log = []

    def done(call: str, found: Any, **more: Any) -> Any:
        log.append({"call": call, **more, **(found.model_dump() if hasattr(found, "model_dump") else {})})
        return found

    def finished(call: str, found: Any) -> Any:
        return done(call, client.videos.poll(found.id))

    first = done("create", client.videos.create(prompt="a red circle", extra_body=EXTRA, **SHARED))
    first = finished("poll", first)
    done("retrieve", client.videos.retrieve(first.id))
    with open(image, "rb") as file:
        finished(
            "create with an image",
            client.videos.create(prompt="x", input_reference=file, extra_body=EXTRA, **SHARED),
        )
    with open(video, "rb") as file:
        finished(
            "create with a video",
            client.videos.create(
                prompt="x", input_reference=file, extra_body=EXTRA, **SHARED | {"seconds": "1"}
            ),
        )
    with open(video, "rb") as file:
        finished("edit", client.videos.edit(prompt="x", video=file, extra_body=EXTRA | {"strength": 0.5}))
    with open(video, "rb") as file:
        finished("extend", client.videos.extend(prompt="x", seconds="1", video=file, extra_body=EXTRA))
    by_id = client.post(
        "/videos/extensions",
        body={"prompt": "x", "seconds": "1", "video": {"id": first.id}, **EXTRA},
        cast_to=type(first),
    )
    finished("extend by id", by_id)
    finished("remix", client.videos.remix(first.id, prompt="a blue circle", extra_body=EXTRA))
    finished("loop", client.videos.create(prompt="x", extra_body=EXTRA | {"loop": True}, **SHARED))
    finished(
        "connect",
        client.videos.create(prompt="x", extra_body=EXTRA | {"connect": [{"id": first.id}] * 2}, **SHARED),
    )
    finished(
        "draft",
        client.videos.create(prompt="x", extra_body=EXTRA | {"draft": True}, **SHARED | {"size": "128x128"}),
    )
    finished(
        "prompts over time",
        client.videos.create(prompt="x", extra_body=EXTRA | {"prompt_at": [[0.5, "y"]]}, **SHARED),
    )
    done("create and poll", client.videos.create_and_poll(prompt="x", extra_body=EXTRA, **SHARED))
    for variant in ("video", "thumbnail", "spritesheet"):
        content = client.videos.download_content(first.id, variant=variant).read()
        done(f"content {variant}", None, start=content[:12].hex(), bytes=len(content))
    pages = [each.id for each in client.videos.list(limit=4, order="asc")]
    done("list", None, ids=pages)
    done("delete", client.videos.delete(first.id))
    for name, call, kind in (
        ("retrieve what is deleted", lambda: client.videos.retrieve(first.id), NotFoundError),
        (
            "a size that is none",
            lambda: client.videos.create(prompt="x", **SHARED | {"size": "huge"}),
            BadRequestError,
        ),
        (
            "no image",
            lambda: client.videos.create(prompt="x", input_reference=b"text", **SHARED),
            BadRequestError,
        ),
    ):
        try:
            call()
        except kind as error:
            done(name, None, code=error.code, param=error.param, message=str(error))
    return log


def litellm_(base_url: str, image: str, video: str) -> Log:
    import litellm

    at: dict[str, Any] = {"api_base": base_url, "api_key": "any", "custom_llm_provider": "openai"}
    log: Log = []

    def done(call: str, found: Any, **more: Any) -> Any:
        log.append({"call": call, **more, **(found.model_dump() if hasattr(found, "model_dump") else {})})
        return found

    def finished(call: str, found: Any) -> Any:
        while (found := litellm.video_status(video_id=found.id, **at)).status in ("queued", "in_progress"):
            time.sleep(0.1)
        return done(call, found)

    first = done("create", litellm.video_generation(prompt="a red circle", extra_body=EXTRA, **SHARED, **at))
    first = finished("poll", first)
    with open(image, "rb") as file:
        finished(
            "create with an image",
            litellm.video_generation(
                prompt="x", input_reference=file.read(), extra_body=EXTRA, **SHARED, **at
            ),
        )
    with open(video, "rb") as file:
        finished(
            "create with a video",
            litellm.video_generation(
                prompt="x", input_reference=file.read(), extra_body=EXTRA, **SHARED, **at
            ),
        )
    finished("remix", litellm.video_remix(video_id=first.id, prompt="a blue circle", **at))
    finished("edit", litellm.video_edit(video_id=first.id, prompt="x", **at))
    finished("extend", litellm.video_extension(video_id=first.id, prompt="x", seconds="1", **at))
    finished("loop", litellm.video_generation(prompt="x", extra_body=EXTRA | {"loop": True}, **SHARED, **at))
    for variant in ("video", "thumbnail"):
        content = litellm.video_content(video_id=first.id, variant=variant, **at)
        done(f"content {variant}", None, start=content[:12].hex(), bytes=len(content))
    page: Any = litellm.video_list(limit=4, **at)  # the whole answer, not the list that its type states
    done("list", None, ids=[each["id"] for each in page["data"]])
    for name, call in (
        (
            "a size that is none",
            lambda: litellm.video_generation(prompt="x", **SHARED | {"size": "huge"}, **at),
        ),
        ("a path", lambda: litellm.video_generation(prompt="x", input_reference=image, **SHARED, **at)),
    ):
        try:
            call()
        except litellm.BadRequestError as error:
            done(name, None, message=str(error))
    return log


CLIENTS: dict[str, Callable[[str, str, str], Log]] = {"openai": official, "litellm": litellm_}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(CLIENTS[sys.argv[1]](*sys.argv[2:]), default=str))
