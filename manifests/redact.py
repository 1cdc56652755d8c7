"""Remove credentials from errors, logs and the configuration stored in a commit."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

HIDDEN = "***"

_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s\"'<>]*@")
_PARAMETER = re.compile(
    r"(?i)\b((?:x-amz-(?:signature|credential|security-token)|awsaccesskeyid|aws_secret_access_key"
    r"|aws_session_token|secret(?:_?key)?|password|passwd|api_?key|access_?token|token|signature|sig)=)"
    r"[^&\s\"',;]+"
)
_HEADER = re.compile(r"(?i)\b(authorization:.*|bearer\s+\S+)")
_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")
_SECRET_NAME = re.compile(r"(?i)(^|_)(secret|password|passwd|api_?key|access_key|token|credentials?)$")
_ENVIRONMENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")


def redact(text: str, secrets: Iterable[str | None] = ()) -> str:
    """Replace credentials in `text` with `***`.

    Covers userinfo in URIs, signed query parameters, authorization headers, access key ids, the values of the
    AWS environment variables, and `secrets`.
    """
    known = {secret for secret in (*secrets, *map(os.environ.get, _ENVIRONMENT)) if secret}
    for secret in sorted(known, key=len, reverse=True):
        if len(secret) >= 8:  # a shorter value (`testing`, `minio`) may be an ordinary word
            text = text.replace(secret, HIDDEN)
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    text = _PARAMETER.sub(rf"\1{HIDDEN}", text)
    text = _HEADER.sub(f"authorization {HIDDEN}", text)
    return _KEY_ID.sub(HIDDEN, text)


def has_userinfo(uri: str) -> bool:
    """Return whether a URI contains a user name or a password."""
    return _USERINFO.match(uri) is not None


def redact_values(value: Any) -> Any:
    """Redact every string in nested mappings and sequences; hide the values of keys that name a secret."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        value = cast(Mapping[str, Any], value)
        return {
            name: HIDDEN
            if isinstance(inner, str) and inner and _SECRET_NAME.search(name)
            else redact_values(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_values(inner) for inner in cast(Sequence[Any], value)]
    return value
