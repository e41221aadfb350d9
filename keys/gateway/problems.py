"""Problem documents (RFC 9457): what /v1/ says when it does not answer what was asked.

Everybody without a usable key gets one and the same 401, whatever the reason: the request log knows it, they
do not. docs/outcomes.md lists the types.

X-Problem and X-Required-Permission say the least of it once more, for proxies that drop the body of a refusal.
"""

from dataclasses import dataclass

from keys.gateway.answers import Answer, as_json
from keys.outcomes import Outcome
from keys.permissions import Need

TYPE_PREFIX = "urn:merchantadmin:problem:"
CHALLENGE = 'Bearer realm="merchant API", Basic realm="merchant API", charset="UTF-8"'


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of problem; `name` completes its type."""

    name: str
    status: int
    title: str
    detail: str

    @property
    def type(self) -> str:
        return TYPE_PREFIX + self.name


UNAUTHORIZED = Problem(
    "unauthorized",
    401,
    "No usable API key",
    "Send an enabled API key: as Authorization: Bearer, as X-API-Key, or as the password of Authorization: "
    "Basic with the id of its merchant account as user name.",
)
PERMISSION_DENIED = Problem(
    "permission-denied", 403, "Permission denied", "No API key may make this request: no route names it."
)
NETWORK_NOT_ALLOWED = Problem(
    "network-not-allowed", 403, "Network not allowed", "This API key may not be used from this address."
)
ORIGINAL_MISSING = Problem(
    "original-request-missing",
    400,
    "The original request is missing",
    "The proxy must say which request it asks about: X-Original-Method and X-Original-URI, or "
    "X-Forwarded-Method and X-Forwarded-Uri, or the original method on /v1/authorize and the original path.",
)
ORIGINAL_CONTRADICTORY = Problem(
    "original-request-contradictory",
    400,
    "The original request is told in two ways",
    "X-Original-Method and X-Original-URI, X-Forwarded-Method and X-Forwarded-Uri, and the path after "
    "/v1/authorize must agree where more than one is sent. The proxy must remove what it does not set.",
)
TOKEN_WANTED = Problem(
    "gateway-token-wanted",
    401,
    "No gateway token",
    "This call is for gateways and applications of the platform. Send the gateway token as Authorization: Bearer.",
)
BODY_MALFORMED = Problem("body-malformed", 400, "The body cannot be read", "Send what the call describes.")
BODY_TOO_LARGE = Problem("body-too-large", 413, "The body is too large", "Send less at once.")
MEDIA_TYPE_UNSUPPORTED = Problem(
    "media-type-unsupported", 415, "The body is of another kind", "Send the kind of body that the call takes."
)
BODIES_AWAITED = Problem(
    "bodies-awaited", 503, "Too many bodies are on their way", "Nothing of this one was read. Send it again."
)
NOT_FOUND = Problem(
    "not-found",
    404,
    "There is nothing at this address",
    "The calls are /v1/whoami, /v1/authorize, /v1/keys/verify and /v1/requests; /v1/openapi.json describes them.",
)
METHOD_NOT_ALLOWED = Problem(
    "method-not-allowed", 405, "Method not allowed", "This call takes other methods: Allow names them."
)
INTERNAL_ERROR = Problem(
    "internal-error", 500, "Something went wrong", "It is in the server's log under this request id."
)
UNAVAILABLE = Problem(
    "unavailable", 503, "The database cannot be reached", "Nothing is known of any API key now. Try again."
)
ALL = (
    UNAUTHORIZED,
    PERMISSION_DENIED,
    NETWORK_NOT_ALLOWED,
    ORIGINAL_MISSING,
    ORIGINAL_CONTRADICTORY,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    TOKEN_WANTED,
    BODY_MALFORMED,
    BODY_TOO_LARGE,
    MEDIA_TYPE_UNSUPPORTED,
    BODIES_AWAITED,
    INTERNAL_ERROR,
    UNAVAILABLE,
)
HEADERS = {
    UNAUTHORIZED: (("WWW-Authenticate", CHALLENGE),),
    TOKEN_WANTED: (("WWW-Authenticate", 'Bearer realm="gateway"'),),
    BODIES_AWAITED: (("Retry-After", "1"),),
    UNAVAILABLE: (("Retry-After", "1"),),
}


def document(problem: Problem, *, request_id: str, detail: str = "", **members: str) -> Answer:
    """The answer for `problem`; `members` extend the document."""
    content = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": detail or problem.detail,
        "request_id": request_id,
        **members,
    }
    answer = as_json(content, status=problem.status, kind="application/problem+json")
    return answer._replace(headers=(*answer.headers, ("X-Problem", problem.name), *HEADERS.get(problem, ())))


def method_not_allowed(allowed: str, *, request_id: str) -> Answer:
    answer = document(METHOD_NOT_ALLOWED, request_id=request_id)
    return answer._replace(headers=(*answer.headers, ("Allow", allowed)))


def refusal(outcome: Outcome, need: Need | None, *, request_id: str) -> Answer:
    """The answer to a request whose outcome is not VALID."""
    if outcome.http_status == UNAUTHORIZED.status:
        return _unauthorized(request_id)
    if outcome is Outcome.NETWORK_NOT_ALLOWED:
        return document(NETWORK_NOT_ALLOWED, request_id=request_id, outcome=outcome.value)
    if need is None or need.permission is None:
        return document(PERMISSION_DENIED, request_id=request_id, outcome=outcome.value)
    permission = str(need.permission)
    answer = document(
        PERMISSION_DENIED,
        request_id=request_id,
        detail=f"This API key does not have the permission {permission}.",
        outcome=outcome.value,
        required_permission=permission,
    )
    return answer._replace(headers=(*answer.headers, ("X-Required-Permission", permission)))


_UNAUTHORIZED = document(UNAUTHORIZED, request_id="@")
_BEFORE_ID, _AFTER_ID = _UNAUTHORIZED.body.split(b"@")


def _unauthorized(request_id: str) -> Answer:
    """The one 401, put together: whoever sends wrong keys by the thousand shall not be the dearest to answer."""
    return Answer(401, _UNAUTHORIZED.headers, b"%s%s%s" % (_BEFORE_ID, request_id.encode(), _AFTER_ID))
