"""Import captions that people already have, as a caption version."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

from captioner.outcome import classify, read_answer
from kinora.exchange.caption_fields import CaptionFields
from kinora.exchange.caption_files import Problem, Row, caption_files, read_rows
from kinora.exchange.caption_spool import CaptionSpool, GivenTexts
from kinora.exchange.config import ImportConfig
from kinora.exchange.media_index import UNKNOWN, Match, MediaIndex, Span
from manifests.arrow import pc
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_file, digest_parts
from manifests.live_view import LiveView
from manifests.parts import Part
from manifests.records import LENGTH_COLUMNS, Caption, Failure, Outcome

CAPTIONER = "import"
_PART_ROWS = 50_000
_MAX_LISTED = 20
"""Problems and unmatched rows that a report lists."""
_REMEDY = "mend the text in the file and import it again, or use --clean for the answers of a model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unmatched:
    """A row that names no media, or more than its text may describe."""

    file: str
    line: int
    key: str
    reason: str
    detail: str


@dataclass(kw_only=True, slots=True)
class ImportReport:
    """What an import did."""

    version: str
    dry_run: bool = False
    files: int = 0
    rows: int = 0
    ok: int = 0
    """Captions that were added, or would be."""
    unchanged: int = 0
    """Media that have this very caption in this version."""
    not_ok: dict[str, int] = field(default_factory=dict)
    """Captions that are recorded without a text, by outcome."""
    unmatched: dict[str, int] = field(default_factory=dict)
    """Rows by reason."""
    broken: int = 0
    """Rows that could not be read."""
    conflicting: int = 0
    """Rows of media for which others give another text."""
    problems: list[Problem] = field(default_factory=list)
    """The first problems."""
    first_unmatched: list[Unmatched] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed_share(self) -> float:
        """Fraction of the rows that gave no caption for another reason than that they match nothing."""
        failed = self.broken + self.conflicting + sum(self.not_ok.values())
        return failed / max(1, self.rows)

    @property
    def matched(self) -> int:
        """Number of media that got a caption, OK or not, now or before."""
        return self.ok + self.unchanged + sum(self.not_ok.values())

    def add_problem(self, problem: Problem) -> None:
        """List a problem, if it is one of the first."""
        if len(self.problems) < _MAX_LISTED:
            self.problems.append(problem)


def import_captions(
    dataset_uri: str,
    path: str,
    config: ImportConfig,
    *,
    unmatched_file: str = "",
    dry_run: bool = False,
    command: str = "",
) -> ImportReport:
    """Add the captions in a file or a folder of files to a dataset.

    A media whose newest caption of this version has the same texts gets none, so that a second import adds
    nothing. Texts are judged as a captioner's: one that is empty, a refusal or has control tokens is recorded
    without a text.

    Args:
        unmatched_file: JSON lines file to write all rows to that match no media.

    Raises CaptionFileError for a file that cannot be read at all.
    """
    begin = time.monotonic()
    files = caption_files(path)
    if unmatched_file and Path(unmatched_file).resolve() in {file.resolve() for file in files}:
        raise ValueError(f"--unmatched {unmatched_file}: is one of the files to import; name another one")
    dataset = Dataset.open(dataset_uri).with_command(command)
    view = LiveView(dataset)
    index = MediaIndex(view, spread=config.spread, min_overlap=config.min_overlap)
    version = config.version or _version(files, config)
    report = ImportReport(version=version, dry_run=dry_run, files=len(files))
    _check_captioner(view, version)
    root = Path(path).expanduser()
    with ExitStack() as stack:
        spool = stack.enter_context(CaptionSpool())
        listing = stack.enter_context(open(unmatched_file, "w", encoding="utf-8")) if unmatched_file else None
        rows = _match(files, root if root.is_dir() else root.parent, index, CaptionFields.of(config))
        _collect(rows, spool, report, listing)
        _report_conflicts(spool, index, report)
        known = _known_digests(view, report.version)
        captions = _new_captions(spool.captions(), index, known, config, report)
        parts = _write(dataset, captions, index, dry_run=dry_run)
    report.seconds = round(time.monotonic() - begin, 2)
    if parts:
        dataset.commit(_commit(parts, path, config, report), rebase=True)
    return report


def _check_captioner(view: LiveView, version: str) -> None:
    """Raise ValueError if a version is that of a captioner, whose captions these would hide."""
    rows = view.read("newest_attempts", ["captioner"], version=version)
    names = {*rows["captioner"].to_pylist()} - {CAPTIONER}
    if names:
        raise ValueError(f"--version {version}: holds captions of {sorted(names)[0]}; name another version")


def _version(files: Iterable[Path], config: ImportConfig) -> str:
    """Return the name of the version that these files make under these settings."""
    settings = json.dumps(asdict(config), sort_keys=True)
    return f"{CAPTIONER}-{digest_parts(settings, *sorted(map(digest_file, files)))[:8]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Matched:
    row: Row
    media: tuple[int, ...]
    texts: dict[str, str]


def _collect(
    rows: Iterable[_Matched | Unmatched | Problem],
    spool: CaptionSpool,
    report: ImportReport,
    listing: TextIO | None,
) -> None:
    """Put the texts of every row that matches into `spool`; count and list the others."""
    unmatched = Counter[str]()
    for found in rows:
        report.rows += 1
        if isinstance(found, Problem):
            report.broken += 1
            report.add_problem(found)
        elif isinstance(found, Unmatched):
            unmatched[found.reason] += 1
            if len(report.first_unmatched) < _MAX_LISTED:
                report.first_unmatched.append(found)
            if listing is not None:
                listing.write(json.dumps(asdict(found), ensure_ascii=False) + "\n")
        else:
            for media in found.media:
                spool.add(media, found.texts, found.row.file, found.row.line)
    report.unmatched = dict(unmatched.most_common())
    spool.finish()


def _match(
    files: Iterable[Path], root: Path, index: MediaIndex, fields: CaptionFields
) -> Iterator[_Matched | Unmatched | Problem]:
    """Read files and match each row."""
    for file in files:
        folder = str(file.absolute().parent)
        for row in read_rows(file, root, fields.is_read):
            if isinstance(row, Problem):
                yield row
                continue
            try:
                texts, span = fields.texts_in(row.cells), fields.span_in(row.cells)
            except ValueError as error:
                yield Problem(file=row.file, line=row.line, message=str(error))
                continue
            key, match = _find(index, fields.keys_in(row.cells), span, folder)
            if match.rows:
                yield _Matched(row=row, media=match.rows, texts=texts)
            else:
                about = {"reason": match.reason, "detail": match.detail}
                yield Unmatched(file=row.file, line=row.line, key=key, **about)


def _find(index: MediaIndex, keys: Iterable[str], span: Span | None, folder: str) -> tuple[str, Match]:
    """Return the first of the keys that names something, with what it names."""
    first = ""
    for key in keys:
        match = index.find(key, span, folder)
        if match is not UNKNOWN:
            return key, match
        first = first or key
    return first, UNKNOWN if first else Match(reason="no key", detail="has no field that names a clip")


def _report_conflicts(spool: CaptionSpool, index: MediaIndex, report: ImportReport) -> None:
    """Count the rows of media with different texts, and name two of each."""
    for conflict in spool.conflicts():
        media_id = index.media["media_id"][conflict.media].as_py()
        where = f"{conflict.other_file}:{conflict.other_line}"
        message = f"gives another {conflict.length} text for media {media_id} than {where}; neither is taken"
        report.add_problem(Problem(file=conflict.file, line=conflict.line, message=message))
    report.conflicting = spool.num_conflicting_rows()


def _known_digests(view: LiveView, version: str) -> dict[str, str]:
    """Return the digest of the texts of each media's newest caption of a version."""
    captions = view.read("newest_attempts", ["media_id", "decoding", "captioner"], version=version)
    rows = captions.filter(pc.equal(captions["captioner"], CAPTIONER)).to_pylist()
    return {row["media_id"]: json.loads(row["decoding"]).get("texts", "") for row in rows}


