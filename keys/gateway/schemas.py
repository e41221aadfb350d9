"""The shapes of what /v1/ takes and gives, as JSON Schema, for the OpenAPI document.

Whatever the code knows is read from it: outcomes, problems, limits and the catalogue are told once.
"""

import json
from typing import Any

from keys.gateway import problems, reports
from keys.gateway.problems import Problem
from keys.identifiers import API_KEY, MERCHANT, REQUEST, SUFFIX_PATTERN
from keys.keyformat import BODY_LENGTH
from keys.outcomes import MEANINGS, Outcome
from keys.permissions import Access, Catalogue, Need, Permission
from keys.spool import REQUEST_ID_MAX

Schema = dict[str, Any]

MERCHANT_ID = f"{MERCHANT}_01jd9v3k7rf8x9c2v5b7n1m4qa"
KEY_ID = f"{API_KEY}_01jd9v4c2hf6w8a3s5d7f9g1hj"
REQUEST_ID = f"{REQUEST}_01jd9v5x8kf2r9b4n6c8v0z1xw"
HOLDER = {
    "merchant": {"id": MERCHANT_ID, "name": "Northwind Traders"},
    "key": {"id": KEY_ID, "name": "Checkout"},
    "mode": "live",
    "permissions": {"payments": "write", "refunds": "read"},
}
REPORTED = [
    {
        "id": REQUEST_ID,
        "key": KEY_ID,
        "method": "POST",
        "path": "/v1/payments",
        "status": 201,
        "duration_ms": 41.7,
    },
    {
        "id": "a1b2c3",
        "key": KEY_ID,
        "at": "2026-03-01T12:34:56.789Z",
        "method": "GET",
        "path": "/v1/payments/pay_1",
        "status": 404,
        "duration_ms": 3,
        "address": "203.0.113.7",
    },
]


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def all_of(catalogue: Catalogue) -> dict[str, Schema]:
    """The schemas by name."""
    return {
        "MerchantId": _identifier(MERCHANT, MERCHANT_ID),
        "KeyId": _identifier(API_KEY, KEY_ID),
        "RequestId": _identifier(REQUEST, REQUEST_ID),
        "Outcome": {
            "type": "string",
            "enum": Outcome.values,
            "description": "The first of these that applies:\n\n"
            + "\n".join(f"- `{outcome}`: {meaning}" for outcome, meaning in MEANINGS.items()),
        },
        "Holder": _object(HOLDER_PROPERTIES, required=list(HOLDER_PROPERTIES)),
        "VerifyRequest": _verify_request(catalogue),
        "Verification": _verification(),
        "Report": _report(),
        "ReportsTaken": _reports_taken(),
        **{schema_name(problem): _problem(problem) for problem in problems.ALL},
    }


def schema_name(problem: Problem) -> str:
    """As in `PermissionDeniedProblem`."""
    return f"{problem.name.title().replace('-', '')}Problem"


def example_of(problem: Problem) -> Schema:
    """The document as it is really sent."""
    if problem is problems.PERMISSION_DENIED:
        lacking = Need(Permission("payouts", Access.WRITE))
        answer = problems.refusal(Outcome.PERMISSION_DENIED, lacking, request_id=REQUEST_ID)
    elif problem is problems.NETWORK_NOT_ALLOWED:
        answer = problems.refusal(Outcome.NETWORK_NOT_ALLOWED, None, request_id=REQUEST_ID)
    else:
        answer = problems.document(problem, request_id=REQUEST_ID)
    example: Schema = json.loads(answer.body)
    return example


def _object(properties: dict[str, Schema], *, required: list[str], **more: Any) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **more,
    }


def _identifier(prefix: str, example: str) -> Schema:
    return {"type": "string", "pattern": f"^{prefix}_{SUFFIX_PATTERN}$", "examples": [example]}


def _text(description: str = "", **more: Any) -> Schema:
    return {"type": "string", **({"description": description} if description else {}), **more}


def _count(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "description": description}


HOLDER_PROPERTIES: dict[str, Schema] = {
    "merchant": _object({"id": reference("MerchantId"), "name": _text()}, required=["id", "name"]),
    "key": _object({"id": reference("KeyId"), "name": _text()}, required=["id", "name"]),
    "mode": {"type": "string", "enum": ["live", "test"]},
    "permissions": {
        "type": "object",
        "additionalProperties": {"type": "string", "enum": [Access.READ.value, Access.WRITE.value]},
        "description": "Resource names to access; write includes read.",
    },
}
ADDRESS: Schema = {
    "anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}],
    "description": "The address of the client.",
}


