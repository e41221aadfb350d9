"""`kill -9` at moments that nobody expects: what was answered is recorded, once, whoever died meanwhile.

The bench does it two hundred times under load, with the same means; this is enough to see that it holds at all.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random

import pytest

from bench.gateway import crashes, loads, records
from bench.gateway.crashes import Clients, Host
from bench.gateway.loads import Keyring
from bench.installation import Installation
from bench.server import free_port
from keys import spool
from tests.gateways.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("installed")]

USABLE_KEYS = 20


@pytest.fixture
def host(installed: Installation) -> Iterator[Host]:
    host = Host(installed, free_port(), Random())
    yield host
    host.kill(*host.processes)


@pytest.fixture
def clients(installed: Installation, host: Host) -> Iterator[Clients]:
    keyring = Keyring.of(installed, usable=USABLE_KEYS)
    keys = [*keyring.usable, *keyring.disabled]
    with crashes.asking(host.port, [loads.as_bytes(key.authorize()) for key in keys]) as clients:
        yield clients


def spool_files(installed: Installation) -> list[Path]:
    return spool.files(installed.data_dir / "spool")


# At the end nobody is left to drain what the server has written.
ROUNDS = (*crashes.VICTIMS, ("drain", "server"))


def test_whatever_is_killed_every_answered_request_is_recorded_once(installed, host, clients) -> None:
    for victims in ROUNDS:
        crashes.strike(host, clients, victims)
    clients.ended.set()
    abandoned = spool_files(installed)
    assert abandoned

    # Nobody is told to adopt them: whoever is started next does.
    host.start_missing()
    until(lambda: not {*abandoned} & {*spool_files(installed)})
    records.settle(installed)
    result = crashes.judge(installed, clients, Counter(chain(*ROUNDS)))
    assert all(finding.met for finding in result.findings), result
