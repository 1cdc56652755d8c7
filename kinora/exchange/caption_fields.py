"""Which fields of a row name the clip, and which hold its texts and its span."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kinora.exchange.caption_files import SIDECAR_KEYS, cell
from kinora.exchange.config import ImportConfig
from kinora.exchange.media_index import Span
from manifests.records import LENGTHS

KEYS = (
    *SIDECAR_KEYS,
    "media_id",
    "clip_id",
    "key",
    "sample_key",
    "__key__",
    "uri",
    "file_name",
    "filename",
    "video_path",
    "image_path",
    "url",
    "video",
    "video.path",
    "image",
    "image.path",
    "file",
    "id",
)
"""Fields that may name the clip, in the order in which they are tried."""
TEXTS = ("caption", "text")
"""Fields that may hold the caption."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionFields:
    """The fields of one import."""

    keys: Sequence[str]
    texts: Mapping[str, Sequence[str]]
    """Fields by length, of which the first that a row has counts."""
    start: str
    end: str

    @classmethod
    def of(cls, config: ImportConfig) -> "CaptionFields":
        """Return the fields that `config` names; the usual ones where it names none."""
        named = {length: getattr(config, f"{length}_field") for length in LENGTHS}
        texts: dict[str, list[str]] = {length: [name] for length, name in named.items() if name}
        if config.text_field:
            texts.setdefault(config.length, []).append(config.text_field)
        if not texts:
            texts = {length: [length] for length in LENGTHS}
            texts[config.length] += TEXTS
        return cls(
            keys=[config.key_field] if config.key_field else KEYS,
            texts=texts,
            start=config.start_field or "start_s",
            end=config.end_field or "end_s",
        )

    def is_read(self, column: str) -> bool:
        """Return whether a column of a file is, or holds, one of the fields."""
        names = [*self.keys, self.start, self.end, *(name for each in self.texts.values() for name in each)]
        return any(name == column or name.startswith(f"{column}.") for name in names)

    def keys_in(self, cells: Mapping[str, Any]) -> list[str]:
        """Return the values of a row that may name its clip."""
        found = (cell(cells, name) for name in self.keys)
        texts = (str(value).strip() for value in found if isinstance(value, str | int))
        return [text for text in dict.fromkeys(texts) if text]

    def texts_in(self, cells: Mapping[str, Any]) -> dict[str, str]:
        """Return the texts of a row by length; a blank one only if there is no other.

        Raises ValueError if it has none of the fields, or a value that is no text.
        """
        found: dict[str, str] = {}
        for length, names in self.texts.items():
            for name in names:
                value = cell(cells, name)
                if value is None and not _has(cells, name):
                    continue
                if value is not None and not isinstance(value, str):
                    given = f"{str(value)[:40]!r} ({type(value).__name__})"
                    raise ValueError(f"`{name}` is {given}, not a text; name another field")
                found[length] = (value or "").strip()
                break
        if not found:
            names = ", ".join(f"`{name}`" for each in self.texts.values() for name in each)
            present = ", ".join(map(str, [*cells][:12])) or "nothing"
            raise ValueError(f"has no field {names}, only {present}; name the field by --text-field")
        return {length: text for length, text in found.items() if text} or dict([*found.items()][:1])

    def span_in(self, cells: Mapping[str, Any]) -> Span | None:
        """Return the span of a row in seconds; None if it has none. Raises ValueError for half a span."""
        values = [cell(cells, name) for name in (self.start, self.end)]
        if all(value in (None, "") for value in values):
            return None
        try:
            start, end = map(float, values)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            start, end = 0.0, 0.0
        if not 0 <= start < end < float("inf"):
            raise ValueError(
                f"`{self.start}` and `{self.end}` are {values[0]!r} and {values[1]!r}; write seconds, the "
                "start before the end"
            )
        return start, end


def _has(cells: Mapping[str, Any], name: str) -> bool:
    """Return whether a row has a field, even without a value."""
    folder, _, last = name.rpartition(".")
    inner = cell(cells, folder) if folder else cells
    return name in cells or (isinstance(inner, Mapping) and last in inner)
