"""What it takes: memory of a server that knows all keys, and room in the database for each request."""

from bench.gateway import loads, records
from bench.gateway.asker import expect
from bench.gateway.findings import Finding, Result
from bench.gateway.loads import Key
from bench.gateway.servers import resident_bytes, serving
from bench.gateway.site import Site
from bench.installation import Installation

MEBIBYTE = 1024 * 1024
# The log by itself: where it has partitions, with all of them.
POSTGRESQL_BYTES = """
    SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('keys_requestlog') WHERE isleaf
"""
SQLITE_BYTES = """
    SELECT sum(pgsize) FROM dbstat
    WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = 'keys_requestlog')
"""


def measure(site: Site) -> Result:
    site.tell("Weighing…")
    usable = site.keyring.usable
    with serving(site.installation, cores=site.plan.server, KEYS_EMBEDDED_DRAIN="0") as server:
        expect(server.port, [loads.as_bytes(Key.whoami(usable[0]))], status=200)
        fresh = resident_bytes(server.worker())
        expect(server.port, (loads.as_bytes(key.authorize()) for key in usable), status=200)
        warm = resident_bytes(server.worker())
    records.drain(site.installation)
    rows = records.count(site.installation)
    return Result(
        "footprint",
        [
            Finding("memory of a server process, one key known", fresh / MEBIBYTE, "MiB"),
            Finding(f"memory with {len(usable):,} keys warm", warm / MEBIBYTE, "MiB"),
            Finding("more memory for each of them", (warm - fresh) / len(usable), "bytes"),
            Finding(
                "log and its indexes, for each request",
                log_bytes(site.installation) / rows,
                "bytes",
            ),
        ],
        {"rows": rows},
    )


def log_bytes(installation: Installation) -> int:
    statement = POSTGRESQL_BYTES if installation.database_url.startswith("postgresql") else SQLITE_BYTES
    return int(records.query(installation.database_url, statement)[0][0])
