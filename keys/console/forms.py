"""The console's forms. The domain judges every value; a form carries it there and brings the answer back."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from unicodedata import normalize
from uuid import UUID

from django import forms
from django.core import signing
from django.utils import timezone

from keys import history, lifecycle, merchants
from keys.errors import DomainError, InvalidField
from keys.identifiers import new_id
from keys.keyformat import Mode
from keys.models import ApiKey, Merchant, User
from keys.models.apikey import DESCRIPTION_MAX
from keys.models.apikey import NAME_MAX as KEY_NAME_MAX
from keys.models.merchant import NAME_MAX as MERCHANT_NAME_MAX
from keys.naming import clean_line, fold, printable
from keys.permissions import Access, catalogue

if TYPE_CHECKING:
    from django.db import models
    from django.http import QueryDict

SUBMISSION_SALT = "keys.console.submission"


def new_submission(user: User) -> str:
    """A signed id for the key that this form will make: the same form sent twice makes one key."""
    return signing.dumps([str(new_id()), user.pk], salt=SUBMISSION_SALT)


def submitted_id(text: str, user: User) -> UUID | None:
    """The id that `new_submission` gave to this user, or None for anything else."""
    try:
        key_id, owner = signing.loads(text, salt=SUBMISSION_SALT, max_age=timedelta(days=2))
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return UUID(key_id) if owner == user.pk else None


class DomainForm(forms.Form):
    """A form whose fields are cleaned by the domain's own functions."""

    required_css_class = "required"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)

    def cleaned(self, name: str, clean: Callable[[Any], Any]) -> Any:
        try:
            return clean(self.cleaned_data.get(name) or "")
        except InvalidField as error:
            raise forms.ValidationError(str(error)) from error

    def refuse(self, error: DomainError) -> None:
        """Show a refusal of the domain beside its field, or on top of the form."""
        field = error.field if isinstance(error, InvalidField) and error.field in self.fields else None
        self.add_error(field, str(error))


def line_field(label: str, maximum: int, help_text: str = "", *, required: bool = True) -> forms.CharField:
    # No max_length on the field: the domain's own message says how long the text is, and nothing is cut off unseen.
    return forms.CharField(
        label=label,
        help_text=help_text,
        required=required,
        error_messages={"required": f"Enter a {label.lower()}."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "data-maximum": maximum}),
    )


def description_field() -> forms.CharField:
    return forms.CharField(
        label="Description",
        required=False,
        help_text="What uses this key, and whom to ask about it.",
        widget=forms.Textarea(attrs={"rows": 3, "data-maximum": DESCRIPTION_MAX}),
    )


class MerchantForm(DomainForm):
    name = line_field("Name", MERCHANT_NAME_MAX, "The business name, as its people write it.")
    website = line_field("Website", merchants.WEBSITE_MAX, required=False)

    def clean_name(self) -> str:
        return str(self.cleaned("name", merchants.clean_merchant_name))

    def clean_website(self) -> str:
        return str(self.cleaned("website", merchants.clean_website))


class NewMerchantForm(MerchantForm):
    """Two businesses may share a name, but not by accident: the second asks to be confirmed."""

    same_name = forms.BooleanField(label="This is another business with the same name", required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        name = cleaned.get("name", "")
        # The folded name has an index; the name itself has none.
        # Whoever makes accounts sees all of them (keys/access.py).
        exists = Merchant.objects.filter(sort_name=fold(name), name=name).exists()
        if exists and not cleaned.get("same_name"):
            self.add_error(
                "name",
                "A merchant account with this name exists already. Tick the box below if this is another business.",
            )
        elif not exists:
            del self.fields["same_name"]
        return cleaned


class RevisionForm(DomainForm):
    """A form that edits what somebody else may be editing too."""

    revision = forms.IntegerField(
        widget=forms.HiddenInput(),
        min_value=1,
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value"),
            "This form came back incomplete. Copy what you wrote, reload the page and try again.",
        ),
    )

    def resubmit(self, revision: int) -> None:
        """After a stale edit: keep what the person wrote, and let the next save build on `revision`."""
        data = cast("QueryDict", self.data).copy()
        data["revision"] = str(revision)
        self.data = data


class MerchantEditForm(RevisionForm, MerchantForm):
    pass


class ApiKeyEditForm(RevisionForm):
    name = line_field("Key name", KEY_NAME_MAX)
    description = description_field()

    def clean_name(self) -> str:
        return str(self.cleaned("name", lifecycle.clean_key_name))

    def clean_description(self) -> str:
        return str(self.cleaned("description", lifecycle.clean_description))


