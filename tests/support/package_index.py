"""A package index and a registry of crates on the loopback interface, with packages that are made up."""

import hashlib
import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EVERYWHERE = ("py3-none-any",)


class PackageIndex:
    """Serves PEP 691 and the wheels it names; and, below /crates/, a sparse registry."""

    def __init__(self):
        self.listed = {}  # package: its files
        self.content = {}  # path: bytes
        self.crates = {}
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, kind, body = index.answer(self.path, self.headers.get("Accept", ""))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def add(self, name, version, day, needs=(), tags=EVERYWHERE, python=None, yanked=False):
        """A release of one wheel for each of ``tags``; ``needs`` are its requirements."""
        for tag in tags:
            wheel = f"{name.replace('-', '_')}-{version}-{tag}.whl"
            metadata = described(name, version, needs, python)
            body = packed(name, version, metadata, tag)
            self.content |= {f"/files/{wheel}": body, f"/files/{wheel}.metadata": metadata.encode()}
            entry = {
                "filename": wheel,
                "url": f"{self.address}/files/{wheel}",
                "hashes": {"sha256": hashlib.sha256(body).hexdigest()},
                "upload-time": f"{day}T12:00:00Z",
                "yanked": yanked,
                "core-metadata": True,
            }
            self.listed.setdefault(name, []).append(entry | ({"requires-python": python} if python else {}))

    def add_crate(self, name, version, day, yanked=False, rust=None):
        line = {
            "name": name,
            "vers": version,
            "deps": [],
            "cksum": "0" * 64,
            "features": {},
            "yanked": yanked,
        }
        line |= {"pubtime": f"{day}T12:00:00Z"} | ({"rust_version": rust} if rust else {})
        self.crates.setdefault(name, []).append(line)

    def answer(self, path, accept):
        """Status, content type and body."""
        if path in self.content:
            return 200, "application/octet-stream", self.content[path]
        parts = path.strip("/").split("/")
        if parts[0] == "simple" and parts[-1] in self.listed:
            body = {"meta": {"api-version": "1.1"}, "name": parts[-1], "files": self.listed[parts[-1]]}
            assert "application/vnd.pypi.simple.v1+json" in accept
            return 200, "application/vnd.pypi.simple.v1+json", json.dumps(body).encode()
        if path == "/crates/config.json":
            return 200, "application/json", json.dumps({"dl": f"{self.address}/dl"}).encode()
        if parts[0] == "crates" and parts[-1] in self.crates:
            return 200, "text/plain", "\n".join(map(json.dumps, self.crates[parts[-1]])).encode()
        return 404, "text/plain", b"nothing of that name"


def described(name, version, needs, python):
    """The METADATA of a wheel."""
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Requires-Python: {python}"] if python else []
    lines += [f"Requires-Dist: {each}" for each in needs]
    return "\n".join(lines) + "\n"


def packed(name, version, metadata, tag):
    """A wheel with an empty module."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    members = {
        f"{module}.py": "",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/RECORD": "",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return packed.getvalue()
