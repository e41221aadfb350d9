"""The steps that can be taken from here: each asked about on a page of its own, and done by the domain.

A step is offered to those whose role allows it, and checked again for each row when it is taken. The page that asks
shows what the chosen rows did in the last 24 hours, and takes a reason for the history.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from keys import history
from keys.access import Access
from keys.access import Step as AccessStep
from keys.admin.changelist import LookAdmin, access_for
from keys.admin.reading import PAGE_SIZE, Rows
from keys.console.actors import actor_of
from keys.console.forms import DomainForm
from keys.console.stepup import require_proof
from keys.console.views import errors
from keys.console.views.access import own_page
from keys.errors import DomainError, NotAllowed


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
class Move:
    """A step of the domain, and what a person is told of it.

    `source` is the status that it starts from. A `final` one is taken on one row at a time, and asks for proof of
    who is there. `form` makes the form that asks, of what was sent (or None) and the row.
    """

    name: str
    label: str
    done: str
    allowed_by: AccessStep
    source: str
    consequence: str
    otherwise: str
    take: Callable[..., object]
    form: Callable[[Any, Any], forms.Form] = lambda sent, _: ReasonForm(sent)
    final: bool = False

    def is_possible(self, record: Any) -> bool:
        return bool(record.status == self.source)


class SteppingAdmin(LookAdmin):
    """A list whose rows can be chosen, and taken through `moves`. `noun` is what the domain calls such a row."""

    moves: ClassVar[tuple[Move, ...]]
    noun: ClassVar[str]

    def moves_for(self, access: Access) -> dict[str, Move]:
        return {move.name: move for move in self.moves if access.may(move.allowed_by)}

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        moves = self.moves_for(access_for(request))
        return {name: (None, name, move.label) for name, move in moves.items()}

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        record = context["original"]
        steps = access_for(request).steps(record)
        context["moves"] = [
            move for move in self.moves if move.is_possible(record) and move.allowed_by in steps
        ]
        return super().render_change_form(request, context, *args, **kwargs)

    def take_step(self, request: HttpRequest) -> HttpResponse:
        access = access_for(request)
        move = {move.name: move for move in self.moves}.get(request.POST.get("action", ""))
        if move is None:
            return self._back(request, "Choose what to do.")
        chosen = self._chosen(request)
        if not chosen:
            return self._back(request, f"Choose the {self.opts.verbose_name_plural} first.")
        if move.final and len(chosen) > 1:
            return self._back(request, f"{move.label} one {self.opts.verbose_name} at a time.")
        try:
            for record in chosen:
                access.require(move.allowed_by, record)
        except NotAllowed as error:
            return errors.not_allowed(request, error)
        sent = request.POST if "asked" in request.POST else None
        form = move.form(sent, chosen[0])
        if sent is None or not form.is_valid():
            return self._ask(request, move, chosen, form)
        if move.final:
            require_proof(request, f"{move.label.lower()} “{chosen[0]}”", back=own_page(request, "next"))
        return self._take(request, move, chosen, form.cleaned_data["reason"])

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

    def _ask(self, request: HttpRequest, move: Move, chosen: list[Any], form: forms.Form) -> HttpResponse:
        access = access_for(request)
        possible = [record for record in chosen if move.is_possible(record)]
        usages = access.usage(possible)
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": f"{move.label} {self._counted(possible or chosen)}?",
            "move": move,
            "possible": [(record, usages[record.pk]) for record in possible],
            "impossible": [record for record in chosen if not move.is_possible(record)],
            "form": form,
            "next": own_page(request, "next") or request.get_full_path(),
        }
        status = 422 if form.errors else 200
        return render(request, "admin/keys/confirm.html", context, status=status)

    def _counted(self, records: list[Any]) -> str:
        if len(records) == 1:
            return f"“{records[0]}”"
        return f"{len(records)} {self.opts.verbose_name_plural}"

    def _take(self, request: HttpRequest, move: Move, chosen: Iterable[Any], reason: str) -> HttpResponse:
        user: Any = request.user
        actor = actor_of(request, user)
        done = []
        for record in chosen:
            try:
                move.take(**{self.noun: record}, actor=actor, reason=reason)
            except DomainError as error:
                messages.error(request, f"{record}: {error}")
            else:
                done.append(record)
        if done:
            messages.success(request, f"{self._counted(done)} {move.done}.")
        return redirect(own_page(request, "next") or request.get_full_path())

    def _back(self, request: HttpRequest, why: str) -> HttpResponse:
        messages.warning(request, why)
        return redirect(own_page(request, "next") or request.get_full_path())
