"""The forms for people: inviting, joining, and roles."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib.auth.password_validation import password_validators_help_text_html, validate_password
from django.core.exceptions import ValidationError

from keys import invitations, people
from keys.console.forms import DomainForm, clean_person_name
from keys.models import Invitation, User
from keys.models.access import PlatformRole, TeamRole


def role_field(roles: type[PlatformRole] | type[TeamRole], initial: str) -> forms.TypedChoiceField:
    return forms.TypedChoiceField(
        label="Role",
        choices=[(role.value, role.label) for role in roles],
        coerce=roles,
        initial=initial,
        widget=forms.RadioSelect(),
        error_messages={"required": "Choose a role."},
    )


def email_field(
    label: str, help_text: str = "", *, autocomplete: str = "off", **more: Any
) -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=help_text,
        max_length=people.EMAIL_MAX,
        error_messages={"required": "Enter an e-mail address."},
        widget=forms.EmailInput(attrs={"autocomplete": autocomplete}),
        **more,
    )


class InviteForm(DomainForm):
    roles: type[PlatformRole] | type[TeamRole]
    email = email_field("E-mail address", "The link goes there. It works for 7 days, once.")

    def role_choices(self) -> Iterator[tuple[Any, PlatformRole | TeamRole]]:
        """Each role's button, and the role with what it means."""
        return zip(self["role"], self.roles, strict=True)

    def clean_email(self) -> str:
        return str(self.cleaned("email", people.clean_email))


class OwnEmailForm(DomainForm):
    """Another e-mail address for `person`, who asks for it."""

    email = email_field("New e-mail address", autocomplete="email")

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean_email(self) -> str:
        email = str(self.cleaned("email", people.clean_email))
        if email.lower() == self.person.email.lower():
            raise ValidationError("That is your address already.")
        return email


class PersonEmailForm(DomainForm):
    """Somebody else's, or none."""

    email = email_field("E-mail address", "Without one, they cannot be sent a link.", required=False)

    def clean_email(self) -> str:
        typed = self.cleaned_data.get("email")
        return str(self.cleaned("email", people.clean_email)) if typed else ""


class PlatformInviteForm(InviteForm):
    roles = PlatformRole
    role = role_field(PlatformRole, PlatformRole.VIEWER)


class TeamInviteForm(InviteForm):
    roles = TeamRole
    role = role_field(TeamRole, TeamRole.DEVELOPER)


class PlatformRoleForm(DomainForm):
    role = forms.TypedChoiceField(
        label="Role on the platform",
        choices=[("", "No role"), *((role.value, role.label) for role in PlatformRole)],
        coerce=PlatformRole,
        empty_value=None,
        required=False,
    )


class TeamRoleForm(DomainForm):
    role = forms.TypedChoiceField(label="Role", choices=TeamRole.choices, coerce=TeamRole)


class JoinForm(DomainForm):
    """The account of somebody who was invited. The address is the one that the invitation went to."""

    first_name = forms.CharField(label="First name", max_length=150, required=False)
    last_name = forms.CharField(label="Last name", max_length=150, required=False)
    username = forms.CharField(
        label="User name",
        max_length=150,
        help_text="Letters, digits and @.+-_ only. You sign in with it.",
        error_messages={"required": "Choose a user name."},
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password1 = forms.CharField(
        label="Password",
        strip=False,
        max_length=1000,
        help_text=password_validators_help_text_html,
        error_messages={"required": "Choose a password."},
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    password2 = forms.CharField(
        label="Password again",
        strip=False,
        max_length=1000,
        error_messages={"required": "Write the password once more."},
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, invitation: Invitation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invitation = invitation

    def clean_first_name(self) -> str:
        return clean_person_name(self.cleaned_data["first_name"], "first_name", "First name")

    def clean_last_name(self) -> str:
        return clean_person_name(self.cleaned_data["last_name"], "last_name", "Last name")

    def clean_username(self) -> str:
        return str(self.cleaned("username", invitations.clean_username))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        password = cleaned.get("password1")
        if password and cleaned.get("password2") not in {None, password}:
            self.add_error("password2", "The two are not the same. Write both again.")
        if password:
            names = {name: cleaned.get(name, "") for name in ("username", "first_name", "last_name")}
            try:
                validate_password(password, User(email=self.invitation.email, **names))
            except ValidationError as error:
                self.add_error("password1", error)
        return cleaned

    def values(self) -> dict[str, str]:
        """What `invitations.join` takes, once the form is valid."""
        names = {name: self.cleaned_data[name] for name in ("username", "first_name", "last_name")}
        return names | {"password": self.cleaned_data["password1"]}
