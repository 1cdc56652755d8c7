"""Images and videos of every kind are read as they are shown, fitted, and described."""

import io
from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image

from kinora.generation import inputs
from kinora.generation.inputs import MediaReader
from kinora.generation.shapes import Size
from video.encode import encode_mp4
from video.gif import encode_gif

SIZE = Size(64, 32)
RED, BLUE = (250, 20, 20), (20, 20, 250)


@pytest.fixture(scope="module")
def reader():
    with MediaReader() as reader:
        yield reader


def two_halves(height: int, width: int) -> np.ndarray:
    """An image with a red left half and a blue right half."""
    image_HWC = np.full((height, width, 3), RED, np.uint8)
    image_HWC[:, width // 2 :] = BLUE
    return image_HWC


def assert_halves(frames_THWC, tolerance=12):
    assert frames_THWC.shape == (1, 32, 64, 3)
    for column, color in ((8, RED), (56, BLUE)):
        assert np.abs(frames_THWC[0, 16, column].astype(int) - color).max() <= tolerance


def rotated_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned by 90 degrees
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(two_halves(100, 200))))
    buffer = io.BytesIO()
    turned.save(buffer, "JPEG", exif=exif, quality=95)
    return buffer.getvalue()


def saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


HALVES = Image.fromarray(two_halves(100, 200))
RGB16 = cv2.imencode(".png", cv2.cvtColor(two_halves(100, 200), cv2.COLOR_RGB2BGR).astype(np.uint16) * 257)[1]
IMAGES = {
    "rgb.png": saved(HALVES, "PNG"),
    "photo.jpg": saved(HALVES, "JPEG"),
    "exif.jpg": rotated_exif(),
    "palette.png": saved(HALVES.convert("P"), "PNG"),
    "alpha.png": saved(HALVES.convert("RGBA"), "PNG"),
    "deep.png": RGB16.tobytes(),
    "small.png": saved(Image.fromarray(two_halves(4, 8)), "PNG"),
    "large.webp": saved(Image.fromarray(two_halves(1500, 3000)), "WEBP"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_of_any_kind_is_read_as_it_is_shown(reader, tmp_path, name):
    (tmp_path / name).write_bytes(IMAGES[name])
    frames_THWC, notes = reader.image(tmp_path / name, SIZE, "--image")
    assert_halves(frames_THWC, 20 if name == "photo.jpg" else 12)
    assert any("over white" in note for note in notes) == (name == "alpha.png")


def test_grey_and_transparency_become_rgb_over_white(reader, tmp_path):
    Image.new("L", (20, 10), 77).save(tmp_path / "grey.png")
    assert (reader.image(tmp_path / "grey.png", SIZE, "--image").frames_THWC == 77).all()
    half_clear = Image.new("RGBA", (20, 10), (0, 0, 0, 128))
    half_clear.save(tmp_path / "clear.png")
    frames_THWC, notes = reader.image(tmp_path / "clear.png", SIZE, "--image")
    assert np.abs(frames_THWC.astype(int) - 127).max() <= 1
    assert notes[0].endswith("clear.png: transparent parts are shown over white")


def test_a_crop_is_said_with_its_share(reader):
    frames_THWC, notes = reader.image(two_halves(100, 100), SIZE, "--image")
    assert frames_THWC.shape == (1, 32, 64, 3)
    assert notes == ("--image: 50% of 100x100 is cropped away to fit 64x32",)
    assert reader.size(two_halves(30, 70), "--image") == Size(70, 30)


def test_of_an_animation_the_first_frame_is_taken_with_a_word(reader, tmp_path):
    frames_THWC = np.stack([two_halves(32, 64), np.zeros((32, 64, 3), np.uint8)])
    encode_gif(frames_THWC, 8, tmp_path / "a.gif")
    first_THWC, notes = reader.image(tmp_path / "a.gif", SIZE, "--image")
    assert_halves(first_THWC)
    assert any("it moves: its first frame is used" in note for note in notes)


def counting(num_frames: int) -> np.ndarray:
    """Frames whose grey level is 4 times their number."""
    return np.stack([np.full((32, 64, 3), 4 * t, np.uint8) for t in range(num_frames)])


def numbers(frames_THWC: np.ndarray) -> list[int]:
    return np.round(frames_THWC.mean(axis=(1, 2, 3)) / 4).astype(int).tolist()


def test_a_video_of_the_models_rate_keeps_every_frame(reader, tmp_path):
    encode_mp4(counting(17), 8, tmp_path / "a.mp4", crf=1)
    frames_THWC, notes = reader.video(tmp_path / "a.mp4", SIZE, 8, "--video")
    assert numbers(frames_THWC) == [*range(17)]
    assert notes == ()


def test_another_rate_is_resampled_by_time(reader, tmp_path):
    encode_mp4(counting(48), 24, tmp_path / "a.mp4", crf=1)
    frames_THWC, notes = reader.video(tmp_path / "a.mp4", SIZE, 8, "--video")
    assert numbers(frames_THWC) == [*range(0, 48, 3)]
    assert notes == (f"--video {tmp_path / 'a.mp4'}: its 24 frames a second become the model's 8",)
    encode_mp4(counting(4), 4, tmp_path / "slow.mp4", crf=1)
    slow_THWC = reader.video(tmp_path / "slow.mp4", SIZE, 8, "--video").frames_THWC
    assert numbers(slow_THWC) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_variable_rate_is_resampled_by_the_times_of_its_frames(reader, tmp_path):
    pts = [0, 100, 200, 700, 800, 900]  # frame 2 stands for half a second
    encode_mp4(counting(6), 10, tmp_path / "a.mp4", crf=1, pts=pts, time_base=Fraction(1, 1000))
    frames_THWC = reader.video(tmp_path / "a.mp4", SIZE, 10, "--video").frames_THWC
    assert numbers(frames_THWC) == [0, 1, 2, 2, 2, 3, 3, 3, 4, 5]


def test_one_frame_is_a_video(reader, tmp_path):
    encode_mp4(counting(1), 8, tmp_path / "a.mp4")
    frames_THWC, notes = reader.video(tmp_path / "a.mp4", SIZE, 8, "--video")
    assert len(frames_THWC) == 1
    assert any("it holds one frame" in note for note in notes)


def test_a_video_that_is_too_long_is_refused_before_it_is_decoded(reader, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_INPUT_MB", 0.05)
    encode_mp4(counting(40), 8, tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"--video .*: 5 s are too long: 40 frames of 64x32 .*cut out 1 s"):
        reader.video(tmp_path / "a.mp4", SIZE, 8, "--video")


def test_bad_files_are_named_with_the_flag_and_a_remedy(reader, tmp_path):
    encode_mp4(np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8), 8, tmp_path / "a.mp4")
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.jpg").write_bytes(IMAGES["exif.jpg"][:700])
    (tmp_path / "text.png").write_text("this is no image\n" * 9)
    (tmp_path / "text").write_text("this is no image\n" * 9)
    (tmp_path / "empty.png").touch()
    for read, name, words in (
        (reader.video, "cut.mp4", "TRUNCATED"),
        (reader.image, "cut.jpg", "--image"),
        (reader.image, "text.png", "the picture is cut short or broken (TRUNCATED); copy or download it"),
        (reader.image, "text", "no known video or image format (NOT_MEDIA); give an image or a video"),
        (reader.image, "empty.png", "the file is empty"),
        (reader.image, "absent.png", "there is no such file (VANISHED); check the path"),
        (reader.image, ".", "this is a folder"),
    ):
        arguments = (8, "--video") if name == "cut.mp4" else ("--image",)
        with pytest.raises(ValueError) as refused:
            read(tmp_path / name, SIZE, *arguments)
        assert words in str(refused.value)
        assert str(refused.value).startswith("--")


def test_arrays_that_are_no_pictures_are_refused(reader):
    for array in (np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="is no image: give uint8 RGB"):
            reader.image(array, SIZE, "image")
