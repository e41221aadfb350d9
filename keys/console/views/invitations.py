"""Invitations: sending one, sending it again, withdrawing it; and the page that its link opens."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.generic import View

from keys import invitations
from keys.access import Access
from keys.console import letters
from keys.console.actors import actor_of, visitor_of
from keys.console.people_forms import InviteForm, JoinForm
from keys.console.stepup import require_proof
from keys.console.views import errors
from keys.console.views.access import ConsoleMixin
from keys.errors import DomainError, InvalidField, InvitationEnded
from keys.models import Invitation, Merchant, User


def waiting(access: Access, *, merchant: Merchant | None) -> list[Invitation]:
    """The invitations to one team, or to the platform, that wait for an answer, as far as this person sends them."""
    found = access.invitations().filter(merchant=merchant).select_related("invited_by")
    return list(found.order_by("created_at"))


class InviteView(ConsoleMixin, View):
    """Declares its form and template, to what one is invited, and who may invite."""

    form_class: type[InviteForm]
    template_name: str

    def allow(self) -> None:
        """Raises NotAllowed."""

    def context(self) -> dict[str, Any]:
        return {}

    def invited_to(self) -> Merchant | None:
        return None

    def back(self) -> str:
        raise NotImplementedError

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.allow()
        return self.page(request, self.form_class())

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.allow()
        form = self.form_class(request.POST)
        if not form.is_valid():
            return self.page(request, form, status=422)
        require_proof(request, "invite somebody", back=self.back())
        try:
            invitation, token = invitations.invite(
                **form.cleaned_data, merchant=self.invited_to(), actor=actor_of(request, self.user)
            )
        except DomainError as error:
            form.refuse(error)
            return self.page(request, form, status=422)
        tell(request, invitation, sent=letters.send_invitation(invitation, token))
        return HttpResponseRedirect(self.back())

    def page(self, request: HttpRequest, form: InviteForm, status: int = 200) -> HttpResponse:
        context = {"form": form, "back": self.back()} | self.context()
        return render(request, self.template_name, context, status=status)


class InvitationStepView(ConsoleMixin, View):
    http_method_names = ["post"]
    # Which page an invitation is listed on is not for strangers to learn.
    steps_below_its_page = 3

    def step(self, invitation: Invitation, request: HttpRequest) -> None:
        raise NotImplementedError

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        invitation = get_object_or_404(self.access.invitations().select_related("merchant"), pk=pk)
        try:
            self.step(invitation, request)
        except DomainError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(back_of(invitation))


class InvitationResendView(InvitationStepView):
    def step(self, invitation: Invitation, request: HttpRequest) -> None:
        require_proof(request, "invite somebody", back=back_of(invitation))
        invitation, token = invitations.resend(invitation=invitation, actor=actor_of(request, self.user))
        tell(request, invitation, sent=letters.send_invitation(invitation, token))


class InvitationWithdrawView(InvitationStepView):
    def step(self, invitation: Invitation, request: HttpRequest) -> None:
        invitations.withdraw(invitation=invitation, actor=actor_of(request, self.user))
        messages.success(request, f"Invitation of {invitation.email} withdrawn: its link works no more.")


def back_of(invitation: Invitation) -> str:
    """The page that the invitation is listed on."""
    return reverse("team", args=[invitation.merchant_id]) if invitation.merchant_id else reverse("people")


def tell(request: HttpRequest, invitation: Invitation, *, sent: bool) -> None:
    if sent:
        messages.success(request, f"Invitation sent to {invitation.email}. It works for 7 days, once.")
    else:
        messages.error(
            request, f"{invitation.email} is invited, but the mail could not be sent. Send it again later."
        )


class JoinView(View):
    """What the link of an invitation opens, to whoever comes: a stranger, the person invited, or another person."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        invitation = invitations.find(kwargs["token"])
        if invitation is None:
            return errors.page_not_found(request)
        if (why := ending_of(invitation)) is not None:
            return errors.gone(request, why)
        self.invitation = invitation
        self.invited = invitations.invited_person(invitation)
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        if request.user.is_authenticated:
            return self.confirmation(request)
        return self.page(request, JoinForm(invitation=self.invitation))

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            if isinstance(request.user, User):
                return self.accept(request, request.user)
            return self.join(request)
        except InvitationEnded as error:
            return errors.gone(request, error)

    def accept(self, request: HttpRequest, person: User) -> HttpResponse:
        if person != self.invited:
            return self.confirmation(request)
        invitations.accept(invitation=self.invitation, person=person, actor=actor_of(request, person))
        merchant = self.invitation.merchant
        messages.success(request, f"You belong to {merchant or 'the platform'} now.")
        return redirect(merchant or "merchant-list")

    def join(self, request: HttpRequest) -> HttpResponse:
        form = JoinForm(request.POST, invitation=self.invitation)
        if self.invited or not form.is_valid():
            return self.page(request, form, status=422)
        try:
            person = invitations.join(invitation=self.invitation, actor=visitor_of(request), **form.values())
        except InvalidField as error:
            form.refuse(error)
            return self.page(request, form, status=422)
        messages.success(request, f"Your account is ready. Sign in as {person.username}.")
        return redirect("account_login")

    def page(self, request: HttpRequest, form: JoinForm, status: int = 200) -> HttpResponse:
        """The form for a new account; or, for an address that has one, the way to sign in."""
        context = {"invitation": self.invitation, "form": None if self.invited else form}
        return render(request, "keys/join.html", context, status=status)

    def confirmation(self, request: HttpRequest) -> HttpResponse:
        """For somebody who is signed in: Join, or, where somebody else is invited, a word about it."""
        ours = request.user == self.invited
        context = {"invitation": self.invitation, "ours": ours}
        return render(request, "keys/join_confirm.html", context, status=200 if ours else 403)


def ending_of(invitation: Invitation) -> InvitationEnded | None:
    """Why a link works no more."""
    if invitation.accepted_at:
        return InvitationEnded("This invitation was used already", "Sign in with the account that you made.")
    if invitation.withdrawn_at:
        return InvitationEnded("This invitation was withdrawn", "Ask for another one.")
    if invitation.is_expired():
        return InvitationEnded("This invitation has expired", "Ask for another one: each works for 7 days.")
    return None
