"""Recording what became of a request, before it is answered."""

import logging

from keys.gateway.ingest import Record, ingest

logger = logging.getLogger(__name__)


def record(record: Record) -> None:
    """Put `record` into the database: row, rollups and last use, or none of them.

    The decision stands whatever happens here: a database that cannot be written to must not turn a valid
    request away, nor let another one in. What could not be recorded is told in the log.
    """
    try:
        ingest([record])
    except Exception:
        logger.exception(
            "Not recorded: request %s with key %s, %s %s, answered %d %s",
            record.request_id,
            record.key_id,
            record.method,
            record.path,
            record.status,
            record.outcome,
        )
