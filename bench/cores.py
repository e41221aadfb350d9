"""Which processor cores do what, so that whoever asks and whoever answers do not take turns on one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# None: wherever the system likes.
Cores = frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The server under test has one core, the load another; `rest` is for databases and drains."""

    server: Cores
    load: Cores
    rest: Cores
    all: Cores

    def __str__(self) -> str:
        if self.server is None:
            return "nothing is pinned: server and load share the cores as the system likes"
        pinned = f"server on core {_named(self.server)}, load on {_named(self.load)}"
        return f"{pinned}, databases and drains on {_named(self.rest)}"


def plan() -> Plan:
    """What this machine allows: with one core, or on a system that cannot pin, nothing is pinned."""
    if not hasattr(os, "sched_setaffinity"):
        return Plan(None, None, None, None)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return Plan(None, None, None, None)
    server, load, *rest = cores
    return Plan(frozenset({server}), frozenset({load}), frozenset(rest or {load}), frozenset(cores))


@contextmanager
def pinned(cores: Cores) -> Iterator[None]:
    """Processes that are started within run on `cores`, and so does all that they start."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _named(cores: Cores) -> str:
    return ", ".join(map(str, sorted(cores or ())))
