"""What a training command prints at its end, and its exit code."""

import sys
from collections.abc import Callable
from signal import Signals

from lightning.fabric.utilities.rank_zero import rank_zero_only

from trainer.run.stopping import NonFiniteError, StoppedError

INTEGRITY = 4
"""Exit code of a run that ended because its numbers do not add up."""


def is_first_rank() -> bool:
    """Return whether this process is rank 0, or the only one."""
    return getattr(rank_zero_only, "rank", 0) == 0


def say(line: str) -> None:
    """Print a line, on the first rank."""
    if is_first_rank():
        print(line, flush=True)


def run_to_exit_code(run: Callable[[], None], go_on: str) -> int:
    """Run a training and return its exit code: 0, 4, 130 or 143.

    Ranks other than the first end with 0, as Lightning kills all ranks when one of its children fails.

    Args:
        go_on: the command that goes on with the run.
    """
    try:
        run()
    except StoppedError as stopped:
        _complain(f"{Signals(stopped.signum).name}: saved step {stopped.step}; go on with\n  {go_on}")
        return stopped.exit_code if is_first_rank() else 0
    except NonFiniteError as error:
        _complain(f"error: {error}\nlower the learning rate, or take the clips out; go on with\n  {go_on}")
        return INTEGRITY if is_first_rank() else 0
    return 0


def _complain(line: str) -> None:
    if is_first_rank():
        print(line, file=sys.stderr, flush=True)
