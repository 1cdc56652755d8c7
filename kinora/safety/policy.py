"""Judge prompts by rules and, where one is set, by a model or an endpoint."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from kinora.safety.config import Mode, SafetyConfig
from kinora.safety.rules import Rules
from manifests.own_functions import call_own

Check = Callable[[str], Sequence[str]]
"""Returns what is wrong with a text; nothing for a harmless one."""
KEY = "KINORA_SAFETY_API_KEY"
"""Variable of the environment with the key of the endpoint."""
TIMEOUT_S = 20.0
NOT_CHECKED = "prompts not checked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What was found in the prompts of one video."""

    mode: Mode
    found: tuple[str, ...] = ()
    """Names of rules and categories."""

    @property
    def is_blocked(self) -> bool:
        return self.mode == "block" and bool(self.found)

    @property
    def message(self) -> str:
        return f"the policy of this server finds {', '.join(self.found)}; describe something else"

    @property
    def record(self) -> str:
        """What is written down: whether prompts were checked, and what was found."""
        found = ", ".join(self.found) or "nothing found"
        return NOT_CHECKED if self.mode == "off" else f"prompts checked ({self.mode}): {found}"


class Policy:
    """The checks of prompts that a configuration asks for."""

    def __init__(self, config: SafetyConfig) -> None:
        """Load them. Raises ValueError or OSError for rules or a check that cannot be loaded."""
        self._mode: Mode = config.prompts
        self._checks: list[Check] = []
        if config.prompts == "off":
            return
        self._checks.append(Rules.load(config.rules).find)
        if config.check is not None:
            self._checks.append(_load(config.check))

    def check(self, texts: Sequence[str]) -> Verdict:
        """Return what is found in some texts. A check that fails counts as found: nothing passes unseen."""
        found = [name for text in texts for check in self._checks for name in _named(check, text)]
        return Verdict(mode=self._mode, found=tuple(dict.fromkeys(found)))


def _named(check: Check, text: str) -> Sequence[str]:
    try:
        return [str(name) for name in check(text)]
    except Exception as error:
        print(f"warning: the check of prompts failed: {type(error).__name__}: {error}", file=sys.stderr)
        return ["a check that failed"]


def _load(name: str) -> Check:
    if name.startswith(("http://", "https://")):
        return _Endpoint(name)
    return call_own(name, "safety.check")


class _Endpoint:
    """A `/v1/moderations` interface, as OpenAI and others serve it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, text: str) -> Sequence[str]:
        headers = {"content-type": "application/json"}
        if key := os.environ.get(KEY):
            headers["authorization"] = f"Bearer {key}"
        request = Request(self._url, json.dumps({"input": text}).encode(), headers)
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:
                results: list[dict[str, Any]] = json.load(answer)["results"]
        except HTTPError as error:
            error.close()
            raise OSError(f"{self._url}: answered with status {error.code}") from None
        except (URLError, ValueError, KeyError, TypeError) as error:
            raise OSError(f"{self._url}: {error}") from None
        return [name for each in results if each.get("flagged") for name in _categories(each)]


def _categories(result: dict[str, Any]) -> list[str]:
    named = [name for name, is_found in result.get("categories", {}).items() if is_found]
    return named or ["what the endpoint flags"]
