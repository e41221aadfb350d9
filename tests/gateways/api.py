"""A platform's API that answers each request with what it saw of it, and remembers it."""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TRACE = "X-Trace"
OWN_REQUEST_ID = "the-api-calls-it-this"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived. `target` is what stood in the request line."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body_size: int

    def folded(self, name: str) -> list[str]:
        """All values under names that a CGI-like server takes for `name`, whatever their case and punctuation."""
        return [value for sent, value in self.headers if fold(sent) == fold(name)]


def fold(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


class Api:
    """The running API; `seen` has every request since the start, `by_trace` those that bear a mark."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: list[Seen] = []
        self.by_trace: defaultdict[str, list[Seen]] = defaultdict(list)

    def remember(self, seen: Seen) -> None:
        self.seen.append(seen)
        for trace in seen.folded(TRACE):
            self.by_trace[trace].append(seen)

    def traced(self, trace: str) -> list[Seen]:
        return self.by_trace.get(trace, [])


class Handler(BaseHTTPRequestHandler):
    """Answers whatever method with 200 and a JSON account of the request."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def __getattr__(self, name: str):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self) -> None:
        # Python's own `path` has several slashes at the beginning made one.
        target = self.requestline.split(" ")[1]
        seen = Seen(self.command, target, tuple(self.headers.items()), self.read_body())
        self.server.api.remember(seen)
        account = json.dumps(
            {
                "method": seen.method,
                "target": seen.target,
                "headers": seen.headers,
                "body_size": seen.body_size,
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(account)))
        self.send_header("X-Request-Id", OWN_REQUEST_ID)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(account)

    def read_body(self) -> int:
        """Read the body to its end; returns its size."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return self.read_chunks()
        left = size = int(self.headers.get("Content-Length") or 0)
        while left:
            read = len(self.rfile.read(min(left, 1 << 16)))
            assert read, "the body ended early"
            left -= read
        return size

    def read_chunks(self) -> int:
        total = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            total += len(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return total

    def log_message(self, *arguments: object) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A proxy that hangs up in the middle is what some tests are about."""


@contextmanager
def serving_api() -> Iterator[Api]:
    server = QuietServer(("127.0.0.1", 0), Handler)
    server.api = Api(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
