"""One request to the platform's API: may its key do what is asked; and its record, with the status it ended with.

The verifier is that of keys.gateway.processes: this process looks keys up by itself, remembers them, hears of changes
and writes a spool file, exactly as the server does. A test that wants a verifier of its own puts one into
`processes.made`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from keys.gateway import problems, processes
from keys.gateway.address import address_of
from keys.gateway.answers import Answer
from keys.gateway.calls import ANY_KEY, Request, Verifier, subject
from keys.gateway.decision import decide
from keys.gateway.directory import Directory, DirectoryUnavailable, Holder, Lookup, require_well_formed
from keys.identifiers import API_KEY, MERCHANT, RequestIds, encode
from keys.outcomes import Outcome
from keys.permissions import Grants, Need, catalogue
from keys.spool import REQUEST_ID_MAX, written

logger = logging.getLogger(__name__)

FAILED = 500
# The client went away before it was answered: nginx's word for it, in its log too.
ABANDONED = 499
# A stream may go on for longer than the request log can tell.
DURATION_SECONDS_MAX = 900
_IDS = RequestIds()

# What a request needs, by its method and its path as the application has it: decoded. None: no route names it.
Requirement = Callable[[str, str], Need | None]


def requirement(permission: str | None = None, *, by_route: bool = False) -> Requirement:
    """A permission such as `payments:write`, or what the catalogue's route says, or else any usable key.

    Raises ValueError for a permission that the catalogue does not have.
    """
    if by_route:
        if permission is not None:
            raise ValueError("Name a permission, or go by the route, not both.")
        return _by_route
    if permission is None:
        return lambda method, path: ANY_KEY
    if not isinstance(permission, str):
        raise TypeError("Name a permission, such as payments:write, or nothing where any usable key will do.")
    need = Need(catalogue().permission(permission))
    return lambda method, path: need


def _by_route(method: str, path: str) -> Need | None:
    return catalogue().need_of_decoded(method, path)


@dataclass(frozen=True, slots=True)
class VerifiedKey:
    """The key that a request was made with, as far as the application may know it: never the key itself."""

    merchant_id: str
    merchant_name: str
    key_id: str
    key_name: str
    mode: str
    permissions: Grants

    @classmethod
    def of(cls, holder: Holder) -> "VerifiedKey":
        facts = holder.facts
        return cls(
            merchant_id=encode(MERCHANT, facts.merchant_id),
            merchant_name=holder.merchant_name,
            key_id=encode(API_KEY, facts.key_id),
            key_name=holder.key_name,
            mode=facts.mode,
            permissions=facts.grants,
        )


class _Used(NamedTuple):
    """The known key that was used last, and what became of it."""

    verifier: Verifier
    holder: Holder
    outcome: Outcome
    address: str


class Visit:
    """A request to the platform's API, from its arrival to its record.

    `environ` has REMOTE_ADDR and the headers as WSGI names them; `path` is percent-encoded, without its query string.
    It can be checked again and again, and is recorded once, where a known key was used. `key` is the one that the last
    check let in.
    """

    __slots__ = ("_method", "_path", "_request", "_used", "is_checked", "is_finished", "key")

    def __init__(self, environ: Mapping[str, Any], *, method: str, path: str) -> None:
        at_ns = time.time_ns()
        self._request = Request(environ, at_ns, time.perf_counter_ns(), *_IDS.new(at_ns // 1_000_000))
        self._method = method
        self._path = path
        self._used: _Used | None = None
        self.key: VerifiedKey | None = None
        self.is_checked = False
        self.is_finished = False

    @property
    def id(self) -> str:
        """The request's id in the request log, as `req_…`."""
        return self._request.id

    @property
    def carries_credentials(self) -> bool:
        environ = self._request.environ
        return "HTTP_AUTHORIZATION" in environ or "HTTP_X_API_KEY" in environ

    def check(self, need: Need | None) -> Answer | None:
        """What to answer where the request may not go on; None where it may. It can wait for the database."""
        verifier = processes.verifier()
        return self._checked(verifier, verifier.directory, need)

    async def check_soon(self, need: Need | None) -> Answer | None:
        """The same for an event loop: whatever could wait does so in a thread."""
        if processes.made:
            verifier = processes.made[0]
            with suppress(NotAtHand):
                return self._checked(verifier, AtHand(verifier.directory), need)
        return await asyncio.to_thread(self.check, need)

    def finish(self, status: int, *, request_id: str = "") -> None:
        """Record how the request was answered. Only the first time counts, and only where a known key was used.

        `request_id` is what the application itself calls the request.
        """
        if self._used is None or self.is_finished:
            return
        self.is_finished = True
        verifier, holder, outcome, address = self._used
        request = self._request
        request.started_ns = max(request.started_ns, time.perf_counter_ns() - DURATION_SECONDS_MAX * 10**9)
        verifier.record(
            request,
            holder,
            subject(self._method, self._path, None),
            status=status if 100 <= status <= 599 else FAILED,
            outcome=outcome,
            address=address,
            reported=True,
            request_id=written(request_id, REQUEST_ID_MAX),
        )

    def _checked(self, verifier: Verifier, lookup: Lookup, need: Need | None) -> Answer | None:
        get = self._request.environ.get
        address, address_text = address_of(
            get("REMOTE_ADDR", ""), get("HTTP_X_FORWARDED_FOR", ""), verifier.trusted_proxies
        )
        self.key = None
        self.is_checked = True
        try:
            outcome, holder = decide(
                lookup,
                get("HTTP_AUTHORIZATION"),
                get("HTTP_X_API_KEY"),
                address=address,
                need=need,
                at_ns=self._request.at_ns,
            )
        except DirectoryUnavailable as error:
            if error.__cause__ is not None:
                logger.error("A key could not be looked up: %s", error.__cause__)  # noqa: TRY400
            return problems.document(problems.UNAVAILABLE, request_id=self.id)
        if holder is not None:
            self._used = _Used(verifier, holder, outcome, address_text)
            if outcome is Outcome.VALID:
                self.key = VerifiedKey.of(holder)
                return None
        return problems.refusal(outcome, need, request_id=self.id)


class NotAtHand(Exception):
    """Only the database knows."""


class AtHand:
    """The part of a directory that never waits."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def find(self, key: str) -> Holder | None:
        holder = self._directory.remembered(key)
        if holder is None:
            require_well_formed(key)
            raise NotAtHand
        return holder
