"""Real requests with demo keys, over HTTP, to a server on this machine."""

import http.client
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address
from random import Random
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from keys import vault
from keys.demo import calls, people
from keys.errors import DomainError, SecretUnavailable
from keys.identifiers import MERCHANT, encode
from keys.keyformat import PlaintextKey
from keys.models import ApiKey
from keys.permissions import Grants

TIMEOUT_SECONDS = 10
# Of all requests: those that only try the key, those with a disabled key, those beyond a key's permissions.
TRIES, DISABLED, DENIED = 0.1, 0.03, 0.05
DISABLED_KEYS_AT_MOST = 2


class TrafficError(DomainError):
    """Demo traffic cannot be sent, or makes no sense to send."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens: a loopback address, so that no secret leaves this machine."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Address":
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 80
            loopback = host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            loopback = False
        if not loopback or parts.scheme != "http":
            raise TrafficError(
                f"{url[:80]} is not a server on this machine.", "Write it like http://127.0.0.1:8000."
            )
        return cls(host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Holder:
    """A merchant's server: its key in plain text, and what it may ask for."""

    merchant_id: str
    secret: PlaintextKey
    covered: list[str]
    others: list[str]

    @classmethod
    def of(cls, key: ApiKey) -> "Holder":
        secret = vault.unseal(key.secret_ciphertext, digest=bytes(key.digest))
        return cls(encode(MERCHANT, key.merchant_id), secret, *calls.routes(Grants.parse(key.permissions)))

    def credentials(self, random: Random) -> dict[str, str]:
        """One of the three ways to send the key."""
        text = self.secret.reveal()
        basic = b64encode(f"{self.merchant_id}:{text}".encode()).decode()
        return random.choice(
            ({"Authorization": f"Basic {basic}"}, {"Authorization": f"Bearer {text}"}, {"X-API-Key": text})
        )


def find_holders(*, count: int, random: Random) -> tuple[list[Holder], list[Holder]]:
    """Servers with keys that are answered, at most `count`, and a few with disabled keys.

    Demo keys only, and of those the ones whose requests may come from this machine.
    """
    ours = ApiKey.objects.filter(
        created_by__in=people.present(), allowed_networks="", secret_ciphertext__isnull=False
    )
    usable = ours.filter(
        Q(expires_at=None) | Q(expires_at__gt=timezone.now()), status="enabled", merchant__status="enabled"
    )
    disabled = ours.filter(status="disabled")
    return (
        _some(list(usable.values_list("pk", flat=True)), count, random),
        _some(list(disabled.values_list("pk", flat=True)), DISABLED_KEYS_AT_MOST, random),
    )


def _some(ids: list[UUID], count: int, random: Random) -> list[Holder]:
    chosen = random.sample(ids, min(count, len(ids)))
    try:
        return [Holder.of(key) for key in ApiKey.objects.filter(pk__in=chosen).order_by("pk")]
    except SecretUnavailable as error:
        raise TrafficError("The demo keys cannot be read.", str(error)) from error


@dataclass(slots=True)
class Traffic:
    """Sends one request after the other over one connection, and counts the answers by status."""

    address: Address
    usable: list[Holder]
    disabled: list[Holder]
    random: Random
    answers: Counter[int] = field(default_factory=Counter)
    _connection: http.client.HTTPConnection | None = None

    def try_out(self) -> None:
        """Ask once, and make sure that it is our server, on our database; raises TrafficError."""
        status = self._send(self.usable[0], "/v1/whoami", {})
        if status == 401:
            raise TrafficError(
                f"The server at {self.address} does not know the keys of this database.",
                "Run both with the same DATA_DIR and DATABASE_URL.",
            )
        if status != 200:
            raise TrafficError(f"The server at {self.address} answered {status} where 200 was due.")

    def step(self) -> int:
        """Send one request, mostly one that is answered; returns the status. Raises TrafficError."""
        chance = self.random.random()
        if chance < TRIES:
            return self._send(self._someone(), "/v1/whoami", {})
        if chance < TRIES + DISABLED and self.disabled:
            holder = self.random.choice(self.disabled)
            return self._authorize(holder, holder.covered or holder.others)
        holder = self._someone()
        if chance > 1 - DENIED and holder.others:
            return self._authorize(holder, holder.others)
        return self._authorize(holder, holder.covered or holder.others)

    def _someone(self) -> Holder:
        """Some servers have far more to do than others."""
        place = int(self.random.paretovariate(0.5)) - 1
        return self.usable[place % len(self.usable)]

    def _authorize(self, holder: Holder, routes: list[str]) -> int:
        method, _, pattern = calls.pick(routes, self.random)[0].partition(" ")
        path = calls.fill(pattern, self.random)
        return self._send(holder, "/v1/authorize", {"X-Original-Method": method, "X-Original-URI": path})

    def _send(self, holder: Holder, path: str, headers: dict[str, str]) -> int:
        headers = {**headers, **holder.credentials(self.random)}
        try:
            status = self._ask(path, headers)
        except (ConnectionError, http.client.HTTPException):
            # A server may close a connection that was idle; it does not close a fresh one.
            self.close()
            try:
                status = self._ask(path, headers)
            except (OSError, http.client.HTTPException):
                raise self._silent() from None
        except OSError:
            raise self._silent() from None
        self.answers[status] += 1
        return status

    def _ask(self, path: str, headers: dict[str, str]) -> int:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                self.address.host, self.address.port, timeout=TIMEOUT_SECONDS
            )
        self._connection.request("GET", path, headers=headers)
        with self._connection.getresponse() as response:
            response.read()
            return response.status

    def _silent(self) -> TrafficError:
        self.close()
        return TrafficError(f"No server answers at {self.address}.", "Start one with `make run`.")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
