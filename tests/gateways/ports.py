"""Ports for servers that go away and come back, or never come."""

import secrets
import socket

# Below those that systems give to outgoing connections: while nobody listens, one of these could take the port, or
# whoever connects to it could even find himself.
RANGE = range(20_000, 32_000)


def lasting_port() -> int:
    """A port of 127.0.0.1 that is free, and stays so while its server is away."""
    while True:
        port = secrets.choice(RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
