"""What a listing leaves out: by reason, with examples and what takes it."""

import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HIDDEN = "hidden"
KEPT_BY_SYSTEM = "kept by a system"
LINKED_FOLDER = "linked folder"
CLOSED_FOLDER = "folder that cannot be read"
IN_DATASET = "in a dataset of Kinora"
NO_ENDING = "no ending"
OTHER_ENDINGS = "other endings"
REMOVED = "removed"
TRIAL = "beyond the trial"
_ENDING = "ending "
_MORE = "--listing.more-extensions takes an ending"
_TAKEN_BY = {
    HIDDEN: "--listing.hidden takes them",
    KEPT_BY_SYSTEM: "thumbnails and bins of NAS systems and desktops; --listing.hidden takes them",
    LINKED_FOLDER: "--listing.follow-links takes them",
    CLOSED_FOLDER: "give this user access",
    IN_DATASET: "made by Kinora; name one of its tars to take it",
    NO_ENDING: "name them in a list to take them",
    OTHER_ENDINGS: _MORE,
    REMOVED: "by `kinora remove`",
    TRIAL: "run without --limit and --sample to take them",
}
_MAX_ENDINGS = 100
"""Endings that are counted each on its own."""
_MAX_ENDING_CHARS = 16
_MAX_EXAMPLES = 3
_SYSTEM_NAMES = {
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@sharebin",
    "@tmp",
    "__macosx",
    "lost+found",
    "network trash folder",
    "system volume information",
    "temporary items",
}
"""Folders that NAS systems and desktops keep beside files, in lower case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """What was left out for one reason."""

    reason: str
    count: int
    """Number of files, or of whole folders."""
    examples: tuple[str, ...]
    taken_by: str
    """What takes them, for people."""


class LeftOutCounter:
    """Counts what a listing leaves out."""

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._examples: dict[str, list[str]] = {}

    def add(self, reason: str, name: str, count: int = 1) -> None:
        """Count a path or member."""
        self._counts[reason] += count
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _MAX_EXAMPLES:
            examples.append(name)

    def add_ending(self, name: str) -> None:
        """Count a file that is left out because of its ending."""
        ending = ending_of(name)
        if len(ending) < 2 or ending[1:].isdecimal() or len(ending) > _MAX_ENDING_CHARS:
            self.add(NO_ENDING, name)
        elif f"{_ENDING}{ending}" in self._counts or len(self._counts) < _MAX_ENDINGS:
            self.add(f"{_ENDING}{ending}", name)
        else:
            self.add(OTHER_ENDINGS, name)

    def results(self) -> tuple[LeftOut, ...]:
        """Return one result for each reason, the most frequent first."""
        return tuple(
            LeftOut(
                reason=reason,
                count=count,
                examples=tuple(self._examples[reason]),
                taken_by=_MORE if reason.startswith(_ENDING) else _TAKEN_BY[reason],
            )
            for reason, count in self._counts.most_common()
            if count
        )


def ending_of(name: str) -> str:
    """Return the ending of a path, in lower case and with its dot: all after the last dot of its name."""
    return posixpath.splitext(name)[1].lower()


def hidden_reason(parts: Iterable[str], *, hidden: bool) -> str:
    """Return why a path with these parts is passed over, or an empty string.

    Args:
        hidden: whether hidden files, and what systems keep, are taken (`ListConfig.hidden`).
    """
    if hidden:
        return ""
    for part in parts:
        if part.startswith(".") and part not in (".", ".."):
            return HIDDEN
        if part.lower() in _SYSTEM_NAMES:
            return KEPT_BY_SYSTEM
    return ""


def describe_left_out(results: Iterable[LeftOut]) -> Iterator[str]:
    """Yield a line of text for each reason; one for all endings together."""
    results = [*results]
    endings = [each for each in results if each.reason.startswith(_ENDING)]
    if endings:
        total = sum(each.count for each in endings)
        listed = ", ".join(f"{each.count} {each.reason.removeprefix(_ENDING)}" for each in endings)
        yield f"left out {total} of other endings: {listed} ({_MORE})"
    for each in results:
        if each not in endings:
            example = "" if each.reason in (REMOVED, TRIAL) else f", such as {each.examples[0]}"
            yield f"left out {each.count} {each.reason}{example} ({each.taken_by})"
