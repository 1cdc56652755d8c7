"""Configuration of language models. Imports nothing heavy."""

from dataclasses import dataclass

from manifests.ranges import NonNegativeInt, PositiveFloat, PositiveInt, check_ranges


@dataclass(frozen=True, kw_only=True)
class TextModelConfig:
    """A causal language model of transformers, or an OpenAI-compatible endpoint."""

    model: str = ""
    """Model folder or hub name; with `endpoint`, the name that it serves."""
    revision: str | None = None
    """Hub commit, branch or tag."""
    endpoint: str = ""
    """URL of an OpenAI-compatible server, such as `http://localhost:8000/v1`. Default: transformers."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable with the key of the endpoint, if it wants one."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, ...; `auto` uses a GPU if available."""
    max_new_tokens: PositiveInt = 512
    """Maximum answer length; a longer answer counts as none."""
    max_requests: PositiveInt = 8
    """Requests to the endpoint at a time."""
    timeout_s: PositiveFloat = 120.0
    """Time limit of a request, in seconds."""
    retries: NonNegativeInt = 4
    """Further attempts at a request that failed or timed out, with growing pauses."""

    __post_init__ = check_ranges
