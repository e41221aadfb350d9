"""`GET /v1/openapi.json`: all calls of the gateway, in OpenAPI 3.1. docs/http-api.md says the same in prose."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from keys.gateway import metrics, problems, reports, schemas, verify
from keys.gateway.answers import Answer
from keys.gateway.calls import AUTHORIZE, Request
from keys.gateway.problems import Problem
from keys.gateway.schemas import HOLDER, KEY_ID, MERCHANT_ID, REPORTED, REQUEST_ID, reference
from keys.outcomes import Outcome
from keys.permissions import Catalogue

PATH = "/v1/openapi.json"
METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
PROBLEM = "application/problem+json"
Node = dict[str, Any]
# Problems that have one status.
Alike = tuple[Problem, ...]

KEY_SECURITY: list[Node] = [{"keyAsBearer": []}, {"keyAsHeader": []}, {"keyAsBasic": []}]
TOKEN_SECURITY: list[Node] = [{"gatewayToken": []}]
# Whatever is asked, these can happen.
ALWAYS = (problems.INTERNAL_ERROR, problems.UNAVAILABLE)
OF_A_KEY = (problems.UNAUTHORIZED, problems.NETWORK_NOT_ALLOWED)
OF_A_PROXY = (
    *OF_A_KEY,
    problems.PERMISSION_DENIED,
    problems.ORIGINAL_MISSING,
    problems.ORIGINAL_CONTRADICTORY,
)
OF_A_BODY = (
    problems.TOKEN_WANTED,
    problems.BODY_MALFORMED,
    problems.BODY_TOO_LARGE,
    problems.MEDIA_TYPE_UNSUPPORTED,
    problems.METHOD_NOT_ALLOWED,
    problems.BODIES_AWAITED,
)


class Description:
    """The call itself. Anybody may read it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __call__(self, request: Request) -> Answer:
        if request.environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return problems.method_not_allowed("GET, HEAD", request_id=request.id)
        return Answer(200, (("Content-Type", "application/json"),), _encoded(self._catalogue))


@lru_cache(maxsize=2)
def _encoded(catalogue: Catalogue) -> bytes:
    return json.dumps(document(catalogue), ensure_ascii=False, separators=(",", ":")).encode()


def document(catalogue: Catalogue) -> Node:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "merchantadmin gateway",
            "version": "1",
            "summary": "May the holder of this API key do that?",
            "description": "Every answer has an `X-Request-Id` and may not be cached. Whatever is not success is a "
            "problem document (RFC 9457).",
        },
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "schemas": schemas.all_of(catalogue),
            "responses": {_response_name(alike): _response(alike) for alike in _all_alike()},
            "headers": HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _paths() -> Node:
    return {
        "/v1/whoami": _whoami(),
        AUTHORIZE: {method: _authorize(method) for method in METHODS},
        f"{AUTHORIZE}/{{path}}": {
            "parameters": [
                {
                    "name": "path",
                    "in": "path",
                    "required": True,
                    "description": "The original path without its first slash, slashes included.",
                    "schema": {"type": "string", "minLength": 1},
                    "example": "v1/payments",
                }
            ],
            **{method: _authorize(method, suffix=True) for method in METHODS},
        },
        verify.PATH: {"post": _verify()},
        reports.PATH: {"post": _reports()},
        metrics.PATH: _metrics(),
        PATH: _description(),
    }


def _whoami() -> Node:
    found = _success("The key, and whose it is.", schema=reference("Holder"), example=HOLDER)
    possible = (*OF_A_KEY, problems.METHOD_NOT_ALLOWED)
    return {
        method: _operation(f"whoami_{method}", "Try a key", found, possible, security=KEY_SECURITY)
        for method in ("get", "head")
    }


