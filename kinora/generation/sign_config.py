"""How files are signed. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SignConfig:
    """Certificate of the C2PA manifests. No slots: jsonargparse reads the defaults of nested configurations
    from `__dict__`."""

    certificate: str | None = None
    """PEM file with the certificate of `key`, then those of its authorities; with it every file gets a C2PA
    manifest (needs the extra `provenance`)."""
    key: str | None = None
    """PEM file with the private key, in the form PKCS#8."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("sign.certificate and sign.key belong together: give both, or neither")
