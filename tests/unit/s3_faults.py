"""Make the S3 of the tests (`s3_server`) fail at one object."""

import os
from urllib.request import urlopen

DEAD = 0
"""As status: the server ends its process."""


def answer(uri: str, status: int) -> None:
    """Have every GET and HEAD of the object at `uri` answered with 403 or 404; 200 takes that back."""
    urlopen(f"{os.environ['AWS_ENDPOINT_URL']}/_fault/{status}/{uri.removeprefix('s3://')}", data=b"").close()
