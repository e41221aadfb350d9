"""People: who comes in, as what, and who is invited. For those who manage people; to others none of it is there."""

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.generic import View

from keys import access, people
from keys.access import Step
from keys.console import email_change
from keys.console.actors import actor_of
from keys.console.filters import PersonFilter
from keys.console.forms import DomainForm
from keys.console.keyset import Ordering
from keys.console.people_forms import PersonEmailForm, PlatformInviteForm, PlatformRoleForm
from keys.console.reading import Reading
from keys.console.stepup import require_proof
from keys.console.tables import PersonTable
from keys.console.views.access import ConsoleMixin
from keys.console.views.grid import GridView
from keys.console.views.invitations import InviteView, waiting
from keys.errors import DomainError, InvalidField
from keys.models import HistoryEntry, User
from keys.models.access import PlatformRole

EVENTS_SHOWN = 50
NEWEST_FIRST = Ordering(("at", "id"), descending=True)


class PeopleMixin(ConsoleMixin):
    """To whom does not manage people, these addresses do not exist."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated and not self.access.may(Step.MANAGE_PEOPLE):
            raise Http404
        return super().dispatch(request, *args, **kwargs)

    def person(self, pk: int) -> User:
        return get_object_or_404(self.access.people(), pk=pk)


class PersonListView(PeopleMixin, GridView):
    table_class = PersonTable
    filterset_class = PersonFilter
    template_name = "keys/people.html"
    empty_template = "keys/_people_empty.html"
    noun = "person"

    def rows(self) -> QuerySet[User]:
        return self.access.people().prefetch_related("groups")

    def decorate(self, rows: list[User]) -> None:
        ids = [person.pk for person in rows]
        teams = dict(
            self.access.people()
            .filter(pk__in=ids)
            .values_list("pk")
            .annotate(teams=Count("memberships"))
            .order_by()
        )
        for person in rows:
            person.role = access.role_of(person)  # type: ignore[attr-defined]
            person.teams = teams.get(person.pk, 0)  # type: ignore[attr-defined]

    def context(self) -> dict[str, Any]:
        return {"invitations": waiting(self.access, merchant=None)}


class PersonPageMixin(PeopleMixin):
    def page(
        self, request: HttpRequest, person: User, refused: DomainForm | None = None, status: int = 200
    ) -> HttpResponse:
        """The page with its forms as they are stored, but for one that was refused."""
        role = PlatformRoleForm(initial={"role": access.role_of(person) or ""})
        email = PersonEmailForm(initial={"email": person.email})
        context = {
            "person": person,
            "role": access.role_of(person),
            "roles": list(PlatformRole),
            "form": refused,
            "role_form": refused if isinstance(refused, PlatformRoleForm) else role,
            "email_form": refused if isinstance(refused, PersonEmailForm) else email,
            "memberships": person.memberships.select_related("merchant").order_by("merchant__sort_name"),
            "events": self.events_of(person),
        }
        return render(request, "keys/person_detail.html", context, status=status)

    def events_of(self, person: User) -> list[HistoryEntry]:
        """What happened to them, as far back as a page looks."""
        named = Q(before__person=person.username) | Q(after__person=person.username)
        of_the_platform = Reading(self.access.history().filter(merchant=None), NEWEST_FIRST)
        return of_the_platform.seeking(lambda rows: rows.filter(named)).page(size=EVENTS_SHOWN).rows


class PersonDetailView(PersonPageMixin, View):
    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self.page(request, self.person(pk))


class PersonRoleView(PersonPageMixin, View):
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        person = self.person(pk)
        form = PlatformRoleForm(request.POST)
        if not form.is_valid():
            return self.page(request, person, form, status=422)
        require_proof(request, f"change the role of {person}", back=reverse("person-detail", args=[pk]))
        try:
            people.change_role(
                person=person, role=form.cleaned_data["role"], actor=actor_of(request, self.user)
            )
        except DomainError as error:
            form.refuse(error)
            return self.page(request, person, form, status=422)
        messages.success(request, f"Role of {person} saved. It counts from the next page on.")
        return redirect("merchant-list") if person == self.user else redirect("person-detail", pk)


class PersonEmailView(PersonPageMixin, View):
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        person = self.person(pk)
        form = PersonEmailForm(request.POST)
        if not form.is_valid():
            return self.page(request, person, form, status=422)
        back = reverse("person-detail", args=[pk])
        require_proof(request, f"change the e-mail address of {person}", back=back)
        try:
            email_change.change(request, person, form.cleaned_data["email"], by=self.user)
        except InvalidField as error:
            form.refuse(error)
            return self.page(request, person, form, status=422)
        messages.success(request, f"E-mail address of {person} saved.")
        return redirect("person-detail", pk)


class PersonMoveView(PeopleMixin, View):
    """Deactivate or reactivate: at once, with Undo in the message."""

    http_method_names = ["post"]
    undo: str

    def move(self, person: User, request: HttpRequest) -> str:
        """Take the step; returns what to tell."""
        raise NotImplementedError

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        person = self.person(pk)
        require_proof(request, f"change whether {person} comes in", back=reverse("person-detail", args=[pk]))
        try:
            told = self.move(person, request)
        except DomainError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, told, extra_tags=f"undo={reverse(self.undo, args=[pk])}")
        return HttpResponseRedirect(self.next_page() or reverse("person-detail", args=[pk]))


class PersonDeactivateView(PersonMoveView):
    undo = "person-reactivate"

    def move(self, person: User, request: HttpRequest) -> str:
        people.deactivate(person=person, actor=actor_of(request, self.user))
        return f"{person} deactivated, and signed out everywhere."


class PersonReactivateView(PersonMoveView):
    undo = "person-deactivate"

    def move(self, person: User, request: HttpRequest) -> str:
        people.reactivate(person=person, actor=actor_of(request, self.user))
        return f"{person} can sign in again."


class PersonInviteView(PeopleMixin, InviteView):
    form_class = PlatformInviteForm
    template_name = "keys/person_invite.html"

    def back(self) -> str:
        return reverse("people")
