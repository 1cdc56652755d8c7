"""`kinora reconstruct`: videos beside what a compression network keeps of them."""

import json

import cv2
import numpy as np
import pytest

from kinora.cli.main import main
from video.encode import encode_mp4


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    ramp = np.linspace(0, 255, 80).astype(np.uint8)
    for number in range(3):
        frames_THWC = np.broadcast_to(ramp[None, None, :, None], (17, 48, 80, 3))
        encode_mp4(np.roll(frames_THWC, 8 * number, axis=2), 8.0, folder / f"{number}.mp4")
    encode_mp4(np.zeros((5, 48, 80, 3), np.uint8), 8.0, folder / "short.mp4")
    return folder


def test_a_sheet_has_each_video_before_and_after(videos, tmp_path, capsys):
    out = tmp_path / "sheets" / "sheet.png"
    shared = ["reconstruct", "--source", str(videos), "--size", "80x48", "--out", str(out)]
    assert main([*shared, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [each["path"].rpartition("/")[2] for each in data["failed"]] == ["short.mp4"]
    assert "shorter than 17 frames at 8 a second" in data["failed"][0]["reason"]
    figures = [each["psnr_db"] for each in data["videos"]]
    assert data["psnr_db"] == pytest.approx(np.mean(figures))
    assert min(figures) > 15  # the weights that ship know smooth colours
    sheet_HWC = cv2.imread(str(out))
    assert sheet_HWC is not None
    assert len(sheet_HWC) % 6 == 0


def test_lengths_that_the_network_cannot_take_are_refused_and_nothing_is_written(videos, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    shared = ["reconstruct", "--source", str(videos), "--out", str(out)]
    assert main([*shared, "--frames", "16"]) == 2
    assert "1 + a multiple of 4; give 13" in capsys.readouterr().err
    assert main([*shared, "--frames", "33"]) == 3
    assert not out.exists()
    assert main(["reconstruct", "--source", str(videos), "--out", str(tmp_path / "sheet.txt")]) == 2
    assert "sheet.txt" in capsys.readouterr().err
