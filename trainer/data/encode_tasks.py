"""What the processes of `kinora encode` are given and return. Imports nothing heavy."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from trainer.config import EncodeConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadTexts:
    """Read the texts of index rows."""

    rows: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeTexts:
    """Encode texts."""

    texts: tuple[str, ...]
    space: str
    """Digest of the text encoder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Latents of one index row."""

    row: int
    key: str
    """Key of the medium's latents."""
    variants: tuple[tuple[int, int], ...]
    """(start, suffix) of each latent; suffix 0 is the whole clip."""
    texts: bool
    """Whether to return its texts as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeLatents:
    """Encode the latents of samples of one bucket."""

    wanted: tuple[Wanted, ...]


Task = ReadTexts | EncodeTexts | EncodeLatents


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleTexts:
    """The texts of one index row."""

    row: int
    media_digest: str
    texts: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one task did."""

    samples: tuple[SampleTexts, ...] = ()
    rows: tuple[int, ...] = ()
    """Index rows whose latents were encoded."""
    texts: int = 0
    """Texts that were encoded."""
    truncated: int = 0
    """Texts of them whose ends were dropped."""
    written_bytes: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    """Why an index row could not be read or encoded."""


class Workers(Protocol):
    """Processes that run tasks."""

    count: int

    def start(self) -> None:
        """Start the processes; otherwise the first task does."""
        ...

    def map(self, tasks: Iterable[Task]) -> Iterator[Report]:
        """Run tasks; yield their reports as they are done."""
        ...


class OpenWorkers(Protocol):
    """Starts the workers of an encode."""

    def __call__(self, config: EncodeConfig) -> AbstractContextManager[Workers]: ...
