"""Tags come back whole from every container that is written, and stock readers see them."""

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from video.encode import VideoWriter
from video.errors import VideoError
from video.formats import CONTAINER_CODECS
from video.gif import encode_gif
from video.tags import read_tags, with_jpeg_tags, with_png_tags

TAGS = {
    "prompt": 'a "red" circle; ein roter Kreis, 赤い円\nmoves left',
    "seed": str(2**64),
    "long": "word " * 20_000,
    "empty": "",
}
FRAMES_THWC = np.random.default_rng(0).integers(0, 255, (3, 32, 48, 3), np.uint8)


def write_video(path, tags):
    container = path.suffix[1:]
    codec = CONTAINER_CODECS[container][0]
    with VideoWriter(path, height=32, width=48, fps=8, container=container, codec=codec, tags=tags) as writer:
        for number, frame_HWC in enumerate(FRAMES_THWC):
            writer.write(frame_HWC, number)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "webm"])
def test_tags_come_back_from_a_video(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    write_video(path, TAGS)
    found = read_tags(path)
    assert {name: found.get(name, "") for name in TAGS} == TAGS
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_a_video_without_tags_is_as_before(tmp_path):
    write_video(tmp_path / "a.mp4", {})
    assert "prompt" not in read_tags(tmp_path / "a.mp4")
    assert b"mdta" not in (tmp_path / "a.mp4").read_bytes()


def test_tags_come_back_from_a_gif_and_its_frames_stay(tmp_path):
    encode_gif(FRAMES_THWC, 8, tmp_path / "a.gif", tags=TAGS)
    encode_gif(FRAMES_THWC, 8, tmp_path / "bare.gif")
    assert read_tags(tmp_path / "a.gif").items() >= TAGS.items()
    assert "prompt" not in read_tags(tmp_path / "bare.gif")
    with av.open(str(tmp_path / "a.gif")) as tagged, av.open(str(tmp_path / "bare.gif")) as bare:
        frames = [[f.to_ndarray(format="rgb24") for f in file.decode(video=0)] for file in (tagged, bare)]
    assert np.array_equal(*frames)
    with Image.open(tmp_path / "a.gif") as image:
        assert b'"prompt"' in image.info["comment"]


def test_tags_come_back_from_png_and_jpeg(tmp_path):
    png, jpg = (cv2.imencode(ending, FRAMES_THWC[0])[1].tobytes() for ending in (".png", ".jpg"))
    (tmp_path / "a.png").write_bytes(with_png_tags(png, TAGS))
    (tmp_path / "a.jpg").write_bytes(with_jpeg_tags(jpg, TAGS))
    for name, content in (("a.png", png), ("a.jpg", jpg)):
        assert read_tags(tmp_path / name) == TAGS
        bare = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(cv2.imread(str(tmp_path / name)), bare)
    with Image.open(tmp_path / "a.png") as image:
        assert image.text["prompt"] == TAGS["prompt"]
    with Image.open(tmp_path / "a.jpg") as image:
        image.load()


def test_a_comment_of_somebody_else_is_a_comment(tmp_path):
    Image.fromarray(FRAMES_THWC[0]).save(tmp_path / "a.jpg", comment=b"on holiday")
    assert read_tags(tmp_path / "a.jpg") == {"comment": "on holiday"}


def test_what_is_no_media_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"not a video at all" * 20)
    with pytest.raises(VideoError, match="no known video or image"):
        read_tags(tmp_path / "a.mp4")
