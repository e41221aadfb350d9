"""The calls under /v1/. docs/http-api.md describes them."""

import logging
from time import perf_counter_ns
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from keys.gateway import original, problems, recorder
from keys.gateway.address import address_of
from keys.gateway.decision import decide
from keys.gateway.directory import DirectoryUnavailable, Holder
from keys.gateway.ingest import Record
from keys.gateway.original import OriginalContradictory, OriginalMissing
from keys.identifiers import API_KEY, MERCHANT, encode
from keys.keyformat import scrub
from keys.outcomes import Outcome
from keys.permissions import Need, catalogue

logger = logging.getLogger(__name__)


@method_decorator(csrf_exempt, name="dispatch")
class GatewayView(View):
    """What all calls share: problem documents rather than pages, for no cache to keep."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = self.respond(request, **kwargs)
        except DirectoryUnavailable as error:
            logger.error("A key could not be looked up: %s", error.__cause__)  # noqa: TRY400
            response = problems.document(problems.UNAVAILABLE, request)
        except Exception:
            logger.exception("A request to the gateway failed")
            response = problems.document(problems.INTERNAL_ERROR, request)
        response["Cache-Control"] = "no-store"
        response["Content-Length"] = str(len(response.content))
        return response

    def respond(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return problems.document(problems.NOT_FOUND, request)


class VerifyingView(GatewayView):
    """A call that a key makes: verified, answered by `granted` where that is VALID, and recorded."""

    def verify(self, request: HttpRequest, *, method: str, path: str, need: Need | None) -> HttpResponse:
        started_ns, now, address = perf_counter_ns(), timezone.now(), address_of(request)
        decision = decide(
            authorization=request.META.get("HTTP_AUTHORIZATION"),
            api_key=request.META.get("HTTP_X_API_KEY"),
            address=address,
            need=need,
            now=now,
        )
        outcome, holder = decision.outcome, decision.holder
        if holder is None:
            return problems.refusal(outcome, need, request)
        response = (
            self.granted(holder) if outcome is Outcome.VALID else problems.refusal(outcome, need, request)
        )
        recorder.record(
            Record(
                key_id=holder.facts.key_id,
                merchant_id=holder.facts.merchant_id,
                at=now,
                method=method,
                path=scrub(path),
                status=response.status_code,
                outcome=outcome.value,
                duration_us=(perf_counter_ns() - started_ns) // 1000,
                address=str(address) if address else None,
                request_id=request.META.get("REQUEST_ID", ""),
            )
        )
        return response

    def granted(self, holder: Holder) -> HttpResponse:
        raise NotImplementedError


class WhoamiView(VerifyingView):
    """Try a key: whose it is, and what it may do."""

    def respond(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        method = request.META["REQUEST_METHOD"]
        if method not in {"GET", "HEAD"}:
            return problems.document(problems.METHOD_NOT_ALLOWED, request)
        return self.verify(request, method=method, path=request.path_info, need=Need(None))

    def granted(self, holder: Holder) -> HttpResponse:
        facts = holder.facts
        return JsonResponse(
            {
                "merchant": {"id": encode(MERCHANT, facts.merchant_id), "name": holder.merchant_name},
                "key": {"id": encode(API_KEY, facts.key_id), "name": holder.key_name},
                "mode": facts.mode,
                "permissions": {resource: access.value for resource, access in facts.grants.items()},
            }
        )


class AuthorizeView(VerifyingView):
    """Forward auth: may the key that came with a request to the platform's API make that request?"""

    def respond(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            asked = original.read(meta=request.META, suffix=kwargs["suffix"])
        except OriginalMissing:
            return problems.document(problems.ORIGINAL_MISSING, request)
        except OriginalContradictory:
            return problems.document(problems.ORIGINAL_CONTRADICTORY, request)
        return self.verify(request, method=asked.method, path=asked.path, need=asked.need(catalogue()))

    def granted(self, holder: Holder) -> HttpResponse:
        facts = holder.facts
        return HttpResponse(
            content_type="text/plain",
            headers={
                "X-Merchant-Id": encode(MERCHANT, facts.merchant_id),
                "X-Key-Id": encode(API_KEY, facts.key_id),
                "X-Key-Mode": facts.mode,
                "X-Key-Permissions": str(facts.grants),
            },
        )
