"""How long a key is accepted after it was disabled: by the slowest of several servers, which are under load.

A key is disabled by a process of its own, through the product's own lifecycle. The time runs from the moment at which
that process has its commit back to the moment at which the last answer that accepts the key has arrived, at whichever
server; an answer that was under way at the commit counts too. It is nought where none arrives later.
"""

import time
from contextlib import ExitStack
from statistics import median, quantiles

from bench.gateway import loads
from bench.gateway.findings import Finding, Result, at_least, at_most
from bench.gateway.loads import Key
from bench.gateway.press import Line, Press
from bench.gateway.servers import draining, serving
from bench.gateway.site import Site
from bench.gateway.switching import Moments, Switch, switching

P99_MS = 5
# To each server.
CONNECTIONS = 4
# How often each server accepts the key before it is disabled, and refuses it before it is believed.
ACCEPTED_FIRST, REFUSED_AFTER = 50, 50
# For how long all have to refuse, lest one changes its mind.
SETTLED_NS = 50_000_000
PATIENCE_SECONDS = 20


def measure(site: Site) -> Result:
    keys = site.keyring.usable[: site.options.disables]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serving(site.installation, cores=site.plan.all, KEYS_EMBEDDED_DRAIN="0"))
            for _ in range(4)
        ]
        stack.enter_context(draining(site.installation, cores=site.plan.all))
        switch = stack.enter_context(switching(site.installation))
        press = Press.on([server.port for server in servers], connections=CONNECTIONS)
        stack.callback(press.close)
        late: list[tuple[float, float]] = []
        for number, key in enumerate(keys, start=1):
            site.tell(f"Disabling keys under load: {number} of {len(keys)}")
            late.append(disable(key, press, switch))
    site.keyring.retire(keys)
    after_return, after_begin = (sorted(each) for each in zip(*late, strict=True))
    return Result(
        "revocation",
        [
            Finding("keys disabled", len(keys), "", at_least(1)),
            Finding("commit to last acceptance by any of 4 processes, median", median(after_return), "ms"),
            Finding("the same, 99th percentile", percentile_99(after_return), "ms", at_most(P99_MS)),
            Finding("the same, at most", after_return[-1], "ms"),
            Finding("from the beginning of the commit, 99th percentile", percentile_99(after_begin), "ms"),
        ],
        {"milliseconds": [round(each, 3) for each in after_return]},
    )


def disable(key: Key, press: Press, switch: Switch) -> tuple[float, float]:
    """Milliseconds from the return of the commit, and from its beginning, to the last acceptance."""
    request = loads.as_bytes(key.authorize())
    moments: list[Moments] = []

    def all_refuse(lines: list[Line]) -> bool:
        if switch.asked:
            moments.extend(switch.answered())
        elif not moments and all(line.accepted >= ACCEPTED_FIRST for line in lines):
            switch.ask(key.key_id)
        return bool(moments) and (
            time.monotonic_ns() > moments[0].returned_ns + SETTLED_NS
            and all(line.refused_in_a_row >= REFUSED_AFTER for line in lines)
        )

    press.ask_until(request, all_refuse, within_seconds=PATIENCE_SECONDS)
    last_ns = max(line.last_accepted_ns for line in press.lines)
    return max(0, last_ns - moments[0].returned_ns) / 1e6, max(0, last_ns - moments[0].began_ns) / 1e6


def percentile_99(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[-1] if len(values) > 1 else values[0]
