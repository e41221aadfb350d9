"""In the verifier's place: whatever a test wants it to say, and a record of what it was asked."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

GRANTED = (
    b"HTTP/1.1 200 OK\r\nX-Merchant-Id: mch_1\r\nX-Key-Id: key_1\r\nX-Key-Mode: live\r\n"
    b"X-Key-Permissions: payments:write\r\nX-Request-Id: req_1\r\nContent-Length: 0\r\n\r\n"
)


@dataclass(slots=True)
class Stub:
    """`says` is sent as it is after each request; None says nothing for as long as the stub runs."""

    port: int
    says: bytes | None = GRANTED
    connections: int = 0
    asked: list[bytes] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


class Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        stub: Stub = self.server.stub
        stub.connections += 1
        while request := self.read_request():
            stub.asked.append(request)
            if stub.says is None:
                stub.ended.wait()
                return
            self.request.sendall(stub.says)
            if b"Content-Length" not in stub.says:
                return

    def read_request(self) -> bytes:
        """A request's head, and whatever came together with it; empty at the end of the connection."""
        received = b""
        while b"\r\n\r\n" not in received:
            if not (more := self.request.recv(65536)):
                return b""
            received += more
        return received


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A proxy may hang up at any moment."""


@contextmanager
def stubbed() -> Iterator[Stub]:
    server = Server(("127.0.0.1", 0), Handler)
    server.stub = Stub(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.stub
    finally:
        server.stub.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
