"""Load the questions of a configuration and the model that answers them."""

from dataclasses import replace

from captioner.config import CaptionerConfig
from captioner.endpoint import EndpointCaptioner
from captioner.protocol import Captioner
from captioner.questions import Question, load_questions
from manifests.digest import digest_parts
from pipeline.ask.units import AskSpec
from pipeline.caption.load import endpoint_config, load_captioner, weights_digest
from pipeline.config import AskConfig, config_digest

_ANSWERING = ("vlm", "vllm", "endpoint")
"""Kinds of captioners that answer questions."""


def ask_spec(config: AskConfig, questions: tuple[Question, ...] | None = None) -> AskSpec:
    """Return the questions of `config`, or of `questions`, with the digest of the model and its settings.

    Raises FileNotFoundError or ValueError, with the remedy, for a question or model that is not valid.
    """
    kind = config.captioner.kind
    if kind not in _ANSWERING:
        raise ValueError(
            f"captioner.kind is {kind}, which answers no questions: set it to vlm and captioner.vlm.model to "
            "a model, to vllm and captioner.vllm.model, or to endpoint and captioner.endpoint.url and .model "
            "to a server"
        )
    if kind == "endpoint":
        endpoint_config(config)  # raises if it is not set
    chosen = questions if questions is not None else _chosen(config)
    engine = digest_parts("engine", config_digest(config), weights_digest(with_limit(config)))
    return AskSpec(questions=chosen, engine=engine)


def load_model(config: AskConfig) -> Captioner:
    """Load the model, weights and all. Raises as `ask_spec` does."""
    config = with_limit(config)
    if config.captioner.kind == "endpoint":
        return EndpointCaptioner(endpoint_config(config), trial=load_questions()[0].prompt)
    return load_captioner(config)


def _chosen(config: AskConfig) -> tuple[Question, ...]:
    found = {question.name: question for question in load_questions(config.questions)}
    if unknown := [name for name in config.only if name not in found]:
        raise ValueError(f"only: there is no question {unknown[0]}; there are {', '.join(found)}")
    return tuple(found[name] for name in config.only or found)


def with_limit(config: AskConfig) -> AskConfig:
    """Return the configuration with `max_answer_tokens` as the limit of the model."""
    captioner: CaptionerConfig = config.captioner
    limit = config.max_answer_tokens
    vlm, vllm, endpoint = (
        replace(each, max_new_tokens=limit) if each is not None else None
        for each in (captioner.vlm, captioner.vllm, captioner.endpoint)
    )
    return replace(config, captioner=replace(captioner, vlm=vlm, vllm=vllm, endpoint=endpoint))
