"""Whether a location may hold a dataset."""

from uuid import uuid4

from manifests.storage import DatasetError, Storage


def require_dataset_or_empty(storage: Storage) -> None:
    """Raise DatasetError if the location holds something other than a dataset."""
    names = storage.list_root()
    if names and "_log" not in names:
        raise DatasetError(
            f"{storage.uri}: the folder already holds something that is not a Kinora dataset; "
            "nothing was written. Name an empty or new folder"
        )


def require_conditional_put(storage: Storage) -> None:
    """Raise DatasetError if the storage lets two writers create the same key."""
    key = f"_log/probe-{uuid4().hex}"
    try:
        if not storage.put_if_absent(key, b"first") or storage.put_if_absent(key, b"second"):
            raise DatasetError(
                f"{storage.uri}: this store does not support conditional puts (If-None-Match): two writers "
                "could overwrite each other's commits; use a store or a version that does"
            )
    finally:
        storage.delete(key)
