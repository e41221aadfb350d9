"""Who comes into the console: people who are signed in."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.http import urlencode
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from keys.models import User


class ConsoleMixin(LoginRequiredMixin):
    """First base of every view of the console."""

    request: HttpRequest

    @property
    def htmx(self) -> HtmxDetails:
        details: HtmxDetails = self.request.htmx  # type: ignore[attr-defined]
        return details

    @property
    def user(self) -> User:
        user = self.request.user
        if not isinstance(user, User):  # pragma: no cover - dispatch has turned everybody else away
            raise TypeError("nobody is signed in")
        return user

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        if "Cache-Control" not in response:
            # Back after signing out asks the server, and no cache on the way keeps a page.
            patch_cache_control(response, private=True, no_cache=True, must_revalidate=True)
        return response

    def handle_no_permission(self) -> Any:
        """A part of a page cannot become the sign-in page: the whole page goes there, and comes back."""
        if self.htmx and not self.request.user.is_authenticated:
            target = {"next": self.htmx.current_url_abs_path or reverse("merchant-list")}
            return HttpResponseClientRedirect(f"{reverse('account_login')}?{urlencode(target)}")
        return super().handle_no_permission()
