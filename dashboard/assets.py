"""The built style sheet, scripts, font and mark, as the browser gets them.

The build gives every file a name that contains a hash of its content and writes
the list to `manifest.json`. A name therefore never means two contents, and the
browser may keep it for a year. Beside each file lie its brotli and gzip forms,
made once by the build, so that nothing is compressed while a reader waits.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, Response

STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """What the build made, by the name that templates use."""

    directory: Path
    names: Mapping[str, str]

    def url(self, name: str) -> str:
        """Return the address of a built file, for example of `app.css`."""
        return f"/static/{self.names[name]}"

    async def serve(self, request: Request) -> Response:
        """Answer a request for a built file."""
        name = request.path_params["name"]
        if name not in self.names.values():
            return Response(status_code=404)
        path, encoding = self._smallest(name, request.headers)
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable",
            "Vary": "Accept-Encoding",
        }
        if encoding:
            headers["Content-Encoding"] = encoding
        kind = _TYPES[Path(name).suffix]
        return FileResponse(path, headers=headers, media_type=kind)

    def _smallest(self, name: str, headers: Headers) -> tuple[Path, str | None]:
        accepted = headers.get("accept-encoding", "")
        for encoding, suffix in _ENCODINGS:
            path = self.directory / (name + suffix)
            if encoding in accepted and path.exists():
                return path, encoding
        return self.directory / name, None


def built_assets(directory: Path = STATIC) -> Assets:
    """Read what the build made.

    Raises:
        FileNotFoundError: Nothing was built; `python -m dashboard.build` does.
    """
    manifest = directory / "manifest.json"
    if not manifest.exists():
        message = f"{manifest} is missing: run `python -m dashboard.build`"
        raise FileNotFoundError(message)
    files = json.loads(manifest.read_text("utf-8"))["files"]
    return Assets(directory=directory, names=files)
