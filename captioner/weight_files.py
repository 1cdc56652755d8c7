"""What is wrong with the files of a model's weights."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open


@contextmanager
def naming_broken_weights(setting: str, model: str) -> Generator[None]:
    """Raise ValueError, with the file and the remedy, where weights are not whole in this block.

    Args:
        setting: name of the setting that the model is of, for the message.
        model: a folder, or a name on a hub.
    """
    try:
        yield
    except SafetensorError as error:
        broken = next(filter(_is_broken, sorted(Path(model).glob("*.safetensors"))), model)
        raise ValueError(
            f"{setting}: {broken}: its weights cannot be read ({error}); copy the model again, whole"
        ) from error


def _is_broken(path: Path) -> bool:
    try:
        with safe_open(path, "np"):
            return False
    except SafetensorError:
        return True
