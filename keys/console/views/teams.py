"""The Team tab of a merchant account: all who see the account see its team; owners and administrators change it."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.functional import cached_property
from django.views.generic import View

from keys import teams
from keys.access import Step
from keys.console.actors import actor_of
from keys.console.people_forms import TeamInviteForm, TeamRoleForm
from keys.console.stepup import require_proof
from keys.console.views.invitations import InviteView, waiting
from keys.console.views.merchants import MerchantPageMixin
from keys.errors import DomainError
from keys.models import Membership, Merchant
from keys.models.access import TeamRole

SHOWN = 200


class TeamMixin(MerchantPageMixin):
    tab = "team"
    kwargs: dict[str, Any]

    @cached_property
    def account(self) -> Merchant:
        return self.merchant(self.kwargs["pk"])

    def back(self) -> str:
        return reverse("team", args=[self.account.pk])

    def member(self, member: UUID) -> Membership:
        """One of the team, for a step that changes it."""
        found = get_object_or_404(self.access.team(self.account).select_related("user"), pk=member)
        self.access.require(Step.MANAGE_TEAM, self.account)
        return found


class TeamView(TeamMixin, View):
    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        members = list(
            self.access.team(self.account).select_related("user").order_by("user__username")[: SHOWN + 1]
        )
        context = self.header(self.account) | {
            "members": members[:SHOWN],
            "more": len(members) > SHOWN,
            "roles": list(TeamRole),
            "invitations": waiting(self.access, merchant=self.account),
        }
        return render(request, "keys/team.html", context)


class MemberRoleView(TeamMixin, View):
    http_method_names = ["post"]
    steps_below_its_page = 2

    def post(self, request: HttpRequest, pk: UUID, member: UUID) -> HttpResponse:
        found = self.member(member)
        form = TeamRoleForm(request.POST)
        if not form.is_valid():
            messages.error(request, "Choose one of the roles.")
        else:
            require_proof(request, "change the team", back=self.back())
            try:
                teams.change_role(
                    member=found, role=form.cleaned_data["role"], actor=actor_of(request, self.user)
                )
            except DomainError as error:
                messages.error(request, str(error))
            else:
                messages.success(request, f"Role of {found.user} saved.")
        return redirect(self.back())


class MemberRemoveView(TeamMixin, View):
    """Asks first: only another invitation brings somebody back."""

    def get(self, request: HttpRequest, pk: UUID, member: UUID) -> HttpResponse:
        context = {"merchant": self.account, "member": self.member(member)}
        return render(request, "keys/member_remove.html", context)

    def post(self, request: HttpRequest, pk: UUID, member: UUID) -> HttpResponse:
        found = self.member(member)
        require_proof(request, "change the team", back=self.back())
        try:
            teams.remove(member=found, actor=actor_of(request, self.user))
        except DomainError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"{found.user} is not in this team any more.")
        return redirect("merchant-list" if found.user == self.user else self.back())


class TeamInviteView(TeamMixin, InviteView):
    form_class = TeamInviteForm
    template_name = "keys/team_invite.html"

    def allow(self) -> None:
        self.access.require(Step.MANAGE_TEAM, self.account)

    def context(self) -> dict[str, Any]:
        return {"merchant": self.account}

    def invited_to(self) -> Merchant | None:
        return self.account
