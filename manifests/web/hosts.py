"""Which `Host` headers are answered.

A page of another site can give its own name the address of this server (DNS rebinding), and is then, for the
browser, of the same origin. It cannot choose the `Host` header, which holds that name. A literal IP address
as host is safe: no name was resolved.
"""

from collections.abc import Iterable
from ipaddress import ip_address

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(address: str) -> bool:
    """Return whether a server at `address` is reached from this machine alone."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


class HostCheck:
    """Accepts the names and addresses of this server."""

    def __init__(self, address: str, names: Iterable[str] = ()) -> None:
        """Make the check for a server that listens at `address` and is also called `names`."""
        self._loopback_only = is_loopback(address)
        self._names = LOCAL_NAMES | {address.lower()} | {name.lower() for name in names}

    def __call__(self, header: str) -> bool:
        """Return whether a `Host` header is of this server."""
        name = host_name(header)
        if name in self._names:
            return True
        return not self._loopback_only and _is_ip(name)


def host_name(header: str) -> str:
    """Return the host of a `Host` header without its port, in lower case."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
