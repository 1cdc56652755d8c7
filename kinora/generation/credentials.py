"""C2PA manifests ("content credentials"): sign a file that is whole, and tell what became of one.

The order of work: the file with its tags, then the manifest from it into a second file, read back, and only
then the file's own name. WebM and Matroska hold no manifest: theirs lies beside them, in FILE.c2pa.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np

from kinora.generation.files import new_partial
from kinora.generation.provenance import SOURCE_TYPE, software
from kinora.generation.sign_config import SignConfig
from video.container import read_head

State = Literal["none", "valid", "changed", "expired", "invalid", "not read"]
SIDECAR = ".c2pa"
"""Ending of a manifest beside its file, after the name of the file."""
LABEL = "org.kinora.generation"
"""Label of the assertion with Kinora's own fields."""
_BESIDE = "video/webm"
_ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_CHANGED = ".mismatch"
_EXPIRED = "signingCredential.expired"
_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What a file's manifest says."""

    state: State
    reason: str = ""
    """Why the manifest is not valid, or was not read."""
    signer: str = ""
    """Who the certificate names."""
    is_trusted: bool = False
    """Whether the certificate is of an authority that was given."""

    def to_text(self) -> str:
        words = {
            "none": "none",
            "valid": "valid: the file is as it was signed",
            "changed": "CHANGED: the file is not as it was signed",
            "expired": "expired: the certificate has run out; the file is as it was signed",
            "invalid": f"invalid ({self.reason})",
            "not read": f"not read ({self.reason})",
        }[self.state]
        who = f", by {self.signer}" if self.signer else ""
        trust = "" if self.is_trusted or not self.signer else " (an authority that was not given)"
        return f"{words}{who}{trust}"


class ContentSigner:
    """Signs files with one certificate."""

    def __init__(self, config: SignConfig) -> None:
        """Load the certificate and try it, so that a bad one is found before anything is made.

        Raises ValueError with the remedy.
        """
        try:
            import c2pa
        except ImportError as error:
            raise ValueError(
                f"sign.certificate needs c2pa-python ({error}); `pip install 'kinora[provenance]'`"
            ) from error
        assert config.certificate is not None
        assert config.key is not None
        self._c2pa: Any = c2pa
        chain, key = Path(config.certificate).read_bytes(), Path(config.key).read_bytes()
        self._where = f"sign.certificate {config.certificate}"
        try:
            info = c2pa.C2paSignerInfo(_algorithm(key, config.key), chain, key, None)
            self._signer = c2pa.Signer.from_info(info)
        except c2pa.C2paError as error:
            raise ValueError(f"{self._where}: {error}") from None
        self._try()

    def sign(self, partial: Path, out: Path, assertion: Mapping[str, str]) -> None:
        """Put a manifest into `partial`, which will be called `out`, or beside `out`.

        Raises ValueError where the signed file does not read back as valid; then `partial` is as it was.
        """
        kind = media_type(partial)
        beside = kind == _BESIDE
        signed = new_partial(partial)
        try:
            with partial.open("rb") as source, signed.open("w+b") as target:
                manifest = self._builder(out.name, assertion, beside).sign(self._signer, kind, source, target)
            found = _read(self._c2pa, signed, kind, manifest if beside else None, None)
            if found.state != "valid":
                raise ValueError(
                    f"{self._where}: the signed file reads back as {found.state} ({found.reason})"
                )
            if beside:
                signed.write_bytes(manifest)
                signed.chmod(0o644)
                signed.replace(sidecar_of(out))
            else:
                signed.replace(partial)
        except self._c2pa.C2paError as error:
            raise ValueError(f"{self._where}: {out.name} cannot be signed ({error})") from None
        finally:
            signed.unlink(missing_ok=True)

    def _builder(self, title: str, assertion: Mapping[str, str], beside: bool) -> Any:
        made = {
            "action": "c2pa.created",
            "digitalSourceType": SOURCE_TYPE,
            "when": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        name, _, version = software().partition(" ")
        definition = {
            "claim_generator_info": [{"name": name, "version": version}],
            "title": title,
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [made]}},
                {"label": LABEL, "data": dict(assertion)},
            ],
        }
        context = self._c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
        builder = self._c2pa.Builder.from_json(definition, context)
        if beside:
            builder.set_no_embed()
        return builder

    def _try(self) -> None:
        """Sign a picture of one pixel. Raises ValueError for a certificate that no reader would accept."""
        picture = _one_pixel()
        try:
            self._builder("trial", {}, beside=False).sign(
                self._signer, "image/png", io.BytesIO(picture), io.BytesIO()
            )
        except self._c2pa.C2paError as error:
            raise ValueError(
                f"{self._where}: cannot sign ({error}); docs/serve.md says what a certificate needs"
            ) from None


