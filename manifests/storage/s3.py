"""Storage below an S3 prefix; imported only for `s3://` URIs.

Credentials, region and endpoint come from the standard AWS configuration (AWS_PROFILE, AWS_ACCESS_KEY_ID,
AWS_ENDPOINT_URL, ~/.aws, instance roles), and are never written or printed.
"""
# boto3 has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

import io
import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property, lru_cache
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Any, BinaryIO, cast

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from urllib3.exceptions import HTTPError

from manifests.redact import redact
from manifests.storage.base import (
    STREAM_CHUNK_BYTES,
    DatasetError,
    IncompleteUpload,
    ObjectInfo,
    describe_disk_full,
)

_MULTIPART_BYTES = 16 * 2**20
"""Threshold and part size of multipart uploads; four parts are sent concurrently."""
_SPOOL_BYTES = 32 * 2**20
"""Size up to which a file being written is held in memory; a larger one spills to a temporary file."""
_WHOLE_BYTES = 2**20
"""Size up to which an object is fetched whole on open."""
_CONFLICTS = 8
"""Attempts of a conditional put while S3 reports a concurrent one (409)."""
_BROKEN = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
_BROKEN_READS = 3
"""Retries of a read whose connection broke after the response began, which boto3 does not retry."""
_SILENT_S = 20
"""Read timeout in seconds; boto3 makes six attempts."""
_MISSING = {"NoSuchKey", "404", "NotFound"}
_REMEDIES = {
    "NoSuchBucket": "make the bucket, or name another",
    "AccessDenied": "these credentials may not do that: see AWS_PROFILE, or the bucket's policy",
    "403": "these credentials may not do that: see AWS_PROFILE, or the bucket's policy",
    "InvalidAccessKeyId": "the store does not know these credentials: see AWS_PROFILE and AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret does not fit the key id: see AWS_PROFILE and AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "log in again: the session's credentials have run out",
}


