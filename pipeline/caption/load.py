"""Load the captioner of a configuration, and name its caption version."""

from hashlib import file_digest
from pathlib import Path

from captioner.auto import AutoCaptioner
from captioner.config import VlmConfig
from captioner.embedded import DENSE_PROMPT, SHORT_PROMPT, WEIGHTS, load_embedded
from captioner.facts import REVISION, FactsCaptioner
from captioner.prompts import load_prompt
from captioner.protocol import Captioner
from captioner.vlm import TransformersCaptioner
from manifests.digest import digest_bytes, digest_parts
from pipeline.caption.batch import CaptionSpec
from pipeline.config import CaptionConfig, config_digest


def caption_spec(config: CaptionConfig) -> CaptionSpec:
    """Return the prompts of `config` and the caption version.

    Raises FileNotFoundError or ValueError, with the remedy, if a prompt or the weights are missing.
    """
    chosen = config.captioner
    names = (chosen.dense_prompt, chosen.short_prompt)
    if chosen.kind == "embedded":
        names = (DENSE_PROMPT, SHORT_PROMPT)
    folder = "" if chosen.kind == "embedded" else chosen.prompt_folder
    dense, short = (load_prompt(name, folder) for name in names)
    content = digest_parts(config_digest(config), dense.digest, short.digest, _weights(config), REVISION)
    model = f"-{Path(_vlm(config).model).name}" if chosen.kind == "vlm" else ""
    return CaptionSpec(dense=dense, short=short, version=f"{chosen.kind}{model}-{content[:8]}")


def load_captioner(config: CaptionConfig) -> Captioner:
    """Load the captioner, weights and all. Raises as `caption_spec` does."""
    chosen = config.captioner
    if chosen.kind == "embedded":
        return load_embedded(chosen.batch_size)
    if chosen.kind == "facts":
        return FactsCaptioner(chosen.facts)
    if chosen.kind == "vlm":
        return TransformersCaptioner(_vlm(config))
    spec = caption_spec(config)
    own = {spec.dense.digest: load_prompt(DENSE_PROMPT), spec.short.digest: load_prompt(SHORT_PROMPT)}
    return AutoCaptioner(load_embedded(chosen.batch_size), FactsCaptioner(chosen.facts), own)


def _vlm(config: CaptionConfig) -> VlmConfig:
    if config.captioner.vlm is None:
        raise ValueError("captioner.kind is vlm, but captioner.vlm.model is not set: name one")
    return config.captioner.vlm


def _weights(config: CaptionConfig) -> str:
    """Return a digest of the weights; of a model on the hub, its name and revision."""
    kind = config.captioner.kind
    if kind == "facts":
        return ""
    folder = Path(_vlm(config).model) if kind == "vlm" else WEIGHTS
    if kind == "vlm" and not folder.is_dir():
        return f"{folder} {_vlm(config).revision}"
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder}: no *.safetensors here, so no model can be loaded from it")
    hashes: list[bytes] = []
    for path in files:
        with path.open("rb") as content:
            hashes.append(file_digest(content, "sha256").digest())
    return digest_bytes(b"".join(hashes))
