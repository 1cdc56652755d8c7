"""Storage of a dataset's files: a local folder or an S3 prefix behind one interface."""

from pathlib import Path

from manifests.redact import has_userinfo, redact
from manifests.storage.base import (
    DamagedError,
    DatasetError,
    IncompleteUpload,
    ObjectInfo,
    Storage,
    describe_disk_full,
    is_disk_full,
)
from manifests.storage.local import LocalStorage

__all__ = [
    "DamagedError",
    "DatasetError",
    "IncompleteUpload",
    "LocalStorage",
    "ObjectInfo",
    "Storage",
    "describe_disk_full",
    "is_disk_full",
    "open_storage",
]


def open_storage(uri: str | Path) -> Storage:
    """Return the storage at `uri`: a path, `file://…` or `s3://bucket/prefix`.

    Raises DatasetError for any other scheme, and for a URI that contains credentials.
    """
    text = str(uri)
    if has_userinfo(text):
        raise DatasetError(
            f"{redact(text)}: a URI must not carry credentials; name s3://bucket/prefix and give them by "
            "AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws"
        )
    if text.startswith("s3://"):
        try:
            from manifests.storage.s3 import S3Storage
        except ImportError as error:
            raise DatasetError(f"{text}: S3 needs boto3 ({error}); `pip install 'kinora[s3]'`") from None
        return S3Storage(text)
    if "://" in text and not text.startswith("file://"):
        raise DatasetError(f"{redact(text)}: a dataset lies in a folder or at s3://bucket/prefix; name one")
    return LocalStorage(Path(text.removeprefix("file://")))
