"""What schemathesis has to know of the gateway beyond its OpenAPI document, loaded by tests/test_openapi.py."""

import json
from typing import Any

import schemathesis

PAIRS = (("X-Original-Method", "X-Original-URI"), ("X-Forwarded-Method", "X-Forwarded-Uri"))


@schemathesis.serializer("application/x-ndjson")
def lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Each item of the array is a line. What is no array, where something wrong is to be sent, goes as one."""
    if isinstance(value, bytes):
        return value
    items = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(item) for item in items).encode()


@schemathesis.hook
def map_headers(context: schemathesis.HookContext, headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """Say in one way only which request is asked about: drawn apart, two ways hardly ever agree."""
    if not headers or not context.operation.path.startswith("/v1/authorize"):
        return headers
    told = [] if context.operation.path.endswith("{path}") else [pair for pair in PAIRS if pair[0] in headers]
    dropped = {name for pair in PAIRS for name in pair if pair not in told[:1]}
    return {name: value for name, value in headers.items() if name not in dropped}
