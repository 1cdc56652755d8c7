"""Configuration of imports. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal

from manifests.ranges import UnitFloat, check_ranges

_POLICIES, _POLICY_SIGNS = ("latest-ok", "reviewed"), ":=,+"
"""What `kinora pack --captions` reads otherwise than as the name of a version."""


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Which fields of caption files hold what, and what the captions are recorded as."""

    key_field: str = ""
    """Field that names the clip: a media id, clip id, sample key, source URI, path or file name. A dot leads
    into nested fields: `source.uri`. Default: the first known one that matches, such as `media_id`,
    `clip_id`, `key`, `uri`, `path` or `file_name`."""
    text_field: str = ""
    """Field with the caption, whose length is `length`. Default: `caption` or `text`."""
    short_field: str = ""
    """Field with the short caption. Default: `short`, if no field is named."""
    medium_field: str = ""
    """Field with the caption of medium length. Default: `medium`, if no field is named."""
    dense_field: str = ""
    """Field with the dense caption. Default: `dense`, if no field is named."""
    length: Literal["short", "medium", "dense"] = "dense"
    """Length of the captions in `text_field` and in sidecar files without a length in their name."""
    start_field: str = ""
    """Field with the first second of the captioned span, on the source's timeline. Default: `start_s`."""
    end_field: str = ""
    """Field with the end of the captioned span. Default: `end_s`."""
    min_overlap: UnitFloat = 0.8
    """Minimum overlap of a given span and a clip or window, as intersection over union."""
    spread: bool = False
    """Also give the caption of a source to all of its clips, and that of a clip to all of its windows: a text
    that describes more than each of them shows."""
    clean: bool = False
    """Take off announcements, Markdown and control tokens first, as from a model's answer."""
    version: str = ""
    """Name of the caption version. Default: `import-` and a digest of the files and these settings."""
    model: str = ""
    """Model, tool or people that wrote the captions, for the record."""
    revision: str = ""
    """Revision of the model, for the record."""

    def __post_init__(self) -> None:
        """Check the fields. Raises ValueError."""
        check_ranges(self)
        name = self.version
        if name != name.strip() or not name.isprintable() or {*name} & {*_POLICY_SIGNS} or name in _POLICIES:
            raise ValueError(
                f"--version {name!r}: could not be chosen with `kinora pack --captions`; give a name without "
                f"any of {' '.join(_POLICY_SIGNS)}, other than {' and '.join(_POLICIES)}"
            )


ExportFormat = Literal["jsonl", "csv", "huggingface", "fiftyone", "label-studio", "croissant"]


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What an export holds."""

    format: ExportFormat
    """What reads the export. `jsonl` and `csv` are tables for anything else."""
    version: str = ""
    """Only captions of this version. Default: all versions, and of each clip the caption that counts."""
    where: str = ""
    """Only the clips for which this SQL condition over the view `captioned` holds, such as
    `motion > 2 and version = 'mine'` (see `kinora captions sql`)."""
    with_media: bool | None = None
    """Write the clips beside the table. Default: yes, but for `jsonl` and `csv`."""
    media_prefix: str = ""
    """For `label-studio`: folder between the root of its local files and this export's `videos` or `images`
    folder, such as `exports/cats/videos`. Default: the folder itself is the root."""
    title: str = ""
    """Name of the dataset on its card. Default: the name of the dataset's folder."""
    licence: str = ""
    """SPDX id of the licence of the whole export, such as `cc-by-4.0`, for its card. Default: that of the
    sources if all have the same."""
