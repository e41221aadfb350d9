"""A small OpenID Connect provider on a free port of 127.0.0.1: it signs in whoever the test says, at once."""

import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

CLIENT_ID = "merchant-admin"
CLIENT_SECRET = "a secret between the console and the provider"


@dataclass
class Provider:
    """`claims` is what it says about the person who signs in; `asked` is what the console asked it for."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    cancels: bool = False

    @property
    def app(self) -> dict[str, Any]:
        """As the settings name it."""
        return {
            "provider_id": "sso",
            "name": "Example Login",
            "client_id": CLIENT_ID,
            "secret": CLIENT_SECRET,
            "settings": {"server_url": self.url},
        }


class Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        match urlsplit(self.path).path:
            case "/.well-known/openid-configuration":
                self.answer(
                    {
                        "issuer": self.provider.url,
                        "authorization_endpoint": f"{self.provider.url}/authorize",
                        "token_endpoint": f"{self.provider.url}/token",
                        "userinfo_endpoint": f"{self.provider.url}/userinfo",
                        "jwks_uri": f"{self.provider.url}/keys",
                        "token_endpoint_auth_methods_supported": ["client_secret_post"],
                    }
                )
            case "/authorize":
                self.authorize()
            case "/userinfo":
                self.answer(self.provider.claims)
            case _:
                self.send_error(404)

    def authorize(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.provider.asked.append(asked)
        granted = {"error": "access_denied"} if self.provider.cancels else {"code": "one-time"}
        self.send_response(302)
        self.send_header(
            "Location", f"{asked['redirect_uri']}?{urlencode(granted | {'state': asked['state']})}"
        )
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = {name: values[0] for name, values in parse_qs(body).items()}
        verifier = sha256(given["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(verifier).decode().rstrip("=")
        expected = (CLIENT_ID, CLIENT_SECRET, self.provider.asked[-1]["code_challenge"])
        if (given["client_id"], given["client_secret"], challenge) != expected:
            self.send_error(401)
            return
        about = {"iss": self.provider.url, "aud": CLIENT_ID, "exp": time() + 60} | self.provider.claims
        token = jwt.encode(about, "of no use on a direct connection".ljust(32), algorithm="HS256")
        self.answer({"access_token": "access", "token_type": "Bearer", "id_token": token})

    def answer(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def running() -> Iterator[Provider]:
    provider = Provider()
    handler = type("OneHandler", (Handler,), {"provider": provider})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
