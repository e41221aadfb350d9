"""Calls for gateways and applications of the platform: a POST, by whoever holds a gateway token, with a body."""

import hmac
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256

from keys.gateway import bodies, problems
from keys.gateway.answers import Answer
from keys.gateway.bodies import BodyMalformed, BodyTooLarge, MediaTypeUnsupported
from keys.gateway.calls import Request
from keys.gateway.problems import Problem


class GatewayTokens:
    """The tokens of the setting KEYS_GATEWAY_TOKENS. It keeps digests, and compares them all, in constant time."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._digests = [sha256(token.encode()).digest() for token in tokens]

    def accept(self, authorization: str | None) -> bool:
        scheme, _, token = (authorization or "").strip().partition(" ")
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
        except BodyMalformed as error:
            return _refused(request, problems.BODY_MALFORMED, str(error))
        except MediaTypeUnsupported as error:
            return _refused(request, problems.MEDIA_TYPE_UNSUPPORTED, str(error))
        except BodyTooLarge as error:
            return _refused(
                request, problems.BODY_TOO_LARGE, str(error) or f"The most is {self._limit_bytes:,} bytes."
            )


def _refused(request: Request, problem: Problem, detail: str) -> Answer:
    return problems.document(problem, request_id=request.id, detail=detail)
