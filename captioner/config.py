"""Configuration of captioners. Imports nothing heavy."""

from dataclasses import dataclass, field
from typing import Any, Literal

from manifests.ranges import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    UnitFloat,
    check_ranges,
)


@dataclass(frozen=True, kw_only=True)
class VisionModelConfig:
    """A vision-language model in a folder or on a hub, and how it answers."""

    model: str
    """Model folder or hub name, such as `Qwen/Qwen2.5-VL-3B-Instruct`."""
    revision: str | None = None
    """Hub commit, branch or tag; pin a commit for reproducible captions."""
    frames: PositiveInt = 8
    """Maximum number of frames per clip."""
    fps: PositiveFloat | None = None
    """Frame rate of the sampled frames, from the start of the clip. Default: evenly spaced over the clip."""
    frames_by: Literal["time", "content"] = "time"
    """`content` samples more frames where the picture changes much, and fewer where it does not; not with
    `fps`."""
    max_new_tokens: PositiveInt = 320
    """Maximum answer length; a longer answer fails as TRUNCATED."""
    temperature: NonNegativeFloat = 0.0
    """Sampling temperature; 0 decodes greedily, which is reproducible."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Data type of the weights; `auto` uses the model's own."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class VlmConfig(VisionModelConfig):
    """An image-text-to-text model of transformers."""

    batch_size: PositiveInt = 8
    """Prompts per batch."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, ...; `auto` uses a GPU if available."""
    timeout_s: PositiveFloat | None = None
    """Time limit of a batch in seconds; unfinished answers fail as TIMEOUT. Default: no limit."""


