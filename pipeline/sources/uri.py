"""URIs of sources: a path, an S3 object, or a member of a tar in either place."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import quote

from manifests.storage import open_storage

if TYPE_CHECKING:
    from manifests.storage.s3 import S3Storage  # needs boto3

_MEMBER = re.compile(r"tar\+(?P<tar>.+)#(?P<offset>\d+)\+(?P<length>\d+)/(?P<name>[^#]*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class TarMember:
    """A byte range of a tar. As a URI: `tar+TAR#OFFSET+LENGTH/NAME`."""

    tar: str
    """Path or URI of the tar."""
    offset: int
    length: int
    name: str
    """Percent-encoded."""

    @property
    def uri(self) -> str:
        return f"tar+{self.tar}#{self.offset}+{self.length}/{self.name}"

    @classmethod
    def from_name(cls, name: str, *, tar: str, offset: int, length: int) -> Self:
        """Create a member from its name, which need not be UTF-8."""
        return cls(tar=tar, offset=offset, length=length, name=quote(name.encode("utf-8", "surrogateescape")))

    @classmethod
    def parse(cls, uri: str) -> Self | None:
        """Parse a URI; return None if it is not one of a member."""
        found = _MEMBER.fullmatch(uri)
        if found is None:
            return None
        span = {"offset": int(found["offset"]), "length": int(found["length"])}
        return cls(tar=found["tar"], name=found["name"], **span)


def file_uri(uri: str) -> str:
    """Return the URI of the file that holds a source: the tar of a member, else `uri`."""
    member = TarMember.parse(uri)
    return member.tar if member else uri


def storage_and_key(uri: str) -> tuple["S3Storage", str]:
    """Return the storage of the bucket of an `s3://` URI, and the key, verbatim.

    Raises DatasetError without a bucket, without boto3, and for a URI with credentials.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    settings = hash(frozenset(item for item in os.environ.items() if item[0].startswith("AWS_")))
    return _bucket(bucket, settings), key


@lru_cache(maxsize=64)
def _bucket(bucket: str, settings: int) -> "S3Storage":
    """Return the storage of a bucket, cached with its connections; `settings` hashes the environment."""
    return cast("S3Storage", open_storage(f"s3://{bucket}"))
