"""Load the captioner of a configuration, and name its caption version."""

from hashlib import file_digest
from pathlib import Path
from typing import Any

from captioner.auto import REVISION as AUTO_REVISION
from captioner.auto import AutoCaptioner
from captioner.captions import prompts_digest
from captioner.config import CaptionerConfig, EndpointConfig, VisionModelConfig, VlmConfig
from captioner.embedded import DENSE_PROMPT, SHORT_PROMPT, WEIGHTS, load_embedded
from captioner.embedded import REVISION as EMBEDDED_REVISION
from captioner.endpoint import EndpointCaptioner
from captioner.facts import REVISION, FactsCaptioner
from captioner.prompts import TASKS, Prompt, load_prompt
from captioner.protocol import Captioner
from captioner.vlm import TransformersCaptioner
from manifests.digest import digest_bytes, digest_parts
from manifests.records import LENGTHS
from pipeline.caption.score_words import score_columns
from pipeline.caption.units import CaptionSpec
from pipeline.config import CaptionConfig, config_digest

_BUILT_IN_LANGUAGE = "English"
_TAKE_PROMPTS = ("vlm", "vllm", "endpoint")
"""Kinds of captioners that answer any prompt."""


def caption_spec(config: CaptionConfig) -> CaptionSpec:
    """Return the prompts of `config` and the caption version.

    Raises FileNotFoundError or ValueError, with the remedy, if a prompt or the weights are missing.
    """
    chosen = config.captioner
    if config.transcripts and chosen.kind not in _TAKE_PROMPTS:
        raise ValueError(
            f"transcripts: captioner {chosen.kind} takes no prompt to put them in; use kind vlm, "
            "vllm or endpoint"
        )
    score_columns(config.score_words)
    prompts = _prompts(chosen)
    digests = prompts_digest(*prompts.values()).split("+")
    digests += [load_prompt("transcript", str(TASKS)).digest] if config.transcripts else []
    digests += [EMBEDDED_REVISION] if chosen.kind in ("embedded", "auto") else []
    digests += [AUTO_REVISION] if chosen.kind == "auto" else []
    content = digest_parts(config_digest(config), *digests, weights_digest(config), REVISION)
    return CaptionSpec(
        **prompts, window_s=chosen.long_clip_s, version=f"{chosen.kind}{_model(config)}-{content[:8]}"
    )


def _model(config: CaptionConfig) -> str:
    """Return the last part of the model's name, for the name of a version."""
    if config.captioner.kind == "endpoint":
        return f"-{Path(endpoint_config(config).model).name}"
    model = vision_model(config)
    return f"-{Path(model.model).name}" if model else ""


def _prompts(chosen: CaptionerConfig) -> dict[str, Prompt]:
    """Return the prompts by their names in `CaptionSpec`."""
    own = ("medium_prompt", "joint_prompt", "parts_prompt", "long_clip_s")
    if chosen.kind not in _TAKE_PROMPTS and (named := [name for name in own if getattr(chosen, name)]):
        raise ValueError(
            f"captioner.{named[0]}: captioner {chosen.kind} has texts of its own; use kind vlm, vllm or "
            "endpoint"
        )
    if chosen.kind == "embedded":
        return {"dense": load_prompt(DENSE_PROMPT), "short": load_prompt(SHORT_PROMPT)}
    parts: dict[str, Prompt] = {}
    if chosen.parts_prompt:
        parts["parts"] = _load(chosen.parts_prompt, chosen, asks_parts=True)
    if chosen.joint_prompt:
        return {"joint": _load(chosen.joint_prompt, chosen, lengths=LENGTHS)} | parts
    names = {"dense": chosen.dense_prompt, "short": chosen.short_prompt, "medium": chosen.medium_prompt}
    if not any(names.values()):
        raise ValueError("captioner: no prompt is set; set dense_prompt, short_prompt or joint_prompt")
    return {length: _load(name, chosen) for length, name in names.items() if name} | parts


