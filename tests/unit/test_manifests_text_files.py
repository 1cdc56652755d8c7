"""Files that people write are read as UTF-8, or named."""

import re

import pytest

from manifests.text_files import read_lines, read_utf8


def test_line_feeds_alone_end_lines(tmp_path):
    (tmp_path / "lines").write_bytes("a\u2028b\x85c\x0cd\n\ne\r\n".encode())
    assert read_lines(tmp_path / "lines") == ["a\u2028b\x85c\x0cd", "", "e"]


def test_another_encoding_is_named_with_its_place(tmp_path):
    path = tmp_path / "latin"
    path.write_bytes("café".encode("latin-1"))
    with pytest.raises(
        ValueError, match=f"{re.escape(str(path))}: byte 3 is no UTF-8; save the file as UTF-8"
    ):
        read_utf8(path)
