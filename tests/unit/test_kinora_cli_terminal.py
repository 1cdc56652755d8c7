"""What people and models wrote is shown as text: it cannot steer the terminal."""

import pytest
from rich.table import Table
from rich.text import Text

from kinora.cli.main import main
from kinora.cli.result import Result
from kinora.cli.terminal import without_controls
from kinora.commands import status

EVIL = "a \x1b[31mred\x1b[0m\x07 ball\x9b2J\r \u202ellor\u2066s\tfar\nand stops \x7fhere"
PLAIN = "a [31mred[0m ball2J llors\tfar\nand stops here"


def test_controls_go_and_letters_of_all_scripts_stay():
    assert without_controls(EVIL) == PLAIN
    scripts = "é 犬 \u05e2\u05d1\u200f 👩\u200d🚀"
    assert without_controls(scripts) == scripts


def table_of(text: str) -> Table:
    table = Table()
    table.add_column(text)
    table.add_row(Text(text, style="bold"))
    return table


@pytest.mark.parametrize("shown", [EVIL, Text(EVIL), table_of(EVIL)], ids=["str", "text", "table"])
def test_results_are_shown_without_controls(shown, monkeypatch, capsys):
    monkeypatch.setattr(status, "run", lambda config: Result({"text": EVIL}, shown))
    assert main(["status", "--dataset", "x"]) == 0
    out = capsys.readouterr().out
    assert "31mred" in out
    assert not {*"\x1b\x07\x9b\r\u202e\u2066\x7f"} & {*out}


def test_errors_are_shown_without_controls(monkeypatch, capsys):
    def fail(config: object) -> Result:
        raise ValueError(f"HTTP 400: {EVIL}")

    monkeypatch.setattr(status, "run", fail)
    assert main(["status", "--dataset", "x"]) == 2
    assert f"error: HTTP 400: {PLAIN}" in capsys.readouterr().err
