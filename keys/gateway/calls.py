"""The calls that a merchant's key makes, or that are made about it: /v1/whoami and /v1/authorize."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from keys import spool
from keys.gateway import original, problems
from keys.gateway.address import address_of
from keys.gateway.answers import Answer, as_json
from keys.gateway.decision import decide
from keys.gateway.directory import Directory, Holder
from keys.gateway.original import OriginalContradictory, OriginalMissing, Told
from keys.gateway.recorder import Recorder
from keys.identifiers import API_KEY, MERCHANT, encode
from keys.keyformat import scrub
from keys.models.requestlog import METHOD_MAX, PATH_MAX
from keys.outcomes import Outcome
from keys.permissions import Catalogue, Need

ANY_KEY = Need(None)
AUTHORIZE = "/v1/authorize"
VALID = Outcome.VALID
SUBJECTS_MAX = 8192
TARGET_LENGTH_MAX = 200
Telling = Callable[[Holder], Answer]


class Request:
    """One request to the gateway: what the server says of it, when it came, and the id that it got."""

    __slots__ = ("at_ns", "environ", "hex", "id", "started_ns")

    def __init__(self, environ: Mapping[str, Any], at_ns: int, started_ns: int, hex: str, id: str) -> None:
        self.environ = environ
        self.at_ns = at_ns
        self.started_ns = started_ns
        self.hex = hex
        self.id = id


class Subject(NamedTuple):
    """What a key is used for: method and path as the spool takes them, and the need; None where no route names it."""

    method: str
    path: str
    need: Need | None


def subject(method: str, path: str, need: Need | None) -> Subject:
    return Subject(spool.written(scrub(method), METHOD_MAX), spool.written(scrub(path), PATH_MAX), need)


class Verifier:
    """Decides and records, for all calls alike."""

    def __init__(
        self, *, directory: Directory, recorder: Recorder, catalogue: Catalogue, trusted_proxies: int
    ) -> None:
        self.directory = directory
        self.recorder = recorder
        self.catalogue = catalogue
        self.trusted_proxies = trusted_proxies
        # What many requests have in common is worked out once. Longer ones would take up too much memory.
        self._remembered = lru_cache(maxsize=SUBJECTS_MAX)(self._understood)

    def whoami(self, request: Request) -> Answer:
        """Try a key: whose it is, and what it may do."""
        method = request.environ["REQUEST_METHOD"]
        if method not in {"GET", "HEAD"}:
            return problems.method_not_allowed("GET, HEAD", request_id=request.id)
        return self._verify(request, Subject(method, "/v1/whoami", ANY_KEY), whole)

    def authorize(self, request: Request) -> Answer:
        """Forward auth: may the key that came with a request to the platform's API make that request?"""
        environ = request.environ
        try:
            told = original.read(environ, suffix=environ["PATH_INFO"][len(AUTHORIZE) :])
            subject = self._remembered(told) if len(told[1]) <= TARGET_LENGTH_MAX else self._understood(told)
        except OriginalMissing:
            return problems.document(problems.ORIGINAL_MISSING, request_id=request.id)
        except OriginalContradictory:
            return problems.document(problems.ORIGINAL_CONTRADICTORY, request_id=request.id)
        return self._verify(request, subject, headers_alone)

    def _understood(self, told: Told) -> Subject:
        return subject(*original.understood(told, self.catalogue))

    def _verify(self, request: Request, subject: Subject, told: Telling) -> Answer:
        """Decide by the key in the headers, answer, and record the request of a known key."""
        get = request.environ.get
        address, address_text = address_of(
            get("REMOTE_ADDR", ""), get("HTTP_X_FORWARDED_FOR", ""), self.trusted_proxies
        )
        outcome, holder = decide(
            self.directory,
            get("HTTP_AUTHORIZATION"),
            get("HTTP_X_API_KEY"),
            address=address,
            need=subject[2],
            at_ns=request.at_ns,
        )
        if holder is None:
            return problems.refusal(outcome, subject.need, request_id=request.id)
        if outcome is not VALID:
            answer = problems.refusal(outcome, subject.need, request_id=request.id)
        else:
            answer = told(holder)
        self.record(request, holder, subject, status=answer[0], outcome=outcome, address=address_text)
        return answer

    def record(
        self,
        request: Request,
        holder: Holder,
        subject: Subject,
        *,
        status: int,
        outcome: Outcome,
        address: str,
        reported: bool = False,
        request_id: str = "",
    ) -> None:
        """Write down the request of a known key; `reported` where `status` is the API's own.

        `request_id`, as the spool takes it, is what others call the request.
        """
        self.recorder.write(
            spool.compose(
                id=request.hex,
                holder=holder.columns,
                at=moment_of(request.at_ns // 1000),
                method=subject[0],
                path=subject[1],
                status=status,
                outcome=outcome._value_,
                duration_us=(time.perf_counter_ns() - request.started_ns) // 1000,
                address=address,
                request_id=request_id,
                reported="t" if reported else "f",
            )
        )


def headers_alone(holder: Holder) -> Answer:
    """What a proxy passes on."""
    return holder.granted


def whole(holder: Holder) -> Answer:
    return as_json(told_of(holder))


def told_of(holder: Holder) -> dict[str, Any]:
    """What the holder of a key may know of it."""
    facts = holder.facts
    return {
        "merchant": {"id": encode(MERCHANT, facts.merchant_id), "name": holder.merchant_name},
        "key": {"id": encode(API_KEY, facts.key_id), "name": holder.key_name},
        "mode": facts.mode,
        "permissions": {resource: access.value for resource, access in facts.grants.items()},
    }


def moment_of(microseconds: int) -> str:
    """A time since 1970 as the spool writes it."""
    return f"{_second(microseconds // 1_000_000)}.{microseconds % 1_000_000:06d}+00:00"


@lru_cache(maxsize=16)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")
