"""What a text encoder is known by: its digest, and the layer and limit of its states.

Imports torch and transformers only for an encoder that is not the embedded one.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from manifests.digest import digest_file, digest_parts
from trainer.text_files import WEIGHTS, content_digest, embedded_folder, encoder_folder

MAX_TOKENS = 512
"""Most tokens of a text, for an encoder that takes more."""
OLD_MAX_TOKENS, OLD_LAYER = 256, -2
"""Limit and layer of every encoder before digests named the content."""
_EMBEDDED = "2da6fdd4355260303510254ed97e2c3d", "61d90fe1e8d3d61d13d89ba057ed9ba7"
"""Digest of the embedded encoder's content, and the digest by which models and encoded texts know it."""


def describe_encoder(name: str) -> tuple[str, int]:
    """Return `digest` and `max_length` of `TextEncoder(name)`, without loading its weights into memory."""
    folder = encoder_folder(name)
    layer, limit = layer_and_limit(folder)
    return encoder_digest(folder, limit, layer), limit


def is_digest_of(name: str, digest: str) -> bool:
    """Return whether `TextEncoder.load(name, digest)` finds the encoder, without loading its weights."""
    return describe_encoder(name)[0] == digest or digest in old_digests(name)


def is_embedded(folder: Path) -> bool:
    """Return whether a folder is that of the embedded encoder's package."""
    try:
        return folder.resolve() == embedded_folder().resolve()
    except FileNotFoundError:
        return False


def layer_and_limit(folder: Path) -> tuple[int, int]:
    """Return the hidden layer whose states are used, and the most tokens of a text."""
    if is_embedded(folder):
        config = json.loads((folder / "config.json").read_text())
        layer, limit = -2, int(config["max_position_embeddings"])  # docs/adr/0007
    else:
        from trainer.text_models import describe

        layer, limit = describe(folder)
    return layer, min(MAX_TOKENS, limit, _sentence_limit(folder))


def encoder_digest(folder: Path, max_length: int, layer: int) -> str:
    """Return the digest of an encoder's content and settings."""
    digest = digest_parts(content_digest(folder), max_length, layer)
    return _EMBEDDED[1] if digest == _EMBEDDED[0] else digest


def old_digests(name: str) -> Iterator[str]:
    """Yield the digest of an encoder in models of older versions, which held its name as it was written."""
    folder = encoder_folder(name)
    weights = folder / WEIGHTS
    contents = [folder.name, "None"]  # a hub model's commit; a folder with its weights in several files
    if weights.is_file():
        contents.append(digest_file(weights))
    for content in contents:
        yield digest_parts(name, content, OLD_MAX_TOKENS, OLD_LAYER)


def _sentence_limit(folder: Path) -> int:
    """Return the most tokens of a sentence-transformers model, which was not trained on longer texts."""
    path = folder / "sentence_bert_config.json"
    return (
        int(json.loads(path.read_text()).get("max_seq_length") or MAX_TOKENS)
        if path.is_file()
        else MAX_TOKENS
    )
