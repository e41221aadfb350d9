"""`POST /v1/keys/verify`: an application asks whether a key that it was sent may do something."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from keys.gateway import bodies
from keys.gateway.answers import Answer, as_json
from keys.gateway.bodies import BodyMalformed
from keys.gateway.calls import ANY_KEY, Request, Subject, Verifier, subject, told_of
from keys.gateway.credentials import NO_MERCHANT, Credential
from keys.gateway.decision import judge
from keys.identifiers import MERCHANT, InvalidIdentifier, decode
from keys.outcomes import Outcome
from keys.permissions import Access, Catalogue, Need, Permission
from keys.spool import NONE

PATH = "/v1/keys/verify"
KINDS = ("application/json",)
LIMIT_BYTES = 64 * 1024
MEMBERS = ("key", "merchant", "method", "path", "permission", "address", "record")
# In the request log, for what is no request to the platform's API, or not told to be one.
METHOD = "VERIFY"


class VerifyCall:
    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def __call__(self, request: Request, body: bytes) -> Answer:
        members = bodies.json_object(body)
        bodies.require_known(members, MEMBERS)
        credential = Credential(bodies.text(members, "key"), _merchant_id(members))
        asked = _subject(members, self._verifier.catalogue)
        address = bodies.address(members, "address")
        recorded = _recorded(members)
        outcome, holder = judge(
            self._verifier.directory, credential, address=address, need=asked.need, at_ns=request.at_ns
        )
        answer = {
            "valid": outcome is Outcome.VALID,
            "outcome": outcome.value,
            "meaning": outcome.meaning,
            "request_id": request.id,
        }
        if holder is None:
            return as_json(answer)
        if outcome is Outcome.PERMISSION_DENIED and asked.need and asked.need.permission:
            answer["required_permission"] = str(asked.need.permission)
        if recorded:
            self._verifier.record(
                request,
                holder,
                asked,
                status=outcome.http_status,
                outcome=outcome,
                address=str(address) if address else NONE,
            )
        return as_json(answer | told_of(holder))


def _merchant_id(members: Mapping[str, Any]) -> UUID | None:
    """The account that the key is said to be of. It is what a merchant sent: a wrong one is their mistake."""
    if "merchant" not in members:
        return None
    if members["merchant"] == "":
        return NO_MERCHANT
    try:
        return decode(MERCHANT, bodies.text(members, "merchant"))
    except InvalidIdentifier:
        return NO_MERCHANT


def _subject(members: Mapping[str, Any], catalogue: Catalogue) -> Subject:
    told = [name for name in ("method", "path", "permission") if name in members]
    if not told:
        return subject(METHOD, "usable key", ANY_KEY)
    if told == ["permission"]:
        permission = _permission(bodies.text(members, "permission"), catalogue)
        return subject(METHOD, f"permission {permission}", Need(permission))
    if "permission" in told:
        raise BodyMalformed('Send "method" and "path", or "permission", not both.')
    method, path = bodies.text(members, "method"), bodies.text(members, "path").partition("?")[0]
    return subject(method, path, catalogue.need(method, path))


def _permission(text: str, catalogue: Catalogue) -> Permission:
    name, _, access = text.partition(":")
    resource = catalogue.resources.get(name)
    if resource is None or access not in resource.accesses:
        raise BodyMalformed('"permission" is none of the catalogue; write it as payments:write.')
    return Permission(name, Access(access))


def _recorded(members: Mapping[str, Any]) -> bool:
    recorded = members.get("record", True)
    if not isinstance(recorded, bool):
        raise BodyMalformed('"record" must be true or false.')
    return recorded
