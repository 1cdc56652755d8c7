"""Find clips by a text, or by what another clip shows: the cosine of embeddings, exactly, over all clips.

Clips get embeddings by `kinora curate --analyze.scorers.embedding true --analyze.scorers.clip-model MODEL`.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Exit, Result
from kinora.cli.state import state_dir
from kinora.search.found import find_like, read_found, span_text
from kinora.search.index import SearchIndex, open_index
from kinora.search.rank import best, cosines
from manifests.dataset import Dataset
from manifests.ranges import PositiveInt, check_ranges
from pipeline.runtime.progress import show_progress

POSITIONAL = "text"
_ID_CHARS = 8
_CAPTION_CHARS = 90
_NOTHING = (
    "no clip has an embedding; run the `kinora curate` of this dataset again with "
    "`--analyze.scorers.embedding true --analyze.scorers.clip-model local-dir:FOLDER`: it embeds the clips "
    "that are there, and cuts nothing again. To search by texts, take a model of images and texts, such as "
    "CLIP or SigLIP (docs/search.md)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    text: str | None = None
    """What clips shall show, such as "a red car at night". Needs a model with a text tower."""
    dataset: str
    """Dataset: a folder or s3://bucket/prefix."""
    like: str | None = None
    """Id of a clip, or a unique beginning of one, instead of a text: find clips that show the like."""
    n: PositiveInt = 10
    """Number of clips to find."""
    where: str | None = None
    """Only clips for which this SQL condition holds: over the columns of clips, scores, source lists and
    selections, such as `kept AND motion > 0.1`."""
    sheet: str | None = None
    """File (.jpg, .png or .webp) to write a contact sheet to, with the thumbnails of the clips."""
    clip_model: str | None = None
    """Where the model of the embeddings is on this machine. Default: where it was when they were made."""
    clip_weights: str | None = None
    """Its file of weights, if it is a NAME/TAG."""
    index: str | None = None
    """Folder of the search index. Default: one for each dataset below ~/.local/state/kinora."""

    __post_init__ = check_ranges


def run(config: Config) -> Result:
    """Search; exit with code 3 if no clip has an embedding, or none matches the condition."""
    if (config.text is None) == (config.like is None):
        raise ValueError("give a text to search for, or --like CLIP_ID, and not both")
    if config.text is not None and not config.text.strip():
        raise ValueError("the text is empty; write what the clips shall show")
    if config.sheet is not None:
        from kinora.captions.sheet import picture_kind

        picture_kind(Path(config.sheet))  # before any work
    begin = time.monotonic()
    dataset = Dataset.open(config.dataset)
    with show_progress() as progress:
        folder = Path(config.index) if config.index else state_dir("search", dataset.uri)
        index = open_index(dataset, folder, progress)
    if index is None:
        return Result({"results": []}, _NOTHING, Exit.NOTHING)
    opened = time.monotonic()
    mask_N = None
    if config.where is not None:
        from kinora.search.where import where_mask

        mask_N = where_mask(dataset, index, config.where)
    if mask_N is not None and not mask_N.any():
        return Result({"results": []}, "no clip with an embedding meets the condition", Exit.NOTHING)
    place = find_like(index, config.like) if config.like is not None else None
    if place is not None:
        mask_N = np.ones(len(index.vectors_ND), bool) if mask_N is None else mask_N
        mask_N[place] = False
    query_D, about = _query(config, dataset, index, place)
    encoded = time.monotonic()
    cosine_N = cosines(index.vectors_ND, query_D)
    chosen = best(cosine_N, config.n, mask_N)
    ranked = time.monotonic()
    found = read_found(dataset, index, chosen, cosine_N)
    data = about | {
        "results": found,
        "clips": len(cosine_N) if mask_N is None else int(mask_N.sum()),
        "seconds": {"index": round(opened - begin, 3), "query": round(encoded - opened, 3)},
    }
    data["seconds"] |= {"rank": round(ranked - encoded, 3), "all": round(time.monotonic() - begin, 3)}
    text = [_table(found), Text(_summary(data), "dim")]
    if config.sheet is not None:
        from kinora.search.sheet import write_sheet

        shown = chosen if place is None else np.array([place, *chosen])  # the clip itself comes first
        write_sheet(Path(config.sheet), read_found(dataset, index, shown, cosine_N, thumbnails=True))
        data["sheet"] = config.sheet
        text.append(Text(f"contact sheet: {config.sheet}"))
    return Result(data, Group(*text))


def _query(
    config: Config, dataset: Dataset, index: SearchIndex, place: int | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the unit vector to compare with, of a text or of the clip at `place`, and what it is of."""
    if place is not None:
        query_D = index.vectors_ND[place].astype(np.float32)
        return query_D / np.linalg.norm(query_D), {"like": index.rows["clip_id"][place].as_py()}
    from kinora.search.model import load_model

    text = config.text or ""
    model = load_model(dataset, config.clip_model, config.clip_weights)
    seen, count = model.count_tokens(text)
    if seen < count:
        print(
            f"warning: {model.name} sees the first {seen} of the {count} tokens of the text; shorten it",
            file=sys.stderr,
        )
    about = {"text": text, "model": model.name, "tokens": {"seen": seen, "of": count}}
    return model.embed_texts([text])[0], about


def _table(found: list[dict[str, Any]]) -> Table:
    """Render rows in 80 columns."""
    table = Table(box=None, padding=(0, 2, 0, 0), width=80)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("clip", no_wrap=True)
    table.add_column("source", no_wrap=True, max_width=18, overflow="ellipsis")
    table.add_column("span", no_wrap=True)
    table.add_column("caption", ratio=1)
    for row in found:
        name = PurePosixPath(row["uri"]).name
        table.add_row(
            f"{row['score']:.3f}", row["clip_id"][:_ID_CHARS], Text(name), span_text(row), Text(_caption(row))
        )
    return table


def _caption(row: dict[str, Any]) -> str:
    text = " ".join((row["short"] or row["caption"] or "-").split())
    text = text if len(text) <= _CAPTION_CHARS else f"{text[:_CAPTION_CHARS].rstrip()}…"
    return f"(dropped) {text}" if row["kept"] is False else text


def _summary(data: dict[str, Any]) -> str:
    by = f"by {data['model']}" if "model" in data else f"like {data['like']}"
    return (
        f"the {len(data['results'])} nearest of {data['clips']} clips, {by}; {data['seconds']['all']:.1f} s"
    )
