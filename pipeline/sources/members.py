"""Which member of a tar belongs to which: the one notion of a key. Pure functions.

As in WebDataset, members whose names are equal up to the first dot after the last slash form a sample, and
what follows the dot is the field: `clip.mp4` is the field `mp4` of the sample `clip`. A sample may hold
several media, `clip.0001.mp4` and `clip.left.png`: the dotted name before the ending tells them apart, and a
text belongs to the media whose dotted name is nearest to its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemberName:
    """The name of a member, divided."""

    key: str
    """Key of its sample, with the folder."""
    stem: tuple[str, ...]
    """Parts between the key and the ending: (`0001`,) of `clip.0001.mp4`."""
    ending: str
    """Lower case, with the dot; empty without one."""

    @property
    def text(self) -> str:
        """The name, with its ending in lower case."""
        return ".".join((self.key, *self.stem)) + self.ending

    @classmethod
    def parse(cls, name: str) -> "MemberName":
        """Divide a name at its first and last dot after the last slash."""
        folder, slash, last = name.rpartition("/")
        key, *fields = last.split(".")
        ending = f".{fields.pop().lower()}" if fields else ""
        return cls(f"{folder}{slash}{key}", tuple(fields), ending)


def owners(media: Iterable[MemberName], texts: Iterable[MemberName]) -> dict[MemberName, list[MemberName]]:
    """Return the texts of each media, the most general first; those of none are not in the result.

    A text belongs to all media of its key with the same stem. If there are none, to all whose stem goes on
    from its own (`clip.txt` to `clip.0001.mp4`); if there are none either, to those with the longest stem
    that its own goes on from (`clip.en.txt` to `clip.mp4`).
    """
    by_key: defaultdict[str, list[MemberName]] = defaultdict(list)
    for each in media:
        by_key[each.key].append(each)
    found: defaultdict[MemberName, list[MemberName]] = defaultdict(list)
    for text in texts:
        for owner in _owners_of(text, by_key.get(text.key, ())):
            found[owner].append(text)
    return {owner: sorted(own, key=lambda text: _rank(owner, text)) for owner, own in found.items()}


def _owners_of(text: MemberName, media: Sequence[MemberName]) -> list[MemberName]:
    if same := [each for each in media if each.stem == text.stem]:
        return same
    if longer := [each for each in media if each.stem[: len(text.stem)] == text.stem]:
        return longer
    shorter = [each for each in media if text.stem[: len(each.stem)] == each.stem]
    longest = max((len(each.stem) for each in shorter), default=0)
    return [each for each in shorter if len(each.stem) == longest]


def _rank(owner: MemberName, text: MemberName) -> int:
    """Return the place of a text among those of its owner: variants, then general ones, then its own."""
    return len(text.stem) if len(text.stem) <= len(owner.stem) else -1
