"""What a line of the log is made of: which request it belongs to, and the line itself, for people or for machines."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

from keys.keyformat import scrub

# Of the request that this thread is answering; empty between two.
request_id: ContextVar[str] = ContextVar("request_id", default="")


class RequestIdFilter(logging.Filter):
    """Says of each line which request it belongs to, unless whoever wrote it has said so."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = scrub(str(getattr(record, "request_id", "") or request_id.get() or "-"))
        return True


class RefusalFilter(logging.Filter):
    """One line for each request that Django refused as suspicious: what it was, and no traceback.

    Anybody can send such a request. The way through the code that found it out tells nothing of who did.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
            record.exc_info = record.exc_text = None
        return True


class JsonFormatter(logging.Formatter):
    """A JSON object for each line, of the fields that are named here and no others.

    A package that writes whatever a record carries would write what the scrub filter has never seen.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request := getattr(record, "request_id", "-")) != "-":
            fields["request_id"] = request
        if record.exc_info or record.exc_text:
            fields["exception"] = record.exc_text or self.formatException(record.exc_info or (None,) * 3)
        if record.stack_info:
            fields["stack"] = record.stack_info
        return json.dumps(fields, ensure_ascii=False)