class S3Storage:
    """A prefix of a bucket in any store that supports `If-None-Match: *` on a put."""

    max_concurrency = 16

    def __init__(self, uri: str) -> None:
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not bucket or "?" in uri or "#" in uri:
            raise DatasetError(f"{redact(uri)}: write s3://bucket/prefix, and nothing else")
        self._bucket, self._prefix = bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.uri = f"s3://{bucket}/{self._prefix}".rstrip("/")

    def read(self, key: str) -> bytes:
        return self._get(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        return self._get(key, Range=f"bytes={offset}-{offset + length - 1}") if length > 0 else b""

    def stream_range(self, key: str, offset: int, length: int) -> Generator[bytes, None, None]:
        if length <= 0:
            return
        with self._translate_errors(key):
            response = self._get_object(key, Range=f"bytes={offset}-{offset + length - 1}")
            if response is not None:
                with closing(response["Body"]) as body:
                    yield from body.iter_chunks(STREAM_CHUNK_BYTES)

    def open_reader(self, key: str) -> BinaryIO:
        with self._translate_errors(key):
            size = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)["ContentLength"]
        if size <= _WHOLE_BYTES:
            return io.BytesIO(self.read(key))
        return cast(BinaryIO, _RangeReader(self, key, size))

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        prefix = f"{folder.rstrip('/')}/" if folder else ""
        for page in self._pages("list_objects_v2", Prefix=self._prefix + prefix):
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                if key:
                    modified_s = found["LastModified"].timestamp()
                    etag = found["ETag"].strip('"')
                    yield ObjectInfo(key=key, size=found["Size"], modified_s=modified_s, etag=etag)

    def head(self, key: str) -> ObjectInfo:
        """Return the metadata of one object. Raises FileNotFoundError if it does not exist."""
        with self._translate_errors(key):
            found = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        modified_s, etag = found["LastModified"].timestamp(), found["ETag"].strip('"')
        return ObjectInfo(key=key, size=found["ContentLength"], modified_s=modified_s, etag=etag)

    def download(self, key: str, out: BinaryIO, *, offset: int, length: int, etag: str) -> bool:
        """Append `length` bytes of an object from `offset` to `out`, resuming after a broken connection.

        Returns False if the entity tag of the object is not `etag`. Does not detect an object shorter than
        `offset + length`.
        """
        done = broken = 0
        with self._translate_errors(key):
            while done < length:
                response = self._get_object(key, Range=f"bytes={offset + done}-{offset + length - 1}")
                if response is None or response["ETag"].strip('"') != etag:
                    return False
                try:
                    for chunk in response["Body"].iter_chunks(_WHOLE_BYTES):
                        done += out.write(chunk)
                    return True
                except _BROKEN:
                    broken += 1
                    if broken > _BROKEN_READS:
                        raise
        return True

    def list_root(self) -> set[str]:
        names: set[str] = set()
        for page in self._pages("list_objects_v2", Prefix=self._prefix, Delimiter="/"):
            names |= {found["Key"].removeprefix(self._prefix) for found in page.get("Contents", ())}
            names |= {
                found["Prefix"].removeprefix(self._prefix).rstrip("/")
                for found in page.get("CommonPrefixes", ())
            }
        return names - {""}

    def put_if_absent(self, key: str, data: bytes) -> bool:
        for attempt in range(_CONFLICTS):
            with self._translate_errors(key):
                try:
                    self._client.put_object(
                        Bucket=self._bucket, Key=self._prefix + key, Body=data, IfNoneMatch="*"
                    )
                    return True
                except ClientError as error:
                    if _code(error) in ("PreconditionFailed", "412"):
                        return self.read(key) == data
                    if _code(error) not in ("ConditionalRequestConflict", "409"):
                        raise
            time.sleep(0.05 * 2**attempt)
        raise DatasetError(f"{self.uri}/{key}: other writers held it through {_CONFLICTS} tries; run again")

    def put(self, key: str, data: bytes | memoryview) -> None:
        self._upload(key, io.BytesIO(data))

    @contextmanager
    def open_writer(self, key: str) -> Generator[BinaryIO, None, None]:
        with SpooledTemporaryFile(_SPOOL_BYTES) as out:
            with describe_disk_full(f"{self.uri}/{key}", gettempdir()):
                yield cast(BinaryIO, out)  # an exception propagates from here, before anything is sent
            out.seek(0)
            self._upload(key, cast(BinaryIO, out))

    def delete(self, key: str) -> None:
        with self._translate_errors(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def incomplete_uploads(self) -> Iterator[IncompleteUpload]:
        for page in self._pages("list_multipart_uploads", Prefix=self._prefix):
            for found in page.get("Uploads", ()):
                key = found["Key"].removeprefix(self._prefix)
                yield IncompleteUpload(
                    key=key, started_s=found["Initiated"].timestamp(), upload_id=found["UploadId"]
                )

    def abort(self, upload: IncompleteUpload) -> None:
        with self._translate_errors(upload.key):
            try:
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=self._prefix + upload.key, UploadId=upload.upload_id
                )
            except ClientError as error:
                if _code(error) != "NoSuchUpload":
                    raise

    def _get(self, key: str, **span: str) -> bytes:
        """Return the bytes of an object or of a byte range, with retries after a broken connection."""
        with self._translate_errors(key):
            for attempt in range(_BROKEN_READS + 1):
                response = self._get_object(key, **span)
                if response is None:
                    return b""
                try:
                    return response["Body"].read()
                except _BROKEN:
                    if attempt == _BROKEN_READS:
                        raise
        raise AssertionError("the loop above returns or raises")

    def _get_object(self, key: str, **span: str) -> dict[str, Any] | None:
        """Return the response to a GET, its body unread; None if the range starts past the end."""
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key, **span)
        except ClientError as error:
            if _code(error) in ("InvalidRange", "416"):
                return None
            raise

    def _upload(self, key: str, file: BinaryIO) -> None:
        """Upload a file, in parts if it is large; boto3 aborts the upload on an exception."""
        settings = TransferConfig(
            multipart_threshold=_MULTIPART_BYTES, multipart_chunksize=_MULTIPART_BYTES, max_concurrency=4
        )
        with self._translate_errors(key):
            self._client.upload_fileobj(file, self._bucket, self._prefix + key, Config=settings)

    @cached_property
    def _client(self) -> Any:
        with self._translate_errors(""):
            settings = sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
            return _connect(os.getpid(), tuple(settings))

    def _pages(self, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        with self._translate_errors(""):
            yield from self._client.get_paginator(operation).paginate(Bucket=self._bucket, **arguments)

    @contextmanager
    def _translate_errors(self, key: str) -> Generator[None, None, None]:
        """Raise boto3 errors as FileNotFoundError or DatasetError: key, redacted message, remedy."""
        where = f"{self.uri}/{key}".rstrip("/")
        try:
            yield
        except ClientError as error:
            if _code(error) in _MISSING:
                raise FileNotFoundError(f"{where}: not there") from None
            remedy = _REMEDIES.get(_code(error), "if it persists, see the store's own log")
            raise DatasetError(f"{where}: {redact(str(error), self._secrets())}; {remedy}") from None
        except NoCredentialsError:
            raise DatasetError(
                f"{where}: no credentials found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL for a store other than Amazon's)"
            ) from None
        except (
            BotoCoreError,
            Boto3Error,
            HTTPError,
        ) as error:  # urllib3 raises while boto3 reads the body of an error
            message = redact(str(error), self._secrets())
            raise DatasetError(
                f"{where}: {message}; see the network, AWS_ENDPOINT_URL and AWS_PROFILE"
            ) from None

    def _secrets(self) -> Sequence[str | None]:
        """Return the credentials in use, to redact them from messages."""
        client = self.__dict__.get("_client")
        found = client._request_signer._credentials if client is not None else None
        return [found.secret_key, found.token, found.access_key] if found is not None else []


@lru_cache(maxsize=8)
def _connect(process: int, settings: tuple[tuple[str, str], ...]) -> Any:
    """Return the client of this process for these AWS settings; making one takes 0.1 s.

    Clients may be used by several threads, but not in a forked process.
    """
    retries: Any = {"mode": "standard", "total_max_attempts": 6}
    timeouts = {"connect_timeout": 10, "read_timeout": _SILENT_S}
    config = Config(retries=retries, max_pool_connections=32, **timeouts)
    return boto3.Session().client("s3", config=config)


class _RangeReader(io.RawIOBase):
    """A seekable, read-only file over a large object; each read is one request."""

    def __init__(self, storage: S3Storage, key: str, size: int) -> None:
        self._storage, self._key, self._size, self._at = storage, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = self._size - self._at if size < 0 else min(size, self._size - self._at)
        data = self._storage.read_range(self._key, self._at, size) if size > 0 else b""
        self._at += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
