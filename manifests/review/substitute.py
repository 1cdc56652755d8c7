"""Regular expressions of people, run in a process that is killed at a limit of time or memory.

Python's expressions cannot be interrupted, and some take longer than the age of the universe on a text of one
line. Started as a program, this module answers lines of JSON on its standard input.
"""

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from select import select
from time import monotonic
from typing import IO, Any, Self

from manifests.review.messages import ReviewError

_MEMORY_BYTES = 1 << 30
_READ_BYTES = 1 << 20
_START_S = 60.0
"""Time for the start of the process, in seconds."""


class Substitution:
    """Replaces matches of a pattern in batches of texts. Use it as a context manager.

    Raises ReviewError for a pattern or a replacement that is not valid, for a batch that takes longer than
    `timeout_s` seconds, and for a text of more than `max_chars` characters.
    """

    def __init__(
        self, pattern: str, replacement: str, *, ignore_case: bool, timeout_s: float, max_chars: int
    ) -> None:
        if not pattern:
            raise ReviewError("pattern: is empty; write what to replace")
        self._setup: dict[str, Any] = {
            "pattern": pattern,
            "replacement": replacement,
            "ignore_case": ignore_case,
            "max_chars": max_chars,
            "texts": [],
        }
        self._timeout_s = timeout_s
        self._pattern = pattern

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "manifests.review.substitute"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
        try:
            self._ask(self._setup, timeout_s=_START_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.communicate()

    def apply(self, texts: Sequence[str]) -> list[str]:
        """Return the texts after the substitution, in order."""
        return self._ask({"texts": [*texts]}, timeout_s=self._timeout_s)

    def _ask(self, question: dict[str, Any], *, timeout_s: float) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(question).encode() + b"\n")
            self._child.stdin.flush()
            answer = json.loads(_read_line(self._child.stdout, timeout_s))
        except TimeoutError:
            self._child.kill()
            raise ReviewError(
                f"pattern {self._pattern!r}: took longer than {timeout_s:g} s on "
                f"{len(question['texts'])} texts; "
                "avoid repeated groups in groups, such as (a+)+"
            ) from None
        except OSError as error:
            raise ReviewError(f"pattern {self._pattern!r}: its process ended early ({error})") from None
        if "error" in answer:
            raise ReviewError(f"pattern {self._pattern!r}: {answer['error']}")
        return answer["texts"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _read_line(file: IO[bytes], timeout_s: float) -> bytes:
    """Read a line. Raises TimeoutError, and OSError if the process ended."""
    end, chunks = monotonic() + timeout_s, list[bytes]()
    while True:
        ready, _, _ = select([file], [], [], max(0.0, end - monotonic()))
        if not ready:
            raise TimeoutError
        chunks.append(os.read(file.fileno(), _READ_BYTES))
        if not chunks[-1]:
            raise OSError("the process ended")
        if chunks[-1].endswith(b"\n"):
            return b"".join(chunks)


class _TextTooLong(ValueError):
    """A substitution makes a text too long."""


def _substituted(compiled: re.Pattern[str], replacement: str, text: str, max_chars: int) -> str:
    """Return the text after the substitution; a text that was too long before may stay as it is."""
    found = compiled.sub(replacement, text)
    if len(found) > max(max_chars, len(text)):
        raise _TextTooLong(f"makes a text of {len(found)} characters; at most {max_chars} are allowed")
    return found


def serve(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer questions until there are no more."""
    compiled, replacement, max_chars = re.compile(""), "", 0
    for line in questions:
        question = json.loads(line)
        try:
            if "pattern" in question:
                replacement, max_chars = question["replacement"], question["max_chars"]
                compiled = re.compile(question["pattern"], re.IGNORECASE if question["ignore_case"] else 0)
                compiled.sub(replacement, "")  # checks the replacement too
            texts = [_substituted(compiled, replacement, text, max_chars) for text in question["texts"]]
            answer: dict[str, Any] = {"texts": texts}
        except (re.error, IndexError, OverflowError, RecursionError, _TextTooLong) as error:
            answer = {"error": str(error)}
        except MemoryError:
            answer = {"error": f"needs more than {_MEMORY_BYTES >> 20} MB"}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    serve(sys.stdin.buffer, sys.stdout.buffer)
