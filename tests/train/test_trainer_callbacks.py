"""What a training prints while it runs."""

from trainer.callbacks import wrap


def test_numbers_are_printed_within_80_columns():
    parts = [f"val/loss_at_0.{number} 0.1234" for number in (1, 3, 5, 7, 9)]
    lines = wrap(parts).splitlines()
    assert [len(line) <= 80 for line in lines] == [True, True]
    assert "  ".join(lines) == "  ".join(parts)
    assert wrap([]) == ""
    assert wrap(["x" * 90]) == "x" * 90
