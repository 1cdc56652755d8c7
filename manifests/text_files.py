"""Text files that people write."""

from pathlib import Path


def read_utf8(path: str | Path) -> str:
    """Return the text of a UTF-8 file. Raises ValueError, with the file and its place, for another one."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is no UTF-8; save the file as UTF-8") from error


def read_lines(path: str | Path) -> list[str]:
    """Return the lines of a UTF-8 file, which breaks of JSON's texts, such as U+2028, do not end.

    Raises as `read_utf8`.
    """
    return read_utf8(path).removesuffix("\n").split("\n")