@dataclass(frozen=True, kw_only=True)
class VllmConfig(VisionModelConfig):
    """A model in engines of vLLM, each an actor of its own beside the actors that read clips."""

    python: str = ""
    """Python interpreter of the environment that has vLLM, at the same path on each node that runs an engine,
    such as `/opt/vllm/bin/python`. Default: Kinora's own environment."""
    engines: PositiveInt = 1
    """Number of engines, each with a copy of the model."""
    tensor_parallel_size: PositiveInt = 1
    """Number of GPUs, of one node, that the weights of an engine are split over."""
    gpus: NonNegativeInt | None = None
    """GPUs that Ray keeps for an engine. Default: `tensor_parallel_size` if Ray has GPUs, else none, for a
    build of vLLM for CPUs."""
    gpu_memory_utilization: UnitFloat = 0.9
    """Fraction of each GPU's memory that an engine takes, 0 to 1."""
    max_model_len: PositiveInt | None = None
    """Maximum length of prompt and answer together, in tokens. Default: the model's own, which may need more
    memory than there is."""
    max_num_seqs: PositiveInt | None = None
    """Maximum number of prompts that an engine answers at a time. Default: vLLM's own."""
    json_schema: bool = True
    """Guide answers to JSON by schema where one prompt asks for several lengths."""
    engine_args: dict[str, Any] = field(default_factory=dict[str, Any])
    """Further arguments of vLLM's engine, by their names in `AsyncEngineArgs`, such as
    `{quantization: fp8}`."""
    timeout_s: PositiveFloat | None = None
    """Time limit of an answer in seconds; an unfinished one fails as TIMEOUT. Default: no limit."""


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """A server with OpenAI's chat completions: vLLM, SGLang, llama.cpp and others."""

    url: str
    """Where the API begins, such as `http://localhost:8000/v1`."""
    model: str
    """Name of the model at the server."""
    api_key_env: str = ""
    """Name of the environment variable that holds the API key, such as `OPENAI_API_KEY`. Default: no key."""
    frames: PositiveInt = 8
    """Maximum number of frames per clip; each is a picture of the prompt."""
    fps: PositiveFloat | None = None
    """Frame rate of the sampled frames, from the start of the clip. Default: evenly spaced over the clip."""
    frames_by: Literal["time", "content"] = "time"
    """`content` samples more frames where the picture changes much, and fewer where it does not; not with
    `fps`."""
    times: bool = True
    """Write the time of each frame before its picture."""
    jpeg_quality: PositiveInt = 90
    """JPEG quality of the pictures, 1 to 100."""
    json_schema: bool = True
    """Ask for JSON by schema where one prompt asks for several lengths or for parts; off for servers that
    refuse it."""
    logprobs: bool = True
    """Ask for the probabilities of tokens where a question is answered (`kinora ask`); off for servers that
    refuse it: then answers count as 1 and 0."""
    concurrency: PositiveInt = 16
    """Maximum number of requests in flight."""
    max_new_tokens: PositiveInt = 320
    """Maximum answer length; a longer answer fails as TRUNCATED."""
    temperature: NonNegativeFloat = 0.0
    """Sampling temperature; 0 decodes greedily."""
    timeout_s: PositiveFloat = 120.0
    """Time limit of a request in seconds; a clip whose every try takes longer fails as TIMEOUT."""
    tries: PositiveInt = 6
    """Maximum number of tries of a request that times out, or that the server answers with 429 or 5xx."""
    max_wait_s: PositiveFloat = 120.0
    """Maximum time to wait before another try, also where the server's Retry-After asks for more."""
    input_price: NonNegativeFloat = 0.0
    """Price of a million prompt tokens, in any currency."""
    output_price: NonNegativeFloat = 0.0
    """Price of a million answer tokens, in the same currency."""
    max_cost: PositiveFloat | None = None
    """Stop the run before it costs more; what is captioned stays, and another run goes on with the rest."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class FactsConfig:
    """The `facts` captioner, which composes captions from detectors and needs no hub model."""

    frames: PositiveInt = 4
    """Frames per clip on which objects and colours are detected."""
    text_frames: NonNegativeInt = 1
    """Frames per clip on which text is read, at 0.2 to 0.4 s each; 0 disables text reading."""
    min_text_score: UnitFloat = 0.85
    """Minimum confidence of a text line, 0 to 1."""
    min_text_length: NonNegativeInt = 3
    """Minimum length of a text line, in characters."""
    min_object_score: UnitFloat = 0.5
    """Minimum confidence of an object, 0 to 1."""

    __post_init__ = check_ranges


@dataclass(frozen=True, kw_only=True)
class CaptionerConfig:
    """Captioner and prompts of a run."""

    kind: Literal["auto", "embedded", "facts", "vlm", "vllm", "endpoint"] = "auto"
    """`embedded` knows only simulated worlds; `facts` composes captions from detectors; `vlm` runs a
    transformers model, `vllm` one in vLLM; `endpoint` asks a server; `auto` uses `embedded` for simulated
    worlds whose colours its caption names, and `facts` otherwise."""
    vlm: VlmConfig | None = None
    """Model of `vlm`; required for it."""
    vllm: VllmConfig | None = None
    """Model and engines of `vllm`; required for it."""
    endpoint: EndpointConfig | None = None
    """Server of `endpoint`; required for it."""
    facts: FactsConfig = field(default_factory=FactsConfig)
    """Detectors of `facts`."""
    dense_prompt: str = "dense"
    """Name of the dense caption prompt (models that take prompts; the embedded model has its own)."""
    short_prompt: str = "short"
    """Name of the short caption prompt (models that take prompts only)."""
    medium_prompt: str = ""
    """Name of the prompt of captions of medium length (models that take prompts only), such as `medium`;
    empty for none."""
    joint_prompt: str = ""
    """Name of one prompt whose answer holds all lengths (models that take prompts only), such as `lengths`;
    it replaces the prompts of single lengths."""
    parts_prompt: str = ""
    """Name of a prompt, such as `parts`, whose answer lists subjects, actions in order, setting, camera,
    style, light and visible text (models that take prompts only); empty for none."""
    long_clip_s: NonNegativeFloat = 0.0
    """Longest clip that is described from one look at it, in seconds (models that take prompts only): the
    dense caption and the parts of a longer one are those of equal windows of at most this length, merged in
    order. Each window has its share of `max_frames`. 0 turns windows off."""
    prompt_folder: str = ""
    """Folder with your own prompts, one Markdown file each; `NAME_still.md`, if there is one, is for clips of
    one frame. Default: the built-in prompts."""
    caption_language: str = ""
    """Language of the captions (models that take prompts only), in English, such as `French`. Default: that
    of the prompt."""
    batch_size: PositiveInt = 64
    """Prompts per batch of the embedded model."""

    __post_init__ = check_ranges
