"""The frames that a captioner saw, read again from the media."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from manifests.live_view import COMMIT_COLUMN, LiveView
from manifests.shown_frames import MAX_FRAMES, frames_of_media
from pipeline.media.read import read_media
from video.frames import read_frames

_EVENLY = 6
"""Frames of a caption that does not say which ones it is of."""


class SeenFrames:
    """Reads the media of one view, as each caption's run decoded it."""

    def __init__(self, view: LiveView) -> None:
        self._view = view
        rows = view.read("media", ["media_id", "clip_id", "path", "offset", "length", "num_frames"])
        self._index = {name: row for row, name in enumerate(rows["media_id"].to_pylist())}
        self._rows = rows

    def read(self, caption: Mapping[str, Any]) -> list[np.ndarray]:
        """Return the frames_HWC (RGB, uint8) of one row of captions, with its commit, in order.

        Raises OSError or ValueError if the media is missing or damaged.
        """
        [row] = self._rows.slice(self._index[caption["media_id"]], 1).to_pylist()
        commit = self._view.dataset.commits[caption[COMMIT_COLUMN]]
        max_frames = int(commit.config.get("max_frames", MAX_FRAMES))
        wanted = frames_of_media(caption["frames_shown"], row["num_frames"], max_frames)
        if not wanted:
            spaced = np.linspace(0, row["num_frames"] - 1, min(_EVENLY, row["num_frames"]))
            wanted = spaced.round().astype(int).tolist()
        content, chosen = read_media(self._view.dataset.storage, row), {*wanted}
        return [frame.rgb_HWC for index, frame in enumerate(read_frames(content)) if index in chosen]
