"""An HTTP proxy of the tests' own, for plain requests: it hands them on, or refuses each."""

import contextlib
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Proxy(BaseHTTPRequestHandler):
    """Hands plain requests on, or answers each with ``status``."""

    status = None

    def do_GET(self):
        if self.status:
            self.send_response(self.status)
            self.end_headers()
            return
        place = urlsplit(self.path)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
        connection.request(
            self.command, place._replace(scheme="", netloc="").geturl(), headers=dict(self.headers)
        )
        answer = connection.getresponse()  # a redirection is the client's to follow
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        connection.close()
        self.server.seen.append(self.path)

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def proxy(status=None):
    """The running server, whose ``seen`` are the addresses that it has asked, and its own address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Proxy,), {"status": status}))
    server.seen = []
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