def _new_captions(
    given: Iterable[GivenTexts],
    index: MediaIndex,
    known: dict[str, str],
    config: ImportConfig,
    report: ImportReport,
) -> Iterator[tuple[Caption, GivenTexts]]:
    """Yield a caption for each media whose texts are new, and count them."""
    not_ok = Counter[str]()
    for each in given:
        media_id = index.media["media_id"][each.media].as_py()
        digest = _texts_digest(each, config)
        if known.get(media_id) == digest:
            report.unchanged += 1
            continue
        caption = _caption(each, index, digest, config, report.version)
        if caption.outcome is Outcome.OK:
            report.ok += 1
        else:
            not_ok[caption.outcome] += 1
            message = f"{caption.outcome}: {caption.detail}"
            report.add_problem(Problem(file=each.file, line=each.line, message=message))
        yield caption, each
    report.not_ok = dict(not_ok.most_common())


def _texts_digest(given: GivenTexts, config: ImportConfig) -> str:
    texts = (f"{length}={text}" for length, text in given.texts.items())
    return digest_parts("import", config.model, config.revision, config.clean, *texts)


def _caption(
    given: GivenTexts, index: MediaIndex, digest: str, config: ImportConfig, version: str
) -> Caption:
    """Judge the texts of one media; the first that is no caption decides the outcome."""
    outcome, detail, texts = Outcome.OK, "", dict(given.texts)
    for length, text in texts.items():
        if config.clean:
            answer = read_answer(text, ended=True)
            outcome, detail, texts[length] = answer.outcome, answer.detail, answer.text or ""
        else:
            outcome, detail = classify(text, ended=True)
        if outcome is not Outcome.OK:
            detail = f"{length}: {detail}"
            break
    else:
        if not texts:
            outcome, detail = classify("", ended=True)
    columns = {LENGTH_COLUMNS[length]: text for length, text in texts.items()}
    ok = outcome is Outcome.OK
    return Caption(
        clip_id=index.media["clip_id"][given.media].as_py(),
        media_id=index.media["media_id"][given.media].as_py(),
        outcome=outcome,
        text=columns.get("text") if ok else None,
        short=columns.get("short") if ok else None,
        medium=columns.get("medium") if ok else None,
        captioner=CAPTIONER,
        model=config.model,
        revision=config.revision,
        prompt_digest="",
        decoding=json.dumps({"texts": digest, "file": Path(given.file).name}),
        frames_shown=(),
        detail=detail,
        version=version,
    )


