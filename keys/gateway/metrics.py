"""`GET /v1/metrics`: how this verifier is, in the text format of Prometheus, for whoever holds a gateway token.

One process answers for itself, and puts its number beside what is its own: of several workers, any may be asked. What
it cannot know without the database (how many requests there were, and what became of them) is not here: the database
has it, and must not be asked for it every few seconds.
"""

import os
from collections.abc import Iterator

from keys import spool
from keys.gateway import problems
from keys.gateway.answers import Answer
from keys.gateway.calls import Request, Verifier
from keys.gateway.recorder import SpoolRecorder
from keys.gateway.tokens import GatewayTokens
from keys.models import RecordingLoss

PATH = "/v1/metrics"
KIND = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    def __init__(self, verifier: Verifier, tokens: GatewayTokens) -> None:
        self._verifier = verifier
        self._tokens = tokens

    def __call__(self, request: Request) -> Answer:
        if request.environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return problems.method_not_allowed("GET, HEAD", request_id=request.id)
        if not self._tokens.accept(request.environ.get("HTTP_AUTHORIZATION")):
            return problems.document(problems.TOKEN_WANTED, request_id=request.id)
        body = "".join(f"{line}\n" for line in self._lines()).encode()
        return Answer(200, (("Content-Type", KIND),), body)

    def _lines(self) -> Iterator[str]:
        directory, recorder = self._verifier.directory, self._verifier.recorder
        process = f'process="{os.getpid()}"'
        yield from _gauge("cached_keys", "API keys remembered.", directory.cached_keys, process)
        if directory.lease_seconds is not None:
            yield from _gauge(
                "lease_seconds",
                "For how long what is remembered may still be used; 0: each request reads the database.",
                directory.lease_seconds,
                process,
            )
        if isinstance(recorder, SpoolRecorder):
            yield from _gauge(
                "spool_backlog_bytes",
                "Recorded on this host, by all its processes, and not yet in the database.",
                spool.backlog_bytes(recorder.folder),
            )
            yield from _gauge("spool_limit_bytes", "Beyond, requests are not recorded.", recorder.limit_bytes)
            yield from _gauge(
                "spool_drained", "1: somebody drains the spool now.", int(spool.is_drained(recorder.folder))
            )
            yield "# HELP merchantadmin_requests_lost_total Requests answered and not recorded."
            yield "# TYPE merchantadmin_requests_lost_total counter"
            for reason in RecordingLoss.Reason.values:
                lost = recorder.lost_in_total[reason]
                yield f'merchantadmin_requests_lost_total{{{process},reason="{reason}"}} {lost}'


def _gauge(name: str, meaning: str, value: float, label: str = "") -> Iterator[str]:
    yield f"# HELP merchantadmin_{name} {meaning}"
    yield f"# TYPE merchantadmin_{name} gauge"
    yield f"merchantadmin_{name}{label and f'{{{label}}}'} {value}"
