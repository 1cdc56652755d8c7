"""The only source of randomness in training and sampling: generators derived from names, no global state."""

from hashlib import blake2b

import numpy as np


def generator(*names: str | float) -> np.random.Generator:
    """Return the generator that `names` identify, such as (seed, step, clip_id, "noise")."""
    state = blake2b("\x1f".join(map(str, names)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(state, "little")))
