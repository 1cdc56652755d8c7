"""Write a dataset in the format of another tool, with its card."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kinora.exchange.card import known_limits, licence_id, render_card
from kinora.exchange.card_facts import CardFacts, count_facts
from kinora.exchange.config import ExportConfig
from kinora.exchange.export_rows import ExportRows
from kinora.exchange.folders import new_folder
from kinora.exchange.formats import croissant, fiftyone, huggingface, label_studio, tables
from kinora.exchange.media_reader import MediaReader
from manifests.dataset import Dataset

CARD = "README.md"
_TABLES = ("jsonl", "csv")
_NEED_MEDIA = ("fiftyone", "label-studio")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """What an export wrote."""

    out: str
    format: str
    rows: int
    captions: int
    reviewed: int
    files: int
    """Clips that were written."""
    num_bytes: int
    """Bytes of these clips."""
    limits: tuple[str, ...]
    """What a user should know, as on the card."""
    seconds: float


def export(dataset: Dataset, out: str, config: ExportConfig) -> ExportReport | None:
    """Write an export to the new folder `out`; return None, and write nothing, if no clip is in it.

    Raises:
        ValueError: `out` exists, or the version or the condition is wrong.
        DatasetError: a clip is missing or damaged. Nothing is left behind.
    """
    begin = time.monotonic()
    with_media = config.with_media if config.with_media is not None else config.format not in _TABLES
    if config.format in _NEED_MEDIA and not with_media:
        raise ValueError(f"--with-media false: the format {config.format} is of files; use jsonl or csv")
    rows = ExportRows(dataset, version=config.version, where=config.where)
    if not len(rows):
        return None
    facts = count_facts(dataset, rows)
    _check_version(dataset, config.version, facts)
    title = config.title or PurePosixPath(dataset.uri).name
    reader = MediaReader(storage=dataset.storage) if with_media else None
    with new_folder(out) as folder:
        cards = _write(rows, folder, reader, config, _about(facts, title, config))
        for below, configs in cards.items():
            card = render_card(facts, title=title, licence=config.licence, configs=configs)
            (folder / below / CARD).write_text(card, encoding="utf-8")
    return ExportReport(
        out=out,
        format=config.format,
        rows=len(rows),
        captions=sum(each.captions for each in facts.versions.values()),
        reviewed=sum(facts.reviews.values()),
        files=reader.count if reader else 0,
        num_bytes=reader.num_bytes if reader else 0,
        limits=tuple(known_limits(facts)),
        seconds=round(time.monotonic() - begin, 2),
    )


def _write(
    rows: ExportRows,
    folder: Path,
    reader: MediaReader | None,
    config: ExportConfig,
    about: Mapping[str, Any],
) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Write the files of a format; return the `configs` of the card in each folder that has one."""
    if config.format == "huggingface":
        return huggingface.write(rows, folder, reader)
    if config.format == "jsonl":
        tables.write_jsonl(rows, folder, reader)
        return {"": [huggingface.files_config(tables.JSONL)]}
    if config.format == "csv":
        tables.write_csv(rows, folder, reader)
        return {"": [huggingface.files_config(tables.CSV)]}
    if config.format == "croissant":
        croissant.write(rows, folder, reader, about)
    elif reader is not None and config.format == "fiftyone":
        fiftyone.write(rows, folder, reader)
    elif reader is not None:
        label_studio.write(rows, folder, reader, config.media_prefix)
    return {"": []}


def _about(facts: CardFacts, title: str, config: ExportConfig) -> dict[str, Any]:
    """Return the properties of the dataset for Croissant."""
    count = f"{facts.videos} videos and {facts.images} stills with captions"
    licence = licence_id(facts, config.licence)
    about: dict[str, Any] = {"name": title, "description": f"{count}, written by Kinora."}
    if licence not in ("other", "unknown"):
        about["license"] = licence
    elif names := [name for name in facts.licences if name]:
        about["license"] = names
    return about | {"version": f"1.0.{facts.commit}"}


def _check_version(dataset: Dataset, version: str, facts: CardFacts) -> None:
    if version and version not in facts.versions:
        known = sorted({*dataset.read("captions", ["version"])["version"].to_pylist()})
        raise ValueError(
            f"--version {version!r}: no clip of this export has an OK caption of it; the dataset has "
            f"{', '.join(known) or 'no captions'}"
        )
