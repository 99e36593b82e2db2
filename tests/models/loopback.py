"""A model hub on this machine, as far as the hub's own client asks for it, and plain files."""

from __future__ import annotations

import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

REVISION = "0123456789abcdef0123456789abcdef01234567"
LARGE = 100_000  # bytes: what the hub would keep in its large-file store


class Hub(ThreadingHTTPServer):
    """Repositories by name, files by path in them; plain files by path.

    broken: of these paths the first half is sent, then it hangs up. needs_token: repositories that
    want one. asked: (method, path, first byte) of every request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.commits: dict[str, str] = {}
        self.plain: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.needs_token: set[str] = set()
        self.asked: list[tuple[str, str, int]] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def listing(self, repository: str) -> dict[str, object]:
        """What the hub's API says of a repository and its files."""
        siblings = []
        for path, content in self.repositories[repository].items():
            row: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": "0" * 40}
            if len(content) >= LARGE:
                digest = hashlib.sha256(content).hexdigest()
                row["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(row)
        return {
            "id": repository,
            "sha": self.commits.get(repository, REVISION),
            "siblings": siblings,
            "cardData": {"license": "cc0-1.0"},
            "tags": [],
        }


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        start = int(re.sub(r"bytes=(\d+)-.*", r"\1", self.headers.get("Range", "bytes=0-")))
        self.server.asked.append((self.command, path, start))
        self.close_connection = True
        if path in self.server.plain:
            return self.send(self.server.plain[path], start, with_body, path)
        api = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)(?:/revision/([\w.-]+))?", path)
        file = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/(.+)", path)
        repository = (api or file or ["", ""])[1]
        if repository in self.server.needs_token and "Authorization" not in self.headers:
            return self.refuse(401, "GatedRepo")
        if repository not in self.server.repositories:
            return self.refuse(404, "RepoNotFound")
        if api:
            body = json.dumps(self.server.listing(repository)).encode()
            return self.send(body, 0, with_body, path, kind="application/json")
        assert file is not None
        content = self.server.repositories[repository].get(file[3])
        if content is None:
            return self.refuse(404, "EntryNotFound")
        return self.send(content, start, with_body, path, repository)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def send(
        self,
        content: bytes,
        start: int,
        with_body: bool,
        path: str,
        repository: str = "",
        kind: str = "application/octet-stream",
    ) -> None:
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        if repository:
            self.send_header("X-Repo-Commit", self.server.commits.get(repository, REVISION))
        self.send_header("Connection", "close")
        self.end_headers()
        if with_body:
            end = (start + len(content)) // 2 if path in self.server.broken else len(content)
            self.wfile.write(content[start:end])

    def log_message(self, *arguments: object) -> None:
        pass