def _authorize(method: str, *, suffix: bool = False) -> Node:
    granted = _success("The key may make the request.")
    granted["headers"] |= {
        name: {"$ref": f"#/components/headers/{name}"}
        for name in ("X-Merchant-Id", "X-Key-Id", "X-Key-Mode", "X-Key-Permissions")
    }
    return _operation(
        f"authorize_{'path_' if suffix else ''}{method}",
        "Forward auth: may the key that came with a request make that request?",
        granted,
        OF_A_PROXY,
        security=KEY_SECURITY,
        parameters=[
            {
                "name": name,
                "in": "header",
                "description": told,
                "schema": {"type": "string"},
                "example": example,
            }
            for name, told, example in ORIGINAL_HEADERS
        ],
    )


def _verify() -> Node:
    answer = {
        "valid": True,
        "outcome": Outcome.VALID.value,
        "meaning": Outcome.VALID.meaning,
        "request_id": REQUEST_ID,
        **HOLDER,
    }
    return _operation(
        "verify_key",
        "For applications: may this key do that?",
        _success("The verdict, whatever it is.", schema=reference("Verification"), example=answer),
        OF_A_BODY,
        **_asked_with(
            {"application/json": {"schema": reference("VerifyRequest")}},
            f"At most {verify.LIMIT_BYTES:,} bytes.",
        ),
    )


def _reports() -> Node:
    lines = {
        "schema": {
            "type": "array",
            "items": reference("Report"),
            "minItems": 1,
            "maxItems": reports.LINES_MAX,
            "description": "Each item is a line of its own: no brackets around, no commas between them.",
        },
        "example": REPORTED,
    }
    taken = {"accepted": 2, "duplicates": 0, "rejected_lines": 0, "rejected": []}
    return _operation(
        "report_requests",
        "Report finished requests, with the status that the API answered",
        _success("What became of each line.", schema=reference("ReportsTaken"), example=taken),
        OF_A_BODY,
        **_asked_with(
            {"application/x-ndjson": lines},
            f"JSON lines, at most {reports.LINES_MAX:,} and {reports.LIMIT_BYTES:,} bytes. "
            "The same report counts once, however often it is sent.",
        ),
    )


def _asked_with(content: Node, description: str) -> Node:
    """What is sent with a token, as a body."""
    return {
        "security": TOKEN_SECURITY,
        "requestBody": {"required": True, "description": description, "content": content},
    }


def _metrics() -> Node:
    found = _success("The figures.", schema={"type": "string"}, kind="text/plain")
    possible = (problems.TOKEN_WANTED, problems.METHOD_NOT_ALLOWED)
    return {
        method: _operation(f"metrics_{method}", "For Prometheus", found, possible, security=TOKEN_SECURITY)
        for method in ("get", "head")
    }


def _description() -> Node:
    found = _success("This document.", schema={"type": "object"})
    return {
        method: _operation(
            f"openapi_{method}", "What is described here", found, (problems.METHOD_NOT_ALLOWED,), security=[]
        )
        for method in ("get", "head")
    }


def _operation(
    name: str, summary: str, success: Node, possible: Iterable[Problem], *, security: list[Node], **more: Any
) -> Node:
    if name.endswith("_head"):
        refused = {str(alike[0].status): _response(alike) | {"content": {}} for alike in _alike(possible)}
        success = success | {"content": {}}
    else:
        refused = {
            str(alike[0].status): {"$ref": f"#/components/responses/{_response_name(alike)}"}
            for alike in _alike(possible)
        }
    return {
        "operationId": name,
        "summary": summary,
        "security": security,
        **more,
        "responses": {"200": success, **refused},
    }


def _success(
    description: str,
    *,
    schema: Node | None = None,
    example: Node | None = None,
    kind: str = "application/json",
) -> Node:
    response: Node = {"description": description, "headers": _headers(())}
    if schema:
        content: Node = {"schema": schema} | ({"example": example} if example else {})
        response["content"] = {kind: content}
    return response