def read_credentials(path: str | Path, trust: str | Path | None = None) -> Credentials:
    """Return what a file's manifest says.

    Args:
        trust: PEM file with certificates of authorities that are trusted.

    Raises VideoError for a file that is not there.
    """
    try:
        import c2pa
    except ImportError:
        return Credentials(state="not read", reason="`pip install 'kinora[provenance]'`")
    path = Path(path)
    kind = media_type(path)
    if kind is None:
        return Credentials(state="none")
    beside = sidecar_of(path)
    manifest = beside.read_bytes() if kind == _BESIDE and beside.is_file() else None
    if kind == _BESIDE and manifest is None:
        return Credentials(state="none")
    try:
        return _read(c2pa, path, kind, manifest, trust)
    except c2pa.C2paError as error:
        return Credentials(state="invalid", reason=" ".join(str(error).split()))


def sidecar_of(path: Path) -> Path:
    """Return the file of a manifest that lies beside its file."""
    return path.with_name(path.name + SIDECAR)


def media_type(path: Path) -> Any:
    """Return the type of a file by its bytes; None for one that holds no manifest."""
    head = read_head(path)
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    known = {
        b"GIF8": "image/gif",
        b"\x89PNG": "image/png",
        b"\xff\xd8\xff": "image/jpeg",
        b"\x1aE\xdf\xa3": _BESIDE,
    }
    return next((kind for start, kind in known.items() if head.startswith(start)), None)


def _read(c2pa: Any, path: Path, kind: str, manifest: bytes | None, trust: str | Path | None) -> Credentials:
    settings: dict[str, Any] = {"verify": {"verify_trust": True}}
    if trust is not None:
        settings["trust"] = {"user_anchors": Path(trust).read_text()}
    context = c2pa.Context.from_dict(settings)
    with path.open("rb") as file:
        try:
            reader = c2pa.Reader(kind, file, manifest, context=context)
        except c2pa.C2paError.ManifestNotFound:
            return Credentials(state="none")
        with reader:
            state = str(reader.get_validation_state())
            results = cast(dict[str, Any], reader.get_validation_results() or {})
            about = cast(dict[str, Any], json.loads(reader.json()))
    failures = [each["code"] for each in results.get("activeManifest", {}).get("failure", [])]
    active = about.get("manifests", {}).get(about.get("active_manifest"), {})
    info = active.get("signature_info", {})
    signer = info.get("common_name") or info.get("issuer") or ""
    return Credentials(
        state=_state(state, failures),
        reason=", ".join(code for code in failures if code != _UNTRUSTED),
        signer=signer,
        is_trusted=trust is not None and _UNTRUSTED not in failures,
    )


def _state(state: str, failures: list[str]) -> State:
    if any(code.endswith(_CHANGED) for code in failures):
        return "changed"
    if _EXPIRED in failures:
        return "expired"
    return "valid" if state in ("Valid", "Trusted") else "invalid"


def _algorithm(key: bytes, where: str) -> str:
    """Return C2PA's name of the algorithm of a private key. Raises ValueError for another kind."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"sign.key {where}: no private key without a password in PEM ({error})") from None
    if isinstance(found, ec.EllipticCurvePrivateKey) and found.curve.name in _ALGORITHMS:
        return _ALGORITHMS[found.curve.name]
    if isinstance(found, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(found, rsa.RSAPrivateKey):
        return "ps256"
    raise ValueError(f"sign.key {where}: must be a key of P-256, P-384, P-521, Ed25519 or RSA")


def _one_pixel() -> bytes:
    return cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
