"""A relay between a server and PostgreSQL that can be frozen: connections stay open, and nothing passes any more.

That is how a network fails that only drops packets, and how a database host fails that hangs: nobody is told.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

from bench.server import HOST

BYTES_AT_ONCE = 65536
POSTGRESQL_PORT = 5432


class Relay:
    """Listens on a port of its own, and passes each connection on to the database of the address `url`."""

    def __init__(self, url: str) -> None:
        self._connect = _connector(url)
        self._flowing = threading.Event()
        self._flowing.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server((HOST, 0))
        parts, port = urlsplit(url), self._listener.getsockname()[1]
        self.url = f"postgresql://{parts.username}:{parts.password or ''}@{HOST}:{port}{parts.path}"
        self._accepting = self._start(self._accept)

    def freeze(self) -> int:
        """Let nothing pass from now on; returns the moment, on the system's one clock, in nanoseconds."""
        self._flowing.clear()
        return time.monotonic_ns()

    def thaw(self) -> int:
        """Let everything pass again, what was held back first; returns the moment."""
        thawed_ns = time.monotonic_ns()
        self._flowing.set()
        return thawed_ns

    def close(self) -> None:
        self.thaw()
        # Closing alone would leave a thread waiting in it.
        _end(self._listener)
        self._accepting.join()
        for each in self._sockets:
            _end(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            self._flowing.wait()
            try:
                database = self._connect()
            except OSError:
                _end(client)
                continue
            self._sockets.append(database)
            self._start(self._pass, client, database)
            self._start(self._pass, database, client)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(BYTES_AT_ONCE):
                self._flowing.wait()
                target.sendall(data)
        self._flowing.wait()
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _start(self, run: Callable[..., None], *arguments: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        thread.start()
        return thread


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


def _connector(url: str) -> Callable[[], socket.socket]:
    """What opens a connection to the database, by its socket file or by its port."""
    parts = urlsplit(url)
    port = parts.port or POSTGRESQL_PORT
    host = unquote(parse_qs(parts.query).get("host", [parts.hostname or HOST])[0])
    if not host.startswith("/"):
        return lambda: socket.create_connection((host, port))

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(f"{host}/.s.PGSQL.{port}")
        except OSError:
            connection.close()
            raise
        return connection

    return connect
