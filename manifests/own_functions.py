"""Functions and classes of a user's own, which a setting names as `module:name`."""

import os
import sys
from importlib import import_module
from typing import Any


def load_own(name: str, setting: str) -> Any:
    """Return the function or class `module:name`, of an installed module or one in the working directory.

    Args:
        setting: what the user gave it in, for messages.

    Raises:
        ValueError: with the remedy, if there is none or its module cannot be imported.
    """
    module, _, attribute = name.partition(":")
    where = f"{setting}: {name}"
    if not module or not attribute:
        raise ValueError(f"{where}: must be `module:function`")
    if os.getcwd() not in sys.path:  # as for `python -m`; Ray's workers have it
        sys.path.append(os.getcwd())
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"{where}: cannot be imported ({error}); install its module on every machine that runs it, or "
            "run in its folder"
        ) from error
    except Exception as error:
        raise ValueError(f"{where}: cannot be imported ({type(error).__name__}: {error}); mend it") from error
    if not callable(found):
        raise ValueError(f"{where}: is a {type(found).__name__}; give a function or a class")
    return found


def call_own(name: str, setting: str) -> Any:
    """Return the function, or an instance of the class, that `load_own` finds."""
    found = load_own(name, setting)
    return found() if isinstance(found, type) else found
