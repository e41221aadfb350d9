"""Calls for gateways and applications of the platform: a POST, by whoever holds a gateway token, with a body."""

import hmac
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256

from keys.gateway import bodies, problems
from keys.gateway.answers import Answer
from keys.gateway.bodies import BodyMalformed, BodyTooLarge, MediaTypeUnsupported, NoTurn
from keys.gateway.calls import Request
from keys.gateway.problems import Problem

REFUSALS: dict[type[Exception], Problem] = {
    BodyMalformed: problems.BODY_MALFORMED,
    BodyTooLarge: problems.BODY_TOO_LARGE,
    MediaTypeUnsupported: problems.MEDIA_TYPE_UNSUPPORTED,
    NoTurn: problems.BODIES_AWAITED,
}


class GatewayTokens:
    """The tokens of the setting KEYS_GATEWAY_TOKENS. It keeps digests, and compares them all, in constant time."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._digests = [sha256(token.encode()).digest() for token in tokens]

    def accept(self, authorization: str | None) -> bool:
        scheme, _, token = (authorization or "").strip(" \t").partition(" ")
        sent = sha256(token.strip(" ").encode(errors="surrogatepass")).digest()
        found = [hmac.compare_digest(sent, digest) for digest in self._digests]
        return scheme.lower() == "bearer" and any(found)


class TokenCall:
    """Asks for the token before it reads the body: nobody else can keep a thread waiting for one."""

    def __init__(
        self,
        tokens: GatewayTokens,
        answer: Callable[[Request, bytes], Answer],
        *,
        kinds: Collection[str],
        limit_bytes: int,
    ) -> None:
        self._tokens = tokens
        self._answer = answer
        self._kinds = kinds
        self._limit_bytes = limit_bytes

    def __call__(self, request: Request) -> Answer:
        environ = request.environ
        if environ["REQUEST_METHOD"] != "POST":
            return problems.method_not_allowed("POST", request_id=request.id)
        if not self._tokens.accept(environ.get("HTTP_AUTHORIZATION")):
            return problems.document(problems.TOKEN_WANTED, request_id=request.id)
        try:
            body = bodies.read(environ, kinds=self._kinds, limit_bytes=self._limit_bytes)
            return self._answer(request, body)
        except tuple(REFUSALS) as error:
            return problems.document(REFUSALS[type(error)], request_id=request.id, detail=str(error))
