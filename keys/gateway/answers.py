"""What a call answers, before it becomes HTTP."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

Header = tuple[str, str]

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Answer(NamedTuple):
    status: int
    headers: Iterable[Header] = ()
    body: bytes = b""


def as_json(content: Mapping[str, Any], *, status: int = 200, kind: str = "application/json") -> Answer:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, (("Content-Type", kind),), body)
