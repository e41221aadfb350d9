"""Every form of the console, sent with more than it shows: it changes what it shows, and leads nowhere else.

The forms are found on the pages. In addition each is sent the fields of all models and of all other forms, and an
address elsewhere wherever one could be led to.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain, cycle
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.core.cache import cache
from django.db import models, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import resolve
from django.utils import timezone

from keys import merchants, people
from keys.console.email_change import token_for
from keys.history import Actor
from keys.models import User
from tests.authenticators import give_totp
from tests.console.page import ADDRESSES, Element, page_of
from tests.console.surface import PATTERNS, Account, offered, open_account, sent
from tests.factories import PASSWORD, InvitationFactory, UserFactory
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

NEW_PASSWORD = {"password1": "an uncommon sentence", "password2": "an uncommon sentence"}
ELSEWHERE = ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:'evil.example'")
# What these do is done to the session, or by mail.
OF_NO_ROW = {"account_logout", "usersessions_list", "account_reauthenticate", "account_reset_password"}
# What is told only to be new: it is made at random.
RANDOM = set(
    "digest head tail secret_ciphertext token_digest hash previous_hash password request_id data session_key".split()
)
# What no form is about: it is there for every request, or follows from other rows.
ASIDE = {"sessions.Session", "keys.CachedValue", "keys.Change"}
# What else a field would take. `owner` is a role, and `disabled` a status, of more than one model.
WORDS = {
    "status": "disabled",
    "role": "owner",
    "permissions": "payouts:write",
    "mode": "test",
    "theme": "light",
}
VALUES = (
    (models.BooleanField, "on"), (models.DateTimeField, "2001-02-03 04:05"), (models.IntegerField, "7777"),
    (models.JSONField, '{"a": 1}'), (models.EmailField, "planted@example.com"),
)  # fmt: skip

Row = dict[str, Any]
Rows = dict[tuple[type[models.Model], Any], Row]


@dataclass(frozen=True)
class Form:
    """A form of a page: where it is sent, what a browser would send, and the names of all its fields."""

    address: str
    values: dict[str, Any]
    shown: frozenset[str]

    @property
    def name(self) -> str:
        return resolve(self.address).view_name


def forms_of(page: Element, here: str) -> Iterator[Form]:
    for button in page.all("button"):
        if button.get("type") != "button" and (form := button.form).get("method") == "post":
            names = {each["name"] for each in (*form.elements(), button) if each.get("name")}
            address = button.get("formaction") or form.get("action") or here
            yield Form(address.partition("?")[0], form.values(), frozenset(names))


def forms_at(client: Client, address: str) -> list[Form]:
    """The forms of a page, which is asked to lead elsewhere, and does not."""
    response = client.get(address, {"next": ELSEWHERE[0]})
    if response.streaming or response.status_code != 200:
        return []
    page = page_of(response)
    led = [each[name] for each in page.elements() for name in ADDRESSES & each.attributes.keys()]
    assert not any("evil.example" in each.partition("?")[0] for each in led), address
    return list(forms_of(page, address))


def model_fields() -> dict[str, Any]:
    """The name of every field of every model, with a value that it would take."""
    named = {}
    for model in apps.get_models():
        for field in (*model._meta.concrete_fields, *model._meta.many_to_many):
            value = next((value for kind, value in VALUES if isinstance(field, kind)), "planted")
            if field.related_model:
                value = (
                    field.related_model._base_manager.order_by("pk").values_list("pk", flat=True).last() or 1
                )
            named |= dict.fromkeys({field.name, field.attname}, WORDS.get(field.name, value))
    return named


def stored() -> Rows:
    rows = {}
    for model in apps.get_models():
        if model._meta.label not in ASIDE:
            rows |= {(model, row[model._meta.pk.attname]): row for row in model._base_manager.values()}
    return rows


def is_anew(field: Any, value: Any, before: Rows) -> bool:
    """Whether it is random, or the id of something that was not there."""
    of = field.related_model or (field.model if field.primary_key else None)
    return field.name in RANDOM or bool(of and value and (of, value) not in before)


def effect(before: Rows, after: Rows) -> list[str]:
    """What has come, gone and changed; of what is anew, only that it is."""

    def told(model: type[models.Model], row: Row) -> Row:
        fields = [field for field in model._meta.concrete_fields if field.attname in row]
        return {
            field.attname: row[field.attname]
            for field in fields
            if not is_anew(field, row[field.attname], before)
        }

    did = [f"gone: {model.__name__} {pk}" for model, pk in before.keys() - after.keys()]
    for (model, pk), row in after.items():
        old = before.get((model, pk))
        if old is None:
            did.append(f"new: {model.__name__} {told(model, row)}")
        elif changed := {name: value for name, value in row.items() if value != old[name]}:
            did.append(f"changed: {model.__name__} {pk} {sorted(changed)} {told(model, changed)}")
    return sorted(did)


def send(client: Client, form: Form, before: Rows, more: Row | None = None) -> tuple[HttpResponse, list[str]]:
    """The answer, and what it did to what was stored before, which is undone; the browser is as it was."""
    browser = Client()
    browser.cookies = deepcopy(client.cookies)
    cache.clear()
    with transaction.atomic():
        response = browser.post(form.address, form.values | (more or {}))
        did = effect(before, stored())
        transaction.set_rollback(True)
    return response, did


@pytest.fixture(autouse=True)
def at_one_moment(time_machine: Any) -> None:
    time_machine.move_to(timezone.now(), tick=False)


@pytest.fixture
def account() -> Account:
    return open_account(InvitationFactory(), UserFactory())


@pytest.fixture
def accounts(account: Account, actor: Actor) -> list[Account]:
    """One at work, and one where all has ended that can be begun again."""
    ended = open_account(InvitationFactory(), UserFactory())
    merchants.disable(merchant=ended.merchant, actor=actor)
    people.deactivate(person=ended.person, actor=actor)
    return [account, ended]


def forms_in_the_console(client: Client, person: User, accounts: list[Account]) -> Iterator[Form]:
    """Each form of each page, filled in as it should be."""
    seen: set[str] = set()
    for account in accounts:
        pages = {
            account.address(f"{row} {subject}")
            for row in offered()
            for subject in ("", "disabled")
            if "GET" in row
        }
        for form in chain.from_iterable(forms_at(client, page) for page in sorted(pages - seen)):
            if form.name in PATTERNS:
                yield replace(form, values=form.values | sent(form.name, "", account, person))
        seen |= pages


def assert_takes_what_it_shows_alone(client: Client, forms: list[Form]) -> None:
    everything = dict.fromkeys((name for form in forms for name in form.shown), "on") | model_fields()
    # A resource that the catalogue does not know is refused, and nobody's column: test_create_key.py.
    del everything["permission_denied"]
    shown = {
        form.name: frozenset().union(*(each.shown for each in forms if each.name == form.name))
        for form in forms
    }
    before = stored()
    for form, elsewhere in zip(forms, cycle(ELSEWHERE), strict=False):
        right, did = send(client, form, before)
        assert right.status_code in {200, 302}, form
        assert did or form.name in OF_NO_ROW, form
        more = {name: value for name, value in everything.items() if name not in shown[form.name]}
        response, did_more = send(client, form, before, more | {"next": elsewhere, "page": elsewhere})
        assert (response.status_code, did_more) == (right.status_code, did), form
        assert "evil" not in str(response.headers), form


def test_no_form_of_the_console_takes_more_than_it_shows(client: Client, accounts: list[Account]) -> None:
    person = UserFactory(role="administrator")
    sign_in(client, person)
    forms: dict[tuple[str, frozenset[str]], Form] = {}
    for form in forms_in_the_console(client, person, accounts):
        forms.setdefault((form.name, form.shown), form)
    posts = {row.removeprefix("POST ") for row in offered() if row.startswith("POST ")}
    assert {name for name, _ in forms} == posts - {"invitation-join", "profile-email-confirm"}

    assert_takes_what_it_shows_alone(client, list(forms.values()))


def test_no_form_around_the_sign_in_takes_more_than_it_shows(settings: Any, account: Account) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    stranger, guarded, keyed = Client(), UserFactory(), UserFactory()
    give_totp(guarded)
    passkey = Authenticator.objects.create(
        user=keyed, type="webauthn", data={"name": "Laptop", "credential": {}}
    )
    by_code, by_key, _ = (sign_in(Client(), person) for person in (guarded, keyed, guarded))
    for client, address, typed in (
        (stranger, "/accounts/login/", {"login": account.person.username, "password": PASSWORD}),
        (stranger, "/accounts/password/reset/", {"email": guarded.email}),
        (stranger, account.address("GET invitation-join"), {"username": "grace", **NEW_PASSWORD}),
        (by_code, "/accounts/reauthenticate/", {"password": PASSWORD}),
        (by_code, f"/profile/email/{token_for(guarded, 'new@example.com')}/", {}),
        (by_code, "/accounts/password/change/", {"oldpassword": PASSWORD, **NEW_PASSWORD}),
        (by_code, "/accounts/sessions/", {}),
        (by_code, "/accounts/logout/", {}),
        (by_code, "/accounts/authenticator-app/remove/", {}),
        (by_key, f"/accounts/passkeys/{passkey.pk}/rename/", {"name": "Old laptop"}),
        (by_key, f"/accounts/passkeys/{passkey.pk}/remove/", {}),
    ):
        forms = [form for form in forms_at(client, address) if form.address == address]
        form = max(forms, key=lambda form: len(form.shown))
        assert_takes_what_it_shows_alone(client, [replace(form, values=form.values | typed)])


@pytest.mark.parametrize("name", ["apikey", "merchant"])
def test_no_step_of_the_django_admin_takes_more_than_its_question_shows(
    console: Client, account: Account, name: str
) -> None:
    record = account.keys["enabled"] if name == "apikey" else account.merchant
    address = f"/admin/keys/{name}/"
    asked = page_of(console.post(address, {"action": "disable", "_selected_action": str(record.pk)}))
    [form] = [form for form in forms_of(asked, address) if "asked" in form.shown]

    assert_takes_what_it_shows_alone(console, [form])
