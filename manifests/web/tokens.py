"""The token that a server at another address than loopback asks for. Only its hash is stored."""

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

_FILE = "token.sha256"


class TokenStore:
    """The hash of the token of one server, in its state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / _FILE

    def exists(self) -> bool:
        """Return whether a token was made before."""
        return self._path.is_file()

    def create(self) -> str:
        """Make a token, which replaces an earlier one, and return it: it cannot be read again."""
        token = secrets.token_urlsafe(32)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(hash_token(token))
            out.flush()
            os.fsync(out.fileno())
        partial.replace(self._path)
        return token

    def announce(self, host: str, *, new: bool) -> list[str]:
        """Return what the terminal says of a server at `host`, with the token if this makes one.

        Args:
            new: make a token even if there is one.
        """
        reach = (
            f"listening at {host}, which other machines may reach, over plain HTTP: put a proxy with TLS in "
            "front outside of a trusted network"
        )
        if new or not self.exists():
            return [reach, f"token, shown this once: {self.create()}"]
        return [reach, "it asks for the token that was shown when it was made; --new-token makes another"]

    def matches(self, token: str) -> bool:
        """Return whether `token` is the one whose hash is stored, in constant time."""
        stored = self._path.read_text().strip() if self.exists() else ""
        return hmac.compare_digest(stored, hash_token(token)) and bool(stored)


def hash_token(token: str) -> str:
    """Return the SHA-256 of a token: with 256 random bits it needs no slow hash."""
    return sha256(token.encode(errors="replace")).hexdigest()
