"""Text in, text out: a language model of transformers, or an OpenAI-compatible endpoint."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any, Protocol

from captioner.chat_client import ChatClient, RequestFailed
from captioner.config import EndpointConfig
from captioner.text_config import TextModelConfig
from captioner.weight_files import naming_broken_weights


class TextModel(Protocol):
    """Answers prompts."""

    name: str

    def answer(self, prompts: Sequence[str]) -> list[str | None]:
        """Return the raw answer to each prompt; None for one that ran into the token limit."""
        ...


class TextModelError(ValueError):
    """A language model cannot be reached or refuses its work. The message has the remedy."""


def load_text_model(config: TextModelConfig) -> TextModel:
    """Load the model of a configuration.

    Raises:
        ValueError: if neither or both of `model` and `endpoint` are set, or the model cannot be loaded.
    """
    if config.endpoint:
        if not config.model:
            raise ValueError("endpoint is set, but model is not: name the model that the endpoint serves")
        return EndpointTextModel(config)
    if not config.model:
        raise ValueError("set model, a folder or a name on a hub, or model and endpoint")
    return TransformersTextModel(config)


class TransformersTextModel:
    """A causal language model of transformers, without remote code."""

    def __init__(self, config: TextModelConfig) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        device = config.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._config, self.name = config, config.model
        with naming_broken_weights("model", config.model):
            try:
                self._tokenizer: Any = AutoTokenizer.from_pretrained(config.model, revision=config.revision)
                self._model: Any = AutoModelForCausalLM.from_pretrained(
                    config.model, revision=config.revision, dtype="auto", use_safetensors=True
                )
            except (OSError, ValueError) as error:
                raise TextModelError(
                    f"model: {config.model} cannot be loaded as a language model ({_first_line(error)}); "
                    "name the folder of one of transformers, with its tokenizer, or set endpoint"
                ) from error
        self._model.eval().requires_grad_(False).to(torch.device(device))

    def answer(self, prompts: Sequence[str]) -> list[str | None]:
        """Answer the prompts one by one, greedily."""
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: str) -> str | None:
        text = prompt
        has_template = bool(getattr(self._tokenizer, "chat_template", None))
        if has_template:
            chat = [{"role": "user", "content": prompt}]
            text = self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        # a template writes the token that begins a text itself
        inputs = self._tokenizer(text, return_tensors="pt", add_special_tokens=not has_template)
        inputs = inputs.to(self._model.device)
        padding = self._tokenizer.pad_token_id
        out_1L = self._model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=self._config.max_new_tokens,
            do_sample=False,
            pad_token_id=self._tokenizer.eos_token_id if padding is None else padding,
        )
        tokens_L = out_1L[0, inputs["input_ids"].shape[1] :]
        if len(tokens_L) >= self._config.max_new_tokens:
            return None
        return self._tokenizer.decode(tokens_L, skip_special_tokens=True)


class EndpointTextModel:
    """An OpenAI-compatible endpoint (`/v1/chat/completions`), several requests at a time."""

    def __init__(self, config: TextModelConfig) -> None:
        """Raise ValueError for an endpoint that is no http(s) URL."""
        if not config.endpoint.startswith(("http://", "https://")):
            raise ValueError(f"endpoint {config.endpoint!r}: give a URL such as http://localhost:8000/v1")
        self._config, self.name = config, config.model
        self._server = EndpointConfig(
            url=config.endpoint,
            model=config.model,
            concurrency=config.max_requests,
            timeout_s=config.timeout_s,
            tries=config.retries + 1,
        )

    def answer(self, prompts: Sequence[str]) -> list[str | None]:
        """Answer all prompts. Raise TextModelError if one cannot be answered after all retries."""
        try:
            return asyncio.run(self._answer_all(prompts))
        except RequestFailed as failed:
            raise TextModelError(f"{failed}; check that the server runs and serves {self.name}") from failed

    async def _answer_all(self, prompts: Sequence[str]) -> list[str | None]:
        turns = asyncio.Semaphore(self._config.max_requests)
        async with ChatClient(self._server, os.environ.get(self._config.api_key_env, "")) as client:
            return await asyncio.gather(*(self._answer(prompt, client, turns) for prompt in prompts))

    async def _answer(self, prompt: str, client: ChatClient, turns: asyncio.Semaphore) -> str | None:
        body = {
            "model": self._config.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self._config.max_new_tokens,
            "temperature": 0,
        }
        async with turns:
            reply = await client.ask(body, seed=prompt)
        return reply.text if reply.ended else None


def _first_line(error: Exception) -> str:
    """Return the beginning of a message; some of transformers' list all that it knows."""
    return str(error).strip().partition("\n")[0].rstrip(":. ")[:200]