def _load(name: str, chosen: CaptionerConfig, **answer: Any) -> Prompt:
    """Load a prompt; of captioners with texts of their own, it is a name alone."""
    if chosen.kind in ("auto", "facts"):
        return load_prompt(name, chosen.prompt_folder, **answer)
    language = chosen.caption_language
    prompt = load_prompt(name, chosen.prompt_folder, language=language, stills=True, **answer)
    return prompt if language or chosen.prompt_folder else prompt.expecting(_BUILT_IN_LANGUAGE)


def load_captioner(config: CaptionConfig) -> Captioner:
    """Load the captioner, weights and all. Raises as `caption_spec` does.

    That of kind `vllm` is loaded by `pipeline.caption.engines`, while its engines run.
    """
    chosen = config.captioner
    if chosen.kind == "embedded":
        return load_embedded(chosen.batch_size)
    if chosen.kind == "facts":
        return FactsCaptioner(chosen.facts)
    if chosen.kind == "vlm":
        return TransformersCaptioner(_vlm(config))
    if chosen.kind == "endpoint":
        return EndpointCaptioner(endpoint_config(config))
    if chosen.kind == "vllm":
        raise ValueError(
            "captioner.kind vllm runs in `kinora caption` and `kinora ask` alone; use kind vlm or endpoint"
        )
    prompts, own_names = _prompts(chosen), {"dense": DENSE_PROMPT, "short": SHORT_PROMPT}
    own = {prompt.digest: load_prompt(own_names[length]) for length, prompt in prompts.items()}
    return AutoCaptioner(load_embedded(chosen.batch_size), FactsCaptioner(chosen.facts), own)


def vision_model(config: CaptionConfig) -> VisionModelConfig | None:
    """Return the model of the kinds that load one by name; None for others.

    Raises ValueError if none is set.
    """
    kind = config.captioner.kind
    if kind == "vlm":
        return _vlm(config)
    if kind != "vllm":
        return None
    if config.captioner.vllm is None:
        raise ValueError("captioner.kind is vllm, but captioner.vllm.model is not set: name one")
    _check_sampling("vllm", config.captioner.vllm)
    return config.captioner.vllm


def _vlm(config: CaptionConfig) -> VlmConfig:
    if config.captioner.vlm is None:
        raise ValueError("captioner.kind is vlm, but captioner.vlm.model is not set: name one")
    _check_sampling("vlm", config.captioner.vlm)
    return config.captioner.vlm


def endpoint_config(config: CaptionConfig) -> EndpointConfig:
    endpoint = config.captioner.endpoint
    if endpoint is None:
        raise ValueError(
            "captioner.kind is endpoint, but captioner.endpoint.url and captioner.endpoint.model are not set"
        )
    _check_sampling("endpoint", endpoint)
    if endpoint.max_cost is not None and config.actors > 1:
        raise ValueError(
            "captioner.endpoint.max_cost is counted by one actor: leave actors at 0 and raise "
            "captioner.endpoint.concurrency"
        )
    return endpoint


def _check_sampling(name: str, chosen: VisionModelConfig | EndpointConfig) -> None:
    if chosen.fps is not None and chosen.frames_by == "content":
        raise ValueError(
            f"captioner.{name}: fps samples at fixed times and frames_by content does not; set one of them"
        )


def weights_digest(config: CaptionConfig) -> str:
    """Return a digest of the weights; of a model on the hub, its name and revision."""
    kind = config.captioner.kind
    if kind in ("facts", "endpoint"):
        return ""
    model = vision_model(config)
    folder = Path(model.model) if model else WEIGHTS
    if model and not folder.is_dir():
        if folder.is_absolute() or len(folder.parts) > 2 or folder.parts[:1] == ("..",):  # no name on a hub
            raise FileNotFoundError(f"captioner.{kind}.model: {folder}: no such folder")
        return f"{folder} {model.revision}"
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder}: no *.safetensors here, so no model can be loaded from it")
    hashes: list[bytes] = []
    for path in files:
        with path.open("rb") as content:
            hashes.append(file_digest(content, "sha256").digest())
    return digest_bytes(b"".join(hashes))
