"""A verifier whose connections to the database are frozen, not closed, while a key is disabled elsewhere.

For as long as the bound allows it may go on by what it remembers. A request that is sent later than that after the
freeze has to be answered 503, with either key: the one that was disabled, and the one that was not.
When the connections thaw, the one must be refused and the other accepted, without a restart.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.errors import BenchError
from bench.gateway import loads
from bench.gateway.asker import Answer, Asker
from bench.gateway.findings import Finding, Result, at_least, at_most
from bench.gateway.loads import Key
from bench.gateway.relay import Relay
from bench.gateway.servers import serving
from bench.gateway.site import Site
from bench.gateway.switching import Switch, switching

BOUND_MS = 2000
# For how long the verifier is watched once the bound has passed.
WATCHED_SECONDS = 1.5
PATIENCE_SECONDS = 30
PAUSE_SECONDS = 0.002
ANSWER_SECONDS = 10
ACCEPTED, REFUSED, UNAVAILABLE = 200, 401, 503


@dataclass(slots=True)
class Watch:
    """Asks with one key, again and again, from a thread of its own. `lost`: no answer came in time."""

    port: int
    key: Key
    answers: list[Answer] = field(default_factory=list)
    lost: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        request = loads.as_bytes(self.key.authorize())
        while not self.ended.is_set():
            try:
                with Asker(self.port, timeout_seconds=ANSWER_SECONDS) as asker:
                    while not self.ended.wait(PAUSE_SECONDS):
                        self.answers.append(asker.ask(request))
            except OSError:
                self.lost += 1

    def first(self, status: int, *, sent_after_ns: int) -> Answer:
        """The first answer with that status to a request sent after that moment; it is waited for."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        place = 0
        while time.monotonic() < deadline:
            for answer in self.answers[place:]:
                place += 1
                if answer.status == status and answer.sent_ns > sent_after_ns:
                    return answer
            time.sleep(0.01)
        raise BenchError(f"in {PATIENCE_SECONDS} s no answer was {status}")


@dataclass(slots=True)
class Freeze:
    """What one freeze showed. Late is what was sent after the bound and answered before the thaw."""

    accepted_late: int
    not_unavailable: int
    lost: int
    last_accepted_ms: float
    slowest_ms: float
    accepted_after_thaw: int
    recovered_ms: float


def measure(site: Site) -> Result:
    keys = site.keyring.usable[: site.options.freezes + 1]
    with ExitStack() as stack:
        relay = Relay(site.installation.database_url)
        stack.callback(relay.close)
        through = {"DATABASE_URL": relay.url, "KEYS_REVOCATION_BOUND_MS": str(BOUND_MS)}
        server = stack.enter_context(serving(site.installation, cores=site.plan.all, **through))
        switch = stack.enter_context(switching(site.installation))
        found = []
        for number, key in enumerate(keys[1:], start=1):
            site.tell(f"Freezing the database's connections: {number} of {len(keys) - 1}")
            found.append(freeze(relay, switch, port=server.port, disabled=key, kept=keys[0]))
    site.keyring.retire(keys[1:])
    return judge(found)


def freeze(relay: Relay, switch: Switch, *, port: int, disabled: Key, kept: Key) -> Freeze:
    with watching(port, disabled) as one, watching(port, kept) as other:
        for watch in (one, other):
            watch.first(ACCEPTED, sent_after_ns=0)
        frozen_ns = relay.freeze()
        switch.disable(disabled.key_id)
        bound_ns = frozen_ns + BOUND_MS * 1_000_000
        time.sleep(max(0, bound_ns - time.monotonic_ns()) / 1e9 + WATCHED_SECONDS)
        thawed_ns = relay.thaw()
        refused = one.first(REFUSED, sent_after_ns=thawed_ns)
        recovered = other.first(ACCEPTED, sent_after_ns=thawed_ns)
    both = one.answers + other.answers
    # Those that were still waiting at the thaw are answered by what can be read again.
    late = [each for each in both if bound_ns < each.sent_ns and each.answered_ns < thawed_ns]
    accepted = [each for each in both if each.status == ACCEPTED and each.answered_ns < thawed_ns]
    return Freeze(
        accepted_late=sum(each.status == ACCEPTED for each in late),
        not_unavailable=sum(each.status != UNAVAILABLE for each in late),
        lost=one.lost + other.lost,
        last_accepted_ms=max(0, max(each.answered_ns for each in accepted) - frozen_ns) / 1e6,
        slowest_ms=max((each.answered_ns - each.sent_ns) / 1e6 for each in both),
        accepted_after_thaw=sum(
            each.status == ACCEPTED for each in one.answers if each.answered_ns > thawed_ns
        ),
        recovered_ms=(max(refused.answered_ns, recovered.answered_ns) - thawed_ns) / 1e6,
    )


def judge(found: list[Freeze]) -> Result:
    none = at_most(0)
    return Result(
        "frozen",
        [
            Finding("freezes", len(found), "", at_least(1)),
            Finding(
                f"accepted, sent {BOUND_MS:,} ms after a freeze or later",
                _sum(found, "accepted_late"),
                "",
                none,
            ),
            Finding(
                "answered otherwise than with 503 from then on", _sum(found, "not_unavailable"), "", none
            ),
            Finding("not answered", _sum(found, "lost"), "", none),
            Finding("disabled key accepted after the thaw", _sum(found, "accepted_after_thaw"), "", none),
            Finding("last acceptance after a freeze, at most", _max(found, "last_accepted_ms"), "ms"),
            Finding("slowest answer", _max(found, "slowest_ms"), "ms"),
            Finding("from the thaw to right answers, at most", _max(found, "recovered_ms"), "ms"),
        ],
    )


def _sum(found: list[Freeze], name: str) -> int:
    return sum(getattr(each, name) for each in found)


def _max(found: list[Freeze], name: str) -> float:
    return max(float(getattr(each, name)) for each in found)


@contextmanager
def watching(port: int, key: Key) -> Iterator[Watch]:
    watch = Watch(port, key)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.ended.set()
        thread.join()
