"""The whole surface of the console, for the tests that go over all of it.

`PATTERNS` are the console's addresses, from the resolver. An Account has one of everything that an address can name,
and `sent` is a form in order for each POST. A row such as `POST apikey-duplicate strong` names a request: method,
address and, where that makes a difference, what it is about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.converters import StringConverter

from keys import converters
from keys.console.forms import new_submission
from keys.models import ApiKey, Invitation, Membership, Merchant, User
from tests.console.page import Element
from tests.factories import ApiKeyFactory, InvitationFactory, MerchantFactory, UserFactory, use

# Platform roles, then team roles at their own account, then the same at another account, then somebody with no role.
ROLES = "viewer operator administrator t-viewer developer owner o-viewer o-developer o-owner nobody".split()


def patterns(resolver: URLResolver, route: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in resolver.url_patterns:
        here = route + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield here, pattern
        else:
            yield from patterns(pattern, here)


# The Django admin and the pages around the sign-in are told about in test_every_url.py.
ELSEWHERE = ("admin/", "accounts/")
PATTERNS = {
    pattern.name: pattern for route, pattern in patterns(get_resolver()) if not route.startswith(ELSEWHERE)
}


def offered() -> set[str]:
    """The rows of all that the console's views answer, without what each is about."""
    views = {name: pattern.callback.view_class for name, pattern in PATTERNS.items()}
    return {
        f"{method.upper()} {name}"
        for name, view in views.items()
        for method in ("get", "post")
        if hasattr(view, method) and method in view.http_method_names and (name, method) != ("home", "post")
    }


def kinds(name: str) -> list[type]:
    """The kinds of things that an address names, in its order."""
    return [type(converter) for converter in PATTERNS[name].pattern.converters.values()]


@dataclass(frozen=True)
class Account:
    """A merchant account with one of everything that an address can name."""

    merchant: Merchant
    keys: dict[str, ApiKey]
    request: UUID
    member: Membership
    invitation: Invitation
    to_all: Invitation
    person: User

    def address(self, row: str) -> str:
        """Where the request of this row goes."""
        _, name, subject = [*row.split(), ""][:3]
        named = self.named(subject)
        return reverse(name, args=[named[kind] for kind in kinds(name)])

    def named(self, subject: str = "") -> dict[type, object]:
        """What stands for each kind of thing that an address can name."""
        return {
            converters.MerchantIdConverter: self.merchant.pk,
            converters.ApiKeyIdConverter: self.keys.get(subject, self.keys["enabled"]).pk,
            converters.RequestIdConverter: self.request,
            converters.MemberIdConverter: self.member.pk,
            converters.InvitationIdConverter: (self.to_all if subject == "all" else self.invitation).pk,
            converters.PersonConverter: self.person.pk,
            StringConverter: self.invitation.token,
        }


def open_account(to_all: Invitation, person: User) -> Account:
    merchant = MerchantFactory()
    keys = {
        "enabled": ApiKeyFactory(merchant=merchant, permissions={"payments": "write"}),
        "disabled": ApiKeyFactory(merchant=merchant, disabled=True),
        "strong": ApiKeyFactory(merchant=merchant, permissions={"payouts": "write"}),
    }
    [record] = use(keys["enabled"], succeeded=1)
    colleague = UserFactory(team=(merchant, "viewer"))
    invitation = InvitationFactory(merchant=merchant)
    member = colleague.memberships.get()
    return Account(merchant, keys, record.id, member, invitation, to_all, person)


def person_as(role: str, account: Account) -> User:
    if role in {"viewer", "operator", "administrator"}:
        return UserFactory(role=role)
    if role == "nobody":
        return UserFactory()
    merchant = MerchantFactory() if role.startswith("o-") else account.merchant
    return UserFactory(team=(merchant, role.removeprefix("t-").removeprefix("o-")))


NEW_KEY = {"name": "New", "mode": "live", "permission_payments": "write"}
STRONG = {"permission_payouts": "write"}


def sent(name: str, subject: str, account: Account, person: User) -> dict[str, str]:
    """A form that is in order, so that whoever may take the step takes it."""
    forms = {
        "merchant-create": {"name": "New account"},
        "merchant-detail": {"name": "Another name", "revision": "1"},
        "apikey-create": NEW_KEY | (STRONG if "strong" in subject else {}),
        "apikey-duplicate": NEW_KEY | (STRONG if "strong" in subject else {}),
        "apikey-detail": {"name": "Another name", "revision": "1"},
        "apikey-revoke": {"confirm": account.keys["disabled"].name},
        "team-invite": {"email": "new@example.com", "role": "viewer"},
        "member-role": {"role": "owner"},
        "person-invite": {"email": "new@example.com", "role": "viewer"},
        "person-role": {"role": "operator"},
        "person-email": {"email": "new@example.com"},
        "profile-email": {"email": "new@example.com"},
        "profile": {"theme": "dark"},
    }
    form = forms.get(name, {})
    if subject == "strong-test":
        form = form | {"mode": "test"}
    return form | ({"submission": new_submission(person)} if name.startswith("apikey-") else {})


def offers(page: Element, here: str) -> Iterator[tuple[str, str, Element | None]]:
    """Where the links and the buttons of a page lead within the console, without their queries, and by which form."""
    found: list[tuple[str, str, Element | None]] = [
        ("get", link["href"], None) for link in page.all("a", href=True)
    ]
    for button in page.all("button"):
        if button.get("type") != "button" and (form := button.form).get("method") != "dialog":
            address = button.get("formaction") or form.get("action") or here
            found.append(((form.get("method") or "get").lower(), address, form))
    for method, address, form in found:
        if not address.startswith(("#", "/accounts/", "/admin/")):
            yield method, address.partition("?")[0] or here, form
