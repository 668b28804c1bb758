"""A hub of the tests' own, over real HTTP on this machine: what huggingface-hub 2.4 asks a hub, and no more.

Model info, `resolve` with HEAD and GET, the redirect of large files to another host with their sha256 as
ETag, ranges, and the error codes that the client tells apart. Faults are queued by path and method.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

TOKEN = "hf_theTokenOfTheTests"  # the one that opens private repositories
INFO = re.compile(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
LARGE = re.compile(r"/large/([0-9a-f]{64})")
NOT_FOUND = {"repository": "RepoNotFound", "revision": "RevisionNotFound", "file": "EntryNotFound"}


class Request(NamedTuple):
    method: str
    path: str
    host: str
    headers: dict[str, str]


@dataclass
class Repository:
    """What the hub holds under one name; `access` is open, gated or private."""

    revision: str
    files: dict[str, bytes]
    access: str = "open"
    claims: dict[str, bytes] = field(default_factory=dict)  # files as described, where that is a lie
    taken_for: str | None = None  # the commit that the hub names in its answers, if not the one asked for


@dataclass(frozen=True)
class Fault:
    """One request goes wrong: an HTTP status, or the body ends after so many bytes, honestly or not."""

    status: int | None = None
    cut: int | None = None  # the connection is closed
    short: int | None = None  # a whole answer, but of a file that is shorter than described
    headers: dict[str, str] = field(default_factory=dict)


class Hub:
    """The server; use as a context manager. ``endpoint`` is for HF_ENDPOINT."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.faults: dict[tuple[str, str], deque[Fault]] = {}
        self.lock = threading.Lock()
        self.delay_s = 0.0  # before every body, so that two clients overlap
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exception) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fails(self, method: str, part: str, *faults: Fault) -> None:
        """The next requests of this method whose path contains ``part`` meet these faults, one each."""
        self.faults.setdefault((method, part), deque()).extend(faults)

    def take_fault(self, method: str, path: str) -> Fault:
        with self.lock:
            for (wanted, part), queue in self.faults.items():
                if wanted == method and part in path and queue:
                    return queue.popleft()
        return Fault()

    def asked(self, method: str, part: str) -> list[Request]:
        """Requests so far of this method whose path contains ``part``."""
        return [request for request in self.requests if request.method == method and part in request.path]


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments) -> None:
        """The tests look at ``Hub.requests``."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append(Request(self.command, path, self.headers["Host"], headers))
        fault = self.hub.take_fault(self.command, path)
        if fault.status is not None:
            self.reply(fault.status, b"<html>out of order</html>", fault.headers)
        elif match := LARGE.fullmatch(path):
            self.large(match[1], fault)
        elif match := INFO.fullmatch(path):
            if repository := self.repository(match[1], match[2], "info"):
                self.describe(match[1], repository, match[2])
        elif (match := FILE.fullmatch(path)) and (repository := self.repository(match[1], match[2], "file")):
            self.file(repository, match[2], match[3], fault)
        elif not match:
            self.reply(404, b"the tests' hub has no such page")

    def repository(self, name: str, revision: str, what: str) -> Repository | None:
        """The repository if the client may see it at this revision; else it gets the refusal."""
        repository = self.hub.repositories.get(name)
        shown = self.headers.get("Authorization")
        granted = shown == f"Bearer {TOKEN}"
        if repository is None or (repository.access == "private" and not granted):
            # The hub does not tell strangers whether a repository exists.
            return self.refuse(404 if granted else 401, NOT_FOUND["repository"], "Repository not found")
        if repository.access == "gated" and what == "file" and not granted:
            status = 403 if shown else 401
            return self.refuse(status, "GatedRepo", f"Access to model {name} is restricted")
        if revision not in (repository.revision, "main"):
            return self.refuse(404, NOT_FOUND["revision"], f"Invalid rev id: {revision}")
        return repository

    def describe(self, name: str, repository: Repository, revision: str) -> None:
        siblings = []
        for file, data in (repository.files | repository.claims).items():
            entry = {"rfilename": file, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
            if is_large(file):
                digest = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        commit = repository.taken_for or repository.revision
        body = {
            "id": name,
            "modelId": name,
            "sha": commit,
            "siblings": siblings,
            "tags": [],
            "private": False,
        }
        self.reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def file(self, repository: Repository, revision: str, name: str, fault: Fault) -> None:
        data = repository.files.get(name)
        if data is None:
            return self.refuse(404, NOT_FOUND["file"], "Entry not found")
        commit = {"X-Repo-Commit": repository.taken_for or repository.revision}
        if not is_large(name):
            etag = hashlib.sha1(data).hexdigest()
            return self.reply(200, data, commit | {"ETag": f'"{etag}"'}, fault)
        claimed = repository.claims.get(name, data)
        digest = hashlib.sha256(claimed).hexdigest()
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(claimed)), "ETag": '"a-pointer"'}
        # Another host, as the hub's storage is: the token must not travel there.
        return self.reply(
            302, b"", {**commit, **linked, "Location": f"http://localhost:{self.hub.port}/large/{digest}"}
        )

    def large(self, digest: str, fault: Fault) -> None:
        for repository in self.hub.repositories.values():
            for name, data in repository.files.items():
                if hashlib.sha256(repository.claims.get(name, data)).hexdigest() == digest:
                    return self.reply(200, data, {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"}, fault)
        return self.reply(404, b"gone")

    def refuse(self, status: int, code: str, message: str) -> None:
        self.reply(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def reply(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, fault: Fault = Fault()
    ) -> None:
        if fault.short is not None:
            body = body[: fault.short]
        begin = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if status == 200 and asked and "Accept-Ranges" in (headers or {}):
            status, begin = 206, int(asked[1])
            headers = {**headers, "Content-Range": f"bytes {begin}-{len(body) - 1}/{len(body)}"}
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body) - begin), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.cut is not None:
            self.wfile.write(body[begin : fault.cut])
            self.close_connection = True
            return
        time.sleep(self.hub.delay_s)
        self.wfile.write(body[begin:])


def is_large(name: str) -> bool:
    """Whether the hub keeps such a file in its storage for large ones."""
    return name.endswith(".safetensors")
