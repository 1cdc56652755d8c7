"""What names a source: a path, an object of S3, or one member of a tar that lies in either place."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self
from urllib.parse import quote

from manifests.storage import storage_at

_MEMBER = re.compile(r"tar\+(?P<tar>.+)#(?P<offset>\d+)\+(?P<length>\d+)/(?P<name>[^#]*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class TarMember:
    """A span of bytes of a tar. Written `tar+TAR#OFFSET+LENGTH/NAME`."""

    tar: str
    """Path or URI of the tar."""
    offset: int
    length: int
    name: str
    """As the tar calls it, percent-encoded."""

    @property
    def uri(self) -> str:
        return f"tar+{self.tar}#{self.offset}+{self.length}/{self.name}"

    @classmethod
    def named(cls, name: str, *, tar: str, offset: int, length: int) -> Self:
        """Return the member of `tar` that is called `name`, in whatever bytes."""
        return cls(tar=tar, offset=offset, length=length, name=quote(name.encode("utf-8", "surrogateescape")))

    @classmethod
    def parse(cls, uri: str) -> Self | None:
        """Undo `uri`; None for what names no member."""
        found = _MEMBER.fullmatch(uri)
        if found is None:
            return None
        span = {"offset": int(found["offset"]), "length": int(found["length"])}
        return cls(tar=found["tar"], name=found["name"], **span)


def storage_and_key(uri: str) -> tuple[Any, str]:
    """Return the storage of the bucket that an `s3://` URI names, and the key in it, as it is written.

    Raises DatasetError without a bucket, without boto3, and for a URI with credentials in it.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    settings = hash(frozenset(item for item in os.environ.items() if item[0].startswith("AWS_")))
    return _bucket(bucket, settings), key


@lru_cache(maxsize=64)
def _bucket(bucket: str, settings: int) -> Any:
    """Return the storage of a bucket. It keeps its connections, and a new one costs tens of milliseconds."""
    return storage_at(f"s3://{bucket}")