def _write(
    dataset: Dataset, captions: Iterator[tuple[Caption, GivenTexts]], index: MediaIndex, *, dry_run: bool
) -> list[Part]:
    """Write captions, and a failure for each that is not OK, as parts that no commit has yet."""
    parts: list[Part] = []
    while batch := list(islice(captions, _PART_ROWS)):
        if dry_run:
            continue
        failures = [_failure(*each, index) for each in batch if each[0].outcome is not Outcome.OK]
        parts.append(dataset.write_records("captions", [caption for caption, _ in batch]))
        if failures:
            parts.append(dataset.write_records("failures", failures))
    return parts


def _failure(caption: Caption, given: GivenTexts, index: MediaIndex) -> Failure:
    return Failure(
        stage="caption",
        unit=caption.media_id,
        uri=index.uri_of(given.media),
        code=caption.outcome.name,
        message=f"{given.file}:{given.line}: {caption.detail}",
        remedy=_REMEDY,
        config=caption.version,
    )


def _commit(parts: Iterable[Part], path: str, config: ImportConfig, report: ImportReport) -> Commit:
    counts = {"ok": report.ok, **report.not_ok, "unmatched": sum(report.unmatched.values())}
    return Commit(
        stage="import",
        added=tuple(parts),
        config={**asdict(config), "path": path, "rows": report.rows},
        config_digest=report.version,
        counts={name: count for name, count in counts.items() if count},
        seconds=report.seconds,
    )