def _alike(possible: Iterable[Problem]) -> list[Alike]:
    """The problems, and those that can always happen, by their status."""
    by_status: dict[int, list[Problem]] = {}
    for problem in (*possible, *ALWAYS):
        by_status.setdefault(problem.status, []).append(problem)
    return [tuple(alike) for _, alike in sorted(by_status.items())]


def _all_alike() -> list[Alike]:
    return [(problem,) for problem in problems.ALL] + [
        alike for possible in (OF_A_PROXY, OF_A_BODY) for alike in _alike(possible) if len(alike) > 1
    ]


def _response_name(alike: Alike) -> str:
    return "Or".join(schemas.schema_name(problem) for problem in alike)


def _response(alike: Alike) -> Node:
    options = [reference(schemas.schema_name(problem)) for problem in alike]
    return {
        "description": "; or: ".join(problem.title for problem in alike),
        "headers": _headers(("X-Problem", *(name for problem in alike for name in _more_headers(problem)))),
        "content": {
            PROBLEM: {
                "schema": options[0] if len(options) == 1 else {"oneOf": options},
                "examples": {problem.name: {"value": schemas.example_of(problem)} for problem in alike},
            }
        },
    }


def _more_headers(problem: Problem) -> list[str]:
    """What the answer has beyond those of every problem."""
    more = {problems.METHOD_NOT_ALLOWED: ["Allow"], problems.PERMISSION_DENIED: ["X-Required-Permission"]}
    return [*(name for name, _ in problems.HEADERS.get(problem, ())), *more.get(problem, [])]


def _headers(names: Iterable[str]) -> Node:
    return {name: _header(name) for name in ("X-Request-Id", "Cache-Control", *names)}


def _header(name: str) -> Node:
    return {"$ref": f"#/components/headers/{name}"}


def _described(description: str, example: str, **schema: Any) -> Node:
    return {
        "description": description,
        "required": True,
        "schema": {"type": "string", **schema},
        "example": example,
    }


HEADERS: Node = {
    "X-Request-Id": _described("The request's id, in the request log too.", REQUEST_ID),
    "Cache-Control": _described("Nothing here may be cached.", "no-store", const="no-store"),
    "WWW-Authenticate": _described("What to send.", 'Bearer realm="gateway"'),
    "Retry-After": _described("Seconds.", "1", pattern="^[0-9]+$"),
    "Allow": _described("The methods that the call takes.", "POST"),
    "X-Problem": _described(
        "What ends the type of the problem document.",
        problems.PERMISSION_DENIED.name,
        enum=[problem.name for problem in problems.ALL],
    ),
    "X-Required-Permission": _described("The permission that the key lacks.", "refunds:write")
    | {"required": False},
    "X-Merchant-Id": _described("The key's merchant account.", MERCHANT_ID),
    "X-Key-Id": _described("The key.", KEY_ID),
    "X-Key-Mode": _described("Live or test.", "live", enum=["live", "test"]),
    "X-Key-Permissions": _described("What the key may do.", "payments:write refunds:read"),
}
SECURITY_SCHEMES: Node = {
    "keyAsBearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "keyAsHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
    "keyAsBasic": {
        "type": "http",
        "scheme": "basic",
        "description": "The id of the merchant account as user name, the API key as password.",
    },
    "gatewayToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the setting KEYS_GATEWAY_TOKENS.",
    },
}
ORIGINAL_HEADERS = (
    ("X-Original-Method", "nginx: the original method.", "GET"),
    ("X-Original-URI", "nginx: the original path and query.", "/v1/payments?limit=10"),
    ("X-Forwarded-Method", "Caddy and Traefik: the original method.", "GET"),
    ("X-Forwarded-Uri", "Caddy and Traefik: the original path and query.", "/v1/payments?limit=10"),
    (
        "X-Forwarded-For",
        "The client's address, of which as much is believed as proxies are trusted.",
        "203.0.113.7",
    ),
)
