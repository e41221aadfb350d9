"""The steps that can be taken from here: each asked about on a page of its own, and done by the domain.

A step is offered to those whose role allows it, and checked again for each row when it is taken. The page that asks
shows what the chosen rows did in the last 24 hours, and takes a reason for the history.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from keys import history
from keys.admin.changelist import PAGE_SIZE, LookAdmin, access_for
from keys.console.actors import actor_of
from keys.console.forms import DomainForm
from keys.console.stepup import require_proof
from keys.console.views import errors
from keys.console.views.access import own_page
from keys.errors import DomainError, NotAllowed
from keys.moves import Move

if TYPE_CHECKING:
    from keys.console.reading import Rows


class ReasonForm(DomainForm):
    reason = forms.CharField(
        label="Reason",
        required=False,
        help_text="Stands in the history.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_reason(self) -> str:
        return str(self.cleaned("reason", history.clean_reason))


@dataclass(frozen=True, slots=True)
class Offer:
    """A move of the domain, and what a person is told of it.

    A final one is taken on one row at a time, and asks for proof of who is there. `form` makes the form that asks, of
    what was sent (or None) and the row.
    """

    move: Move[Any]
    done: str
    consequence: str
    otherwise: str
    form: Callable[[Any, Any], forms.Form] = lambda sent, _: ReasonForm(sent)

    @property
    def label(self) -> str:
        return self.move.name.capitalize()


class SteppingAdmin(LookAdmin):
    """A list whose rows can be chosen, and taken through what is offered."""

    offers: ClassVar[tuple[Offer, ...]]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        access = access_for(request)
        allowed = [offer for offer in self.offers if access.may(offer.move.allowed_by)]
        return {offer.move.name: (None, offer.move.name, offer.label) for offer in allowed}

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        record = context["original"]
        steps = access_for(request).steps(record)
        context["offers"] = [
            offer
            for offer in self.offers
            if offer.move.is_possible(record) and offer.move.allowed_by in steps
        ]
        return super().render_change_form(request, context, *args, **kwargs)

    def take_step(self, request: HttpRequest) -> HttpResponse:
        access = access_for(request)
        offer = {offer.move.name: offer for offer in self.offers}.get(request.POST.get("action", ""))
        if offer is None:
            return self._back(request, "Choose what to do.")
        chosen = self._chosen(request)
        if not chosen:
            return self._back(request, f"Choose the {self.opts.verbose_name_plural} first.")
        if offer.move.is_final and len(chosen) > 1:
            return self._back(request, f"{offer.label} one {self.opts.verbose_name} at a time.")
        try:
            for record in chosen:
                access.require(offer.move.allowed_by, record)
        except NotAllowed as error:
            return errors.not_allowed(request, error)
        sent = request.POST if "asked" in request.POST else None
        form = offer.form(sent, chosen[0])
        if sent is None or not form.is_valid():
            return self._ask(request, offer, chosen, form)
        if offer.move.is_final:
            require_proof(request, f"{offer.move.name} “{chosen[0]}”", back=own_page(request, "next"))
        return self._take(request, offer, chosen, form.cleaned_data["reason"])

    def _chosen(self, request: HttpRequest) -> list[Any]:
        """The rows that were ticked, at most a page of them; what is no id of a row is nothing."""
        ids = []
        for text in request.POST.getlist(ACTION_CHECKBOX_NAME)[:PAGE_SIZE]:
            try:
                ids.append(self.opts.pk.to_python(text))
            except ValidationError:
                continue
        rows: Rows = self.get_queryset(request).filter(pk__in=ids).select_related(*self.list_related)
        return sorted(rows, key=str)

    def _ask(self, request: HttpRequest, offer: Offer, chosen: list[Any], form: forms.Form) -> HttpResponse:
        access = access_for(request)
        possible = [record for record in chosen if offer.move.is_possible(record)]
        usages = access.usage(possible)
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": f"{offer.label} {self._counted(possible or chosen)}?",
            "offer": offer,
            "possible": [(record, usages[record.pk]) for record in possible],
            "impossible": [record for record in chosen if not offer.move.is_possible(record)],
            "form": form,
            "next": own_page(request, "next") or request.get_full_path(),
        }
        status = 422 if form.errors else 200
        return render(request, "admin/keys/confirm.html", context, status=status)

    def _counted(self, records: list[Any]) -> str:
        if len(records) == 1:
            return f"“{records[0]}”"
        return f"{len(records)} {self.opts.verbose_name_plural}"

    def _take(self, request: HttpRequest, offer: Offer, chosen: Iterable[Any], reason: str) -> HttpResponse:
        user: Any = request.user
        actor = actor_of(request, user)
        done = []
        for record in chosen:
            try:
                offer.move.take(record, actor=actor, reason=reason)
            except DomainError as error:
                messages.error(request, f"{record}: {error}")
            else:
                done.append(record)
        if done:
            messages.success(request, f"{self._counted(done)} {offer.done}.")
        return redirect(own_page(request, "next") or request.get_full_path())

    def _back(self, request: HttpRequest, why: str) -> HttpResponse:
        messages.warning(request, why)
        return redirect(own_page(request, "next") or request.get_full_path())