class ApiKeyForm(DomainForm):
    """A new API key: one field for each resource of the permission catalogue."""

    submission = forms.CharField(widget=forms.HiddenInput(), required=False)
    name = line_field("Key name", KEY_NAME_MAX, "Name it after what uses it, such as “Checkout backend”.")
    description = description_field()
    mode = forms.ChoiceField(
        label="Mode",
        choices=Mode.choices,
        initial=Mode.TEST,
        widget=forms.RadioSelect(),
        error_messages={"required": "Choose Live mode or Test mode."},
    )
    expires_at = forms.DateTimeField(
        label="Expires",
        required=False,
        help_text="In UTC. Leave it empty for a key that does not expire.",
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    allowed_networks = forms.CharField(
        label="Allowed networks",
        required=False,
        help_text="One in a line, such as 203.0.113.0/24. Leave it empty to allow any address.",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "class": "mono"}),
    )

    def __init__(self, *args: Any, user: User, strong: bool, **kwargs: Any) -> None:
        """`strong` says whether this person may make live keys that write to restricted resources."""
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["submission"].initial = new_submission(user)
        for resource in catalogue().resources.values():
            bound = resource.restricted and not strong
            choices = [
                (access.value, "Write, in Test mode" if bound and access is Access.WRITE else access.label)
                for access in (Access.NONE, *resource.accesses)
            ]
            self.fields[f"permission_{resource.name}"] = forms.ChoiceField(
                label=resource.label,
                choices=choices,
                initial=Access.NONE,
                required=False,
                help_text=resource.description,
                widget=forms.RadioSelect(),
            )

    def permission_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith("permission_")]

    def clean(self) -> dict[str, Any]:
        """A permission that the catalogue does not know, or two for one resource, are refused, never dropped."""
        data = cast("QueryDict", self.data)
        for name in data:
            resource = name.removeprefix("permission_")
            if resource != name and resource not in catalogue().resources:
                self.add_error(None, f"There is no resource called “{printable(resource, 40)}”.")
            elif name in self.fields and len(data.getlist(name)) > 1:
                self.add_error(name, "Two values came for this one. Choose one of them.")
        return super().clean() or {}

    def clean_name(self) -> str:
        return str(self.cleaned("name", lifecycle.clean_key_name))

    def clean_description(self) -> str:
        return str(self.cleaned("description", lifecycle.clean_description))

    def clean_allowed_networks(self) -> list[str]:
        return list(
            self.cleaned(
                "allowed_networks", lambda text: lifecycle.clean_networks(text.replace(",", " ").split())
            )
        )

    def clean_expires_at(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise forms.ValidationError("The expiry date has passed already. Choose a later one, or none.")
        return expires_at

    def values(self) -> dict[str, Any]:
        """What `lifecycle.create` takes, once the form is valid."""
        return {
            "name": self.cleaned_data["name"],
            "description": self.cleaned_data["description"],
            "mode": self.cleaned_data["mode"],
            "permissions": {
                name: self.cleaned_data[f"permission_{name}"] or Access.NONE for name in catalogue().resources
            },
            "expires_at": self.cleaned_data["expires_at"],
            "allowed_networks": self.cleaned_data["allowed_networks"],
            "key_id": submitted_id(self.cleaned_data["submission"], self.user),
        }


def presets_of(key: ApiKey) -> dict[str, Any]:
    """The initial values of the form that duplicates `key`."""
    return {
        "name": lifecycle.free_copy_name(key),
        "description": key.description,
        "mode": key.mode,
        "expires_at": key.expires_at,
        "allowed_networks": key.allowed_networks.replace(" ", "\n"),
        **{f"permission_{name}": access.value for name, access in key.grants.items()},
    }


class RevokeForm(DomainForm):
    """The typed name, checked on the server."""

    confirm = forms.CharField(
        label="Key name",
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    reason = forms.CharField(
        label="Reason", required=False, widget=forms.TextInput(attrs={"data-maximum": history.REASON_MAX})
    )

    def __init__(self, *args: Any, key: ApiKey, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.key = key

    def clean_confirm(self) -> str:
        confirm = str(self.cleaned_data["confirm"])
        # A name is stored in NFC, with single spaces; keyboards and clipboards may write it otherwise.
        typed, name = (" ".join(normalize("NFC", text).split()) for text in (confirm, self.key.name))
        if typed != name:
            raise forms.ValidationError("That is not this key's name. Type it exactly as it is shown.")
        return confirm

    def clean_reason(self) -> str:
        return str(self.cleaned("reason", history.clean_reason))


def clean_person_name(text: str, field: str, label: str) -> str:
    """A part of a person's name. It stands in the history of all that they do: it must not pose as another."""
    maximum = cast("models.CharField[str, str]", User._meta.get_field(field)).max_length or 0
    try:
        return clean_line(text, field=field, label=label, maximum=maximum, required=False)
    except InvalidField as error:
        raise forms.ValidationError(str(error)) from error


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ["first_name", "last_name", "theme", "keyboard_shortcuts"]
        labels = {"keyboard_shortcuts": "Keyboard shortcuts"}
        help_texts = {"keyboard_shortcuts": "Single keys such as / and n. Press ? for the list."}
        widgets = {"theme": forms.RadioSelect()}

    def clean_first_name(self) -> str:
        return clean_person_name(self.cleaned_data["first_name"], "first_name", "First name")

    def clean_last_name(self) -> str:
        return clean_person_name(self.cleaned_data["last_name"], "last_name", "Last name")
