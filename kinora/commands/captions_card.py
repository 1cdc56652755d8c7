"""Print the card of a dataset: sources, licences, counts, captions, prompts, filters and known limits."""

from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from kinora.cli.result import Exit, Result
from kinora.cli.snapshot import Snapshot
from kinora.exchange.card import render_card
from kinora.exchange.card_facts import count_facts
from kinora.exchange.export_rows import ExportRows
from manifests.replacing import replacing


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Snapshot):
    out: str = ""
    """Markdown file to write. Default: print the card."""
    version: str = ""
    """Only captions of this version. Default: all versions, and of each clip the caption that counts."""
    where: str = ""
    """Only the clips for which this SQL condition over the view `captioned` holds."""
    title: str = ""
    """Name of the dataset. Default: the name of its folder."""
    licence: str = ""
    """SPDX id of the licence of the whole. Default: that of the sources if all have the same."""


def run(config: Config) -> Result:
    """Write or print the card; exit with code 3 if there is no clip."""
    dataset = config.open()
    rows = ExportRows(dataset, version=config.version, where=config.where)
    if not len(rows):
        return Result({"clips": 0}, "no clip was cut, or none meets --where", Exit.NOTHING)
    facts = count_facts(dataset, rows)
    title = config.title or PurePosixPath(dataset.uri).name
    card = render_card(facts, title=title, licence=config.licence)
    if config.out:
        with replacing(config.out) as partial:
            partial.write_text(card, encoding="utf-8")
    return Result(asdict(facts), f"written to {config.out}" if config.out else card)
