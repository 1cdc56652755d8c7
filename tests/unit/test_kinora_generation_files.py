"""A result is whole or not there, and no file is ever replaced."""

import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from kinora.generation import files
from kinora.generation.files import IMAGES, VIDEOS, check_ending, check_place, new_file, write_media
from video.tags import read_tags

FRAMES_THWC = np.random.default_rng(0).integers(0, 255, (5, 32, 48, 3), np.uint8)


@pytest.mark.parametrize("ending", VIDEOS)
def test_chunks_become_a_video_of_all_frames_with_its_tags(tmp_path, ending):
    out = tmp_path / f"a.{ending}"
    chunks = iter((FRAMES_THWC[:2], FRAMES_THWC[2:]))
    assert write_media(chunks, 8, ending, out, {"prompt": "a", "seed": "3"}) == 5
    with av.open(str(out)) as container:
        assert [(f.width, f.height) for f in container.decode(video=0)] == [(48, 32)] * 5
    assert read_tags(out)["seed"] == "3"


@pytest.mark.parametrize("ending", IMAGES)
def test_an_image_is_the_first_frame(tmp_path, ending):
    out = tmp_path / f"a.{ending}"
    assert write_media([FRAMES_THWC[:1]], 8, ending, out, {"seed": "3"}) == 1
    image_HWC = cv2.cvtColor(cv2.imread(str(out)), cv2.COLOR_BGR2RGB)
    assert image_HWC.shape == (32, 48, 3)
    assert ending != "png" or np.array_equal(image_HWC, FRAMES_THWC[0])
    assert read_tags(out)["seed"] == "3"


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_stays_after_an_error_or_an_interrupt(tmp_path, stop):
    def write_half() -> None:
        with new_file(tmp_path / "new" / "a.mp4") as partial:
            partial.write_bytes(b"half")
            raise stop

    with pytest.raises(stop):
        write_half()
    assert [*tmp_path.rglob("*.*")] == []


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    out = tmp_path / "a.mp4"
    with pytest.raises(ValueError, match="already exists; choose another"), new_file(out):
        out.write_bytes(b"theirs")
    assert out.read_bytes() == b"theirs"
    assert [*tmp_path.iterdir()] == [out]


def test_files_have_the_usual_permissions_also_without_hard_links(tmp_path, monkeypatch):
    (tmp_path / "usual").touch()
    usual = (tmp_path / "usual").stat().st_mode

    def no_links(*_: object) -> None:
        raise OSError(files.errno.EPERM, "Operation not permitted")

    for name in ("linked", "renamed"):
        with new_file(tmp_path / name) as partial:
            partial.write_bytes(b"x")
        assert (tmp_path / name).read_bytes() == b"x"
        assert (tmp_path / name).stat().st_mode == usual
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(ValueError, match="already exists"), new_file(tmp_path / "renamed"):
        pass


@pytest.mark.parametrize(
    ("name", "frames", "words"),
    [
        ("a", None, "the ending says how to write it: use .mp4"),
        ("a.txt", None, "the ending says how to write it"),
        ("a.png", None, "add --frames 1, or name a video such as a.mp4"),
        ("a.jpg", 5, "add --frames 1"),
    ],
)
def test_endings_that_cannot_be_written_are_refused(tmp_path, name, frames, words):
    with pytest.raises(ValueError, match=words):
        check_ending(tmp_path / name, frames)


def test_a_place_that_cannot_be_written_is_found_first(tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(ValueError, match="already exists"):
        check_place(tmp_path / "a")
    with pytest.raises(OSError):
        check_place(tmp_path / "a" / "b.mp4")
    check_place(tmp_path / "new" / "b.mp4")
    with pytest.raises(OSError, match=r"'/proc/b\.mp4'"):
        check_place(Path("/proc/b.mp4"))
    assert [*(tmp_path / "new").iterdir()] == []
