"""The files of the page, read once from the package. Nothing else is served, and no folder is listed."""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from manifests.digest import digest_bytes

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFiles:
    """The files of the folder `static` of a package, by name."""

    def __init__(self, *packages: str) -> None:
        """Read the files of some packages; of two with one name the last counts."""
        folders = [files(package) / "static" for package in packages]
        self._files = {
            each.name: each.read_bytes()
            for folder in folders
            for each in folder.iterdir()
            if each.is_file() and _suffix(each.name) in _TYPES
        }
        self._tags = {name: f'"{digest_bytes(data)}"' for name, data in self._files.items()}

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    async def index(self, request: Request) -> Response:
        """Answer with the page."""
        return self._answer(request, "index.html")

    async def file(self, request: Request) -> Response:
        """Answer with one file by its name, or 404."""
        return self._answer(request, request.path_params["name"])

    def _answer(self, request: Request, name: str) -> Response:
        if name not in self._files:
            return Response("not found", status_code=404, media_type="text/plain")
        headers = {"etag": self._tags[name], "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(self._files[name], headers=headers, media_type=_TYPES[_suffix(name)])


def _suffix(name: str) -> str:
    return name[name.rfind(".") :] if "." in name else ""
