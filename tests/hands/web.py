"""A real web server on loopback that can be told to misbehave."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


@dataclass
class Page:
    """One answer. `cuts`: after how many bytes of the body the connection breaks, one entry a request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = '"first"'
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True


LOGIN_PAGE = Page(b"<!DOCTYPE html><title>Welcome, guest</title>", headers={"Content-Type": "text/html"})


@dataclass
class Request:
    path: str
    headers: dict[str, str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what these tests are about."""


class Web:
    """Shows `pages` by path, then the files of `folder`; `everywhere` goes before both."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.pages: dict[str, Page] = {}
        self.everywhere: Page | None = None
        self.asked: list[Request] = []
        self.sent_bytes = 0
        self.server = _Server(("127.0.0.1", 0), _handler_for(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"

    def page(self, path: str) -> Page:
        if self.everywhere is not None:
            return self.everywhere
        if path in self.pages:
            return self.pages[path]
        file = self.folder / path.lstrip("/") if self.folder else None
        if file is None or not file.is_file():
            return Page(b"not here", status=404)
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return Page(file.read_bytes(), headers={"Content-Type": kind})


@contextmanager
def serve(folder: Path | None = None) -> Iterator[Web]:
    """A running server; stopped at the end."""
    web = Web(folder)
    thread = Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.server.shutdown()
        web.server.server_close()
        thread.join()


def _handler_for(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body are two writes

        def do_GET(self) -> None:
            web.asked.append(Request(self.path, dict(self.headers)))
            page = web.page(self.path)
            status, body = page.status, page.body
            asked_range = self.headers.get("Range")
            headers = dict(page.headers)
            if asked_range and page.ranges and self.headers.get("If-Range") in (None, page.etag):
                start = int(asked_range.removeprefix("bytes=").removesuffix("-"))
                headers.setdefault("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                status, body = 206, body[start:]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if page.etag is not None:
                self.send_header("ETag", page.etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if page.cuts:
                body = body[: page.cuts.pop(0)]
                self.close_connection = True
            web.sent_bytes += len(body)
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
