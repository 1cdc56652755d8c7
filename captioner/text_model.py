"""Text in, text out: a language model of transformers, or an OpenAI-compatible endpoint."""

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from captioner.text_config import TextModelConfig

_RETRIED = (408, 409, 429, 500, 502, 503, 504)


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
        ValueError: if neither or both of `model` and `endpoint` are set.
        OSError: if the model does not exist.
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
        self._tokenizer: Any = AutoTokenizer.from_pretrained(config.model, revision=config.revision)
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            config.model, revision=config.revision, dtype="auto", use_safetensors=True
        )
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

    def __init__(self, config: TextModelConfig, sleep: Callable[[float], None] = time.sleep) -> None:
        """Raises ValueError for an endpoint that is no http(s) URL."""
        if not config.endpoint.startswith(("http://", "https://")):
            raise ValueError(f"endpoint {config.endpoint!r}: give a URL such as http://localhost:8000/v1")
        self._config, self._sleep = config, sleep
        self._url = f"{config.endpoint.rstrip('/')}/chat/completions"
        self.name = config.model

    def answer(self, prompts: Sequence[str]) -> list[str | None]:
        """Answer all prompts. Raises TextModelError if one cannot be answered after all retries."""
        with ThreadPoolExecutor(self._config.max_requests) as threads:
            return list(threads.map(self._answer, prompts))

    def _answer(self, prompt: str) -> str | None:
        content = {
            "model": self._config.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self._config.max_new_tokens,
            "temperature": 0,
        }
        found = self._post(json.dumps(content).encode())
        try:
            choice = found["choices"][0]
            text, reason = choice["message"]["content"], choice.get("finish_reason")
        except (KeyError, IndexError, TypeError) as error:
            raise TextModelError(f"{self._url}: the answer is no chat completion ({error!r})") from error
        return None if reason == "length" else str(text or "")

    def _post(self, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self._config.api_key_env):
            headers["Authorization"] = f"Bearer {key}"
        problem = ""
        for attempt in range(self._config.retries + 1):
            if attempt:
                self._sleep(min(30.0, 0.5 * 2**attempt))
            try:
                request = Request(self._url, data=body, headers=headers)
                with urlopen(request, timeout=self._config.timeout_s) as response:
                    return json.load(response)
            except HTTPError as error:
                problem = f"status {error.code}"
                if error.code not in _RETRIED:
                    break
            except (URLError, TimeoutError, ConnectionError, ValueError) as error:
                problem = str(error)
        raise TextModelError(f"{self._url}: {problem}; check that the server runs and serves {self.name}")
