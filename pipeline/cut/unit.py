"""The unit of work of the `cut` stage: plain fields, so that it travels as JSON."""

from dataclasses import dataclass

from video.cut import Crop


@dataclass(frozen=True, kw_only=True, slots=True)
class CutUnit:
    """The kept clips of one source, or of one chunk of it, in time order."""

    source_key: str
    uri: str
    time_base_num: int
    time_base_den: int
    clip_ids: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    """[start, end) of each clip in units of the time base."""
    crops: tuple[tuple[int, int, int, int] | None, ...] = ()
    """(x, y, width, height) of each clip in upright pixels; None, or no crops at all, for the full frame."""
    windows: tuple[int, ...] = ()
    """Number of equal windows to divide each clip into; no numbers at all for whole clips."""
    media_ids: tuple[str, ...] = ()
    """Media id to keep of each clip that was cut before there were windows, empty for the others."""

    @property
    def name(self) -> str:
        """A name unique among all units, including others of the same source."""
        return f"{self.source_key}-{self.spans[0][0]}"

    @property
    def num_clips(self) -> int:
        return len(self.clip_ids)

    def kept_media_id(self, index: int) -> str:
        """Return the media id to keep of the clip at `index`, or an empty string."""
        return self.media_ids[index] if self.media_ids else ""

    def num_windows(self, index: int) -> int:
        """Return the number of windows of the clip at `index`."""
        return self.windows[index] if self.windows else 1

    def crop(self, index: int) -> Crop | None:
        """Return the crop of the clip at `index`."""
        found = self.crops[index] if self.crops else None
        return None if found is None else (found[0], found[1], found[2], found[3])
