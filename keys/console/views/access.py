"""Who comes into the console: people who are signed in, each to what is in their reach (keys/access.py)."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from keys import spool
from keys.access import Access
from keys.console.context import access_of
from keys.console.views import errors
from keys.errors import NotAllowed
from keys.models import User


class ConsoleMixin(LoginRequiredMixin):
    """First base of every view of the console."""

    request: HttpRequest
    # How far what is only done lies below the page that it is done from.
    steps_below_its_page = 1

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method == "GET" and request.user.is_authenticated:
            # Who has just made a request with a key, and looks for it here, finds it counted.
            spool.settle(settings.KEYS_SPOOL_DIR)
        try:
            return super().dispatch(request, *args, **kwargs)
        except NotAllowed as error:
            return self.not_allowed(error)

    @property
    def access(self) -> Access:
        """What this person may see and do: every query of the console begins here."""
        access = access_of(self.request)
        if access is None:  # pragma: no cover - dispatch has turned everybody else away
            raise TypeError("nobody is signed in")
        return access

    def not_allowed(self, error: NotAllowed) -> HttpResponse:
        """A calm page. Within a page, the page is loaded anew: what may not be done is not on it any more."""
        if self.request.headers.get("Accept", "").startswith("application/json"):
            return JsonResponse({"error": str(error)}, status=403)
        response = errors.not_allowed(self.request, error)
        if self.htmx:
            messages.error(self.request, str(error))
            response["HX-Refresh"] = "true"
        return response

    @property
    def htmx(self) -> HtmxDetails:
        details: HtmxDetails = self.request.htmx  # type: ignore[attr-defined]
        return details

    @property
    def wants_part(self) -> bool:
        """Whether htmx asks for the part of the page that changes, rather than for the page."""
        return bool(self.htmx) and not self.htmx.boosted and not self.htmx.history_restore_request

    @property
    def user(self) -> User:
        user = self.request.user
        if not isinstance(user, User):  # pragma: no cover - dispatch has turned everybody else away
            raise TypeError("nobody is signed in")
        return user

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = errors.method_not_allowed(request)
        response["Allow"] = ", ".join(self._allowed_methods())  # type: ignore[attr-defined]
        return response

    def handle_no_permission(self) -> Any:
        """To the sign-in page, and from there back to a page that can be opened."""
        if self.request.user.is_authenticated:
            return super().handle_no_permission()
        if self.htmx:
            # A part of a page cannot become the sign-in page: the whole page goes there.
            target = {"next": page_behind(self.htmx) or reverse("merchant-list")}
            return HttpResponseClientRedirect(f"{reverse('account_login')}?{urlencode(target)}")
        if hasattr(self, "get"):
            return redirect_to_login(self.request.get_full_path())
        page = self.request.path.rstrip("/").rsplit("/", self.steps_below_its_page)[0]
        return redirect_to_login(f"{page}/")

    def next_page(self) -> str:
        """The page of this console that a form asks to go to afterwards, or nothing."""
        return own_page(self.request, "next")


def page_behind(htmx: HtmxDetails) -> str:
    """Path and query of the page that htmx is at work in; nothing where its header makes no sense."""
    try:
        page = urlsplit(htmx.current_url or "")
    except ValueError:
        return ""
    return urlunsplit(("", "", page.path, page.query, ""))


def own_page(request: HttpRequest, name: str) -> str:
    """The page of this console that the field `name` of a form leads to, or nothing."""
    target = request.POST.get(name, "")
    ours = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if ours and target.startswith("/") else ""
