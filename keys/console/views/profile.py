"""A person's own settings, and the page that shows every component in every state."""

from copy import copy
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import UserPassesTestMixin
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.generic import View

from keys import addresses
from keys.console.factors import Security
from keys.console.forms import ApiKeyEditForm, ProfileForm
from keys.console.views.access import ConsoleMixin
from keys.identifiers import new_id
from keys.losses import Loss
from keys.models import ApiKey, Change, Merchant
from keys.models.verifier import ChangeKind
from keys.outcomes import Outcome
from keys.proof import Accepted, Answer, Proof, Silence
from keys.states import ApiKeyStatus, MerchantStatus
from keys.usage import HOUR, Bar, Usage, Window


class ProfileView(ConsoleMixin, View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(ProfileForm(instance=self.user))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Save the form, or one setting of it: the theme switch stands on every page."""
        # The form writes into its instance even what it refuses; the page around it shows the user as stored.
        user = copy(self.user)
        partial = "partial" in request.POST
        data = model_to_dict(user, ProfileForm.Meta.fields) | request.POST.dict() if partial else request.POST
        form = ProfileForm(data, instance=user)
        if not form.is_valid():
            return self.page(form, status=422)
        user.save(update_fields=[name for name in form.fields if not partial or name in request.POST])
        if partial and (target := self.next_page()):
            return HttpResponseRedirect(target)
        messages.success(request, "Profile saved.")
        return redirect("profile")

    def page(self, form: ProfileForm, status: int = 200) -> HttpResponse:
        context = {
            "form": form,
            "security": Security.of(self.user),
            "has_password": self.user.has_usable_password(),
            "is_localhost": self.request.get_host().startswith("127.0.0.1"),
            "can_have_passkeys": addresses.parse(self.request.get_host()) is None,
        }
        return render(self.request, "keys/profile.html", context, status=status)


class ComponentsView(ConsoleMixin, UserPassesTestMixin, View):
    """For the people who build this console: nothing here is read from the database or written to it."""

    def test_func(self) -> bool:
        return bool(self.request.user.is_staff)

    def get(self, request: HttpRequest) -> HttpResponse:
        form = ApiKeyEditForm({"name": "", "description": "Nightly settlement to sellers", "revision": "1"})
        form.is_valid()
        context: dict[str, Any] = {
            "statuses": [*(ApiKey(status=status) for status in ApiKeyStatus)],
            "merchants": [Merchant(status=status) for status in MerchantStatus],
            "outcomes": list(Outcome),
            "usages": [sample_usage(percent) for percent in (0, 2, 18, 100)]
            + [Usage(window=Window.last_24_hours())],
            "form": form,
            "moments": [
                timezone.now() - timedelta(seconds=seconds) for seconds in (5, 400, 9000, 90_000, 9_000_000)
            ],
            "undo": reverse("components"),
            "proofs": sample_proofs(timezone.now()),
            "loss": sample_loss(timezone.now()),
        }
        return render(request, "keys/components.html", context)


def sample_usage(percent: int) -> Usage:
    """A made-up day for the components page, with `percent` of its requests failed."""
    usage = Usage(window=Window.last_24_hours())
    for hour, (start, end) in enumerate(usage.window.hours()):
        total = 40 + 11 * ((hour * 7) % 13)
        failed = round(total * percent / 100)
        usage.bars.append(Bar(total - failed, failed, start=start, end=end))
        usage.succeeded += total - failed
        usage.failed += failed
    return usage


def sample_proofs(now: datetime) -> list[Proof]:
    """Made up: obeyed by all, by those that could, by nobody yet, not at all; a backlog; nobody to wait for."""
    change = Change(kind=ChangeKind.KEY, status="disabled", at=now - timedelta(seconds=1))
    answers = tuple(
        Answer(f"web-{number}:4711", timedelta(milliseconds=10 * number + 1)) for number in (1, 2)
    )
    silent = Silence("web-3:4711", now + timedelta(seconds=1), ended=False)
    gone = Silence("web-3:4711", now - timedelta(milliseconds=500), ended=True)
    last = Accepted(change.at, new_id(change.at))
    late = Accepted(now, new_id(now))
    days_ago = (now - timedelta(days=90)).replace(minute=0, second=0)
    old = Change(kind=ChangeKind.MERCHANT, status="disabled", at=days_ago)
    return [
        Proof(change=change, now=now + timedelta(minutes=1), answers=answers, last_accepted=last),
        Proof(change=change, now=now, answers=answers, silences=(silent,), last_accepted=last),
        Proof(change=change, now=now, answers=answers, silences=(gone,)),
        Proof(change=change, now=now, answers=answers, last_accepted=late),
        Proof(
            change=change,
            now=now + timedelta(minutes=1),
            answers=answers,
            last_accepted=last,
            recorded_until=change.at + timedelta(seconds=2),
        ),
        Proof(change=old, now=now, reads_afresh=True, last_accepted=Accepted(old.at, until=old.at + HOUR)),
    ]


def sample_loss(now: datetime) -> Loss:
    ended_at = now - timedelta(minutes=5)
    return Loss(1_204, ended_at - timedelta(minutes=2), ended_at, ("The spool had reached its limit",))