def _verify_request(catalogue: Catalogue) -> Schema:
    permissions = [
        f"{resource.name}:{access.value}"
        for resource in catalogue.resources.values()
        for access in resource.accesses
    ]
    properties = {
        "key": _text("The API key that was sent to you.", minLength=1, examples=[_example_key()]),
        "merchant": _text("The id of the account that the sender names, as it was sent to you."),
        "method": _text("The method of the request that the key came with.", minLength=1, examples=["GET"]),
        "path": _text(
            "Its path, percent-encoded as it was sent; from a `?` on it is not looked at.",
            minLength=1,
            examples=["/v1/payments"],
        ),
        "permission": _text("A permission of the catalogue.", enum=permissions),
        "address": ADDRESS,
        "record": {"type": "boolean", "default": True, "description": "Whether the request log gets a row."},
    }
    return _object(
        properties,
        required=["key"],
        description="Method and path, or a permission; with neither, any usable key will do.",
        dependentRequired={"method": ["path"], "path": ["method"]},
        allOf=[{"not": {"required": ["permission", name]}} for name in ("method", "path")],
    )


def _example_key() -> str:
    # Its checksum is wrong, so that no scanner for leaked keys takes it for one.
    return "sk_live_" + "0" * BODY_LENGTH


def _verification() -> Schema:
    properties: dict[str, Schema] = {
        "valid": {"type": "boolean"},
        "outcome": reference("Outcome"),
        "meaning": _text("The outcome in a sentence."),
        "request_id": reference("RequestId"),
        "required_permission": _text("The permission that the key lacks."),
        **HOLDER_PROPERTIES,
    }
    return _object(
        properties,
        required=["valid", "outcome", "meaning", "request_id"],
        description="Of a key that exists, whose it is and what it may do, even where it may not be used.",
        dependentRequired={name: list(HOLDER_PROPERTIES) for name in HOLDER_PROPERTIES},
    )


def _report() -> Schema:
    properties: dict[str, Schema] = {
        "id": _text(
            "The `X-Request-Id` of the verifier's answer, `req_…`: the report then corrects that request. Or your "
            "own name for a request that no verifier was asked about.",
            minLength=1,
            maxLength=REQUEST_ID_MAX,
        ),
        "key": reference("KeyId"),
        "at": _text(
            "When it came. It may be left out beside an id of ours, which tells it.", format="date-time"
        ),
        "method": _text(minLength=1, examples=["GET"]),
        "path": _text("From a `?` on it is not kept.", minLength=1, examples=["/v1/payments"]),
        "status": {"type": "integer", "minimum": 100, "maximum": 599},
        "duration_ms": {"type": "number", "minimum": 0},
        "address": ADDRESS,
        "outcome": _text("Why it was refused, if it was.", enum=list(reports.OUTCOMES), default="VALID"),
    }
    return _object(properties, required=["id", "key", "method", "path", "status", "duration_ms"])


def _reports_taken() -> Schema:
    rejected = _object({"line": _count("From 1."), "detail": _text()}, required=["line", "detail"])
    properties = {
        "accepted": _count("Requests that are recorded now, or corrected."),
        "duplicates": _count("Requests that had been reported before."),
        "rejected_lines": _count("Lines that are no report."),
        "rejected": {
            "type": "array",
            "items": rejected,
            "maxItems": reports.REJECTED_SHOWN_MAX,
            "description": "The first of them, and what is wrong.",
        },
    }
    return _object(properties, required=list(properties))


def _problem(problem: Problem) -> Schema:
    properties: dict[str, Schema] = {
        "type": {"const": problem.type},
        "title": {"const": problem.title},
        "status": {"const": problem.status},
        "detail": _text(),
        "request_id": reference("RequestId"),
    }
    required = list(properties)
    if problem in {problems.PERMISSION_DENIED, problems.NETWORK_NOT_ALLOWED}:
        properties["outcome"] = {"const": example_of(problem)["outcome"]}
        required.append("outcome")
    if problem is problems.PERMISSION_DENIED:
        properties["required_permission"] = _text("The permission that the key lacks.")
    return _object(properties, required=required, description=problem.title, examples=[example_of(problem)])
