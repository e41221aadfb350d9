"""That a wrong checksum costs no look-up: the database counts what it is asked, while the server is asked in earnest.

PostgreSQL counts itself how often each table was looked into. SQLite is a library and keeps no such count: there the
product's own WSGI application runs inside a process of the benchmark's, which has SQLite report each statement
(bench.gateway.traced). Keys that exist and were not asked for before are the control: had they not been counted,
nothing would be.
"""

import json
import time

from bench.gateway import loads, records
from bench.gateway.asker import expect
from bench.gateway.findings import Finding, Result, at_least, at_most
from bench.gateway.loads import Key
from bench.gateway.servers import serving
from bench.gateway.site import Site
from bench.installation import Installation

ASKED = 2000
CONTROL = 200
# PostgreSQL's processes hand in their counts when they are idle, at most once a second.
COUNTED_SECONDS = 2.5
LOOKS = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'keys_apikey'"


def measure(site: Site) -> Result:
    site.tell("Counting look-ups…")
    malformed = [key.malformed() for key in site.keyring.usable[:ASKED]]
    cold = [key.authorize() for key in site.keyring.usable[-CONTROL:]]
    if site.vendor == "postgresql":
        looked, control = _by_the_server(site, malformed, cold)
    else:
        looked, control = _by_the_library(site.installation, malformed, cold)
    return Result(
        "reads",
        [
            Finding(f"look-ups by {len(malformed):,} keys with a wrong checksum", looked, "", at_most(0)),
            Finding(f"look-ups by {len(cold):,} keys not asked for before", control, "", at_least(1)),
        ],
    )


def _by_the_server(site: Site, malformed: list[str], cold: list[str]) -> tuple[int, int]:
    with serving(site.installation, cores=site.plan.server) as server:
        expect(server.port, [loads.as_bytes(Key.whoami(site.keyring.usable[0]))], status=200)
        before = _looks(site.installation)
        expect(server.port, map(loads.as_bytes, malformed), status=401)
        between = _looks(site.installation)
        expect(server.port, map(loads.as_bytes, cold), status=200)
        return between - before, _looks(site.installation) - between


def _looks(installation: Installation) -> int:
    """How often the table of keys was looked into so far."""
    time.sleep(COUNTED_SECONDS)
    return int(records.query(installation.database_url, LOOKS)[0][0])


def _by_the_library(installation: Installation, malformed: list[str], cold: list[str]) -> tuple[int, int]:
    file = installation.data_dir / "traced.requests"
    counts = [
        json.loads(installation.ask("bench.gateway.traced", str(loads.write(file, lines)), status))
        for lines, status in ((malformed, "401"), (cold, "200"))
    ]
    return counts[0], counts[1]
