"""Who may do what, as one table: every address and every POST × every role × own, other and no merchant account.

The addresses come from the resolver: one that is missing from the table, or stands in it and is gone, fails here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from keys import converters
from keys.console.forms import new_submission
from keys.models import ApiKey, HistoryEntry, Invitation, Membership, Merchant, User
from tests.console.page import Element, parse
from tests.factories import ApiKeyFactory, InvitationFactory, MerchantFactory, UserFactory, use
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

# Platform roles, then team roles at their own account, then the same at another account, then somebody with no role.
ROLES = (
    "viewer operator administrator · t-viewer developer owner · o-viewer o-developer o-owner · nobody".split()
)
ROLES = [role for role in ROLES if role != "·"]
# Each letter of a row is the answer to one of ROLES.
MEANING = {"+": {200, 302}, "x": {403}, "-": {404}}
TABLE = {
    #                                  VOA vdo other none
    "GET home": "                      +++ +++ +++ +",
    "GET merchant-list": "             +++ +++ +++ +",
    "GET merchant-list part": "        +++ +++ +++ +",
    "GET merchant-create": "           xx+ xxx xxx x",
    "POST merchant-create": "          xx+ xxx xxx x",
    "GET merchant-detail": "           +++ +++ --- -",
    "GET merchant-detail part": "      +++ +++ --- -",
    "POST merchant-detail": "          xx+ xxx --- -",
    "POST merchant-disable": "         xx+ xxx --- -",
    "POST merchant-enable": "          xx+ xxx --- -",
    "GET developers": "                +++ +++ --- -",
    "GET developers part": "           +++ +++ --- -",
    "GET apikey-create": "             x++ x++ --- -",
    "POST apikey-create": "            x++ x++ --- -",
    "POST apikey-create strong": "     x++ xx+ --- -",
    "POST apikey-create strong-test": "x++ x++ --- -",
    "GET request-list": "              +++ +++ --- -",
    "GET request-list part": "         +++ +++ --- -",
    "GET request-detail": "            +++ +++ --- -",
    "GET apikey-detail": "             +++ +++ --- -",
    "GET apikey-detail part": "        +++ +++ --- -",
    "POST apikey-detail": "            x++ x++ --- -",
    "GET apikey-duplicate": "          x++ x++ --- -",
    "GET apikey-duplicate strong": "   x++ xx+ --- -",
    "POST apikey-duplicate": "         x++ x++ --- -",
    "POST apikey-duplicate strong": "  x++ xx+ --- -",
    "POST apikey-duplicate stronger": "x++ xx+ --- -",
    "POST apikey-disable": "           x++ x++ --- -",
    "POST apikey-disable part": "      x++ x++ --- -",
    "POST apikey-enable disabled": "   x++ x++ --- -",
    "GET apikey-revoke disabled": "    xx+ xx+ --- -",
    "POST apikey-revoke disabled": "   xx+ xx+ --- -",
    "POST apikey-copy": "              x++ x++ --- -",
    "POST apikey-copy json": "         x++ x++ --- -",
    "POST apikey-copy strong": "       x++ xx+ --- -",
    "GET request-export": "            +++ +++ --- -",
    "GET merchant-history": "          +++ +++ --- -",
    "GET merchant-history part": "     +++ +++ --- -",
    "GET merchant-history-export": "   +++ +++ --- -",
    "GET apikey-history": "            +++ +++ --- -",
    "GET apikey-history part": "       +++ +++ --- -",
    "GET apikey-history-export": "     +++ +++ --- -",
    "GET platform-history": "          --+ --- --- -",
    "GET platform-history part": "     --+ --- --- -",
    "GET platform-history-export": "   --+ --- --- -",
    "GET team": "                      +++ +++ --- -",
    "GET team-invite": "               xx+ xx+ --- -",
    "POST team-invite": "              xx+ xx+ --- -",
    "POST member-role": "              xx+ xx+ --- -",
    "GET member-remove": "             xx+ xx+ --- -",
    "POST member-remove": "            xx+ xx+ --- -",
    "POST invitation-resend": "        --+ --+ --- -",
    "POST invitation-withdraw": "      --+ --+ --- -",
    "POST invitation-resend all": "    --+ --- --- -",
    "POST invitation-withdraw all": "  --+ --- --- -",
    "GET people": "                    --+ --- --- -",
    "GET people part": "               --+ --- --- -",
    "GET person-invite": "             --+ --- --- -",
    "POST person-invite": "            --+ --- --- -",
    "GET person-detail": "             --+ --- --- -",
    "POST person-role": "              --+ --- --- -",
    "POST person-deactivate": "        --+ --- --- -",
    "POST person-reactivate": "        --+ --- --- -",
    # To whom the link is, is tested in test_joining.py; here it is for nobody of these.
    "GET invitation-join": "           xxx xxx xxx x",
    "POST invitation-join": "          xxx xxx xxx x",
    "GET profile": "                   +++ +++ +++ +",
    "POST profile": "                  +++ +++ +++ +",
    "GET components": "                x++ xxx xxx x",
}
# What a stranger may open; everything else leads to the sign-in.
OPEN = {"GET home", "GET invitation-join", "POST invitation-join"}


@dataclass
class Account:
    """A merchant account with one of everything that an address can name."""

    merchant: Merchant
    keys: dict[str, ApiKey]
    request: UUID
    member: Membership
    invitation: Invitation
    to_all: Invitation
    person: User

    def argument(self, converter: object, subject: str) -> object:
        named = {
            converters.MerchantIdConverter: self.merchant.pk,
            converters.ApiKeyIdConverter: self.keys.get(subject, self.keys["enabled"]).pk,
            converters.RequestIdConverter: self.request,
            converters.MemberIdConverter: self.member.pk,
            converters.InvitationIdConverter: (self.to_all if subject == "all" else self.invitation).pk,
            converters.PersonConverter: self.person.pk,
        }
        return named.get(type(converter), self.invitation.token)


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


@pytest.fixture
def account() -> Account:
    return open_account(InvitationFactory(), UserFactory(is_active=True))


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
        "profile": {"theme": "dark"},
    }
    form = forms.get(name, {})
    if subject == "strong-test":
        form = form | {"mode": "test"}
    return form | ({"submission": new_submission(person)} if name.startswith("apikey-") else {})


def ask(client: Client, row: str, account: Account, person: User) -> int:
    """The status of one row's request; what it did is undone."""
    method, name, subject = [*row.split(), ""][:3]
    arguments = [
        account.argument(converter, subject) for converter in PATTERNS[name].pattern.converters.values()
    ]
    headers = {"HX-Request": "true"} if subject == "part" else {}
    if subject == "json":
        headers["Accept"] = "application/json"
    data = sent(name, subject, account, person) if method == "POST" else None
    with transaction.atomic():
        before = HistoryEntry.objects.count()
        response = (
            client.generic(method, reverse(name, args=arguments), headers=headers)
            if data is None
            else (client.post(reverse(name, args=arguments), data, headers=headers))
        )
        if response.status_code in {403, 404}:
            assert HistoryEntry.objects.count() == before, row
        transaction.set_rollback(True)
    return response.status_code


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_the_table_says(client: Client, account: Account, role: str) -> None:
    person = person_as(role, account)
    sign_in(client, person)
    column = ROLES.index(role)
    answers = {row: ask(client, row, account, person) for row in TABLE}

    expected = {row: MEANING[letters.replace(" ", "")[column]] for row, letters in TABLE.items()}
    assert {row: status for row, status in answers.items() if status not in expected[row]} == {}


def test_a_superuser_is_an_administrator(client: Client, account: Account, operator: User) -> None:
    sign_in(client, operator)
    column = ROLES.index("administrator")

    for row, letters in TABLE.items():
        assert ask(client, row, account, operator) in MEANING[letters.replace(" ", "")[column]], row


def test_a_stranger_signs_in_first(client: Client, account: Account) -> None:
    stranger = UserFactory.build(id=1)
    for row in TABLE:
        method, name, subject = [*row.split(), ""][:3]
        arguments = [account.argument(each, subject) for each in PATTERNS[name].pattern.converters.values()]
        if row not in OPEN:
            response = client.generic(method, reverse(name, args=arguments))
            assert response["Location"].startswith("/accounts/login/?next="), row
        elif name == "invitation-join":
            assert ask(client, row, account, stranger) in {200, 422}, row


# What is on the page of components is made up, and the pages of a link are for others than these.
LOOKED_AT = [
    row
    for row in TABLE
    if row.startswith("GET ") and not row.endswith((" part", "components", "invitation-join"))
]


@pytest.mark.parametrize("role", ["viewer", "operator", "t-viewer", "developer"])
def test_every_link_and_button_on_a_page_leads_somewhere(client: Client, account: Account, role: str) -> None:
    """What somebody may not do is absent: nothing that is offered is refused."""
    person = person_as(role, account)
    sign_in(client, person)
    offered: dict[tuple[str, str], str] = {}
    for row in LOOKED_AT:
        name, subject = [*row.split()[1:], ""][:2]
        arguments = [account.argument(each, subject) for each in PATTERNS[name].pattern.converters.values()]
        response = client.get(reverse(name, args=arguments))
        if response.status_code == 200 and not response.streaming:
            here = response.request["PATH_INFO"]
            for method, address in offers(parse(response.content.decode()), here):
                offered.setdefault((method, address), here)
    assert len(offered) >= 3

    for (method, address), page in offered.items():
        with transaction.atomic():
            response = getattr(client, method)(address)
            assert response.status_code not in {403, 404, 405}, (page, method, address)
            transaction.set_rollback(True)


def offers(page: Element, here: str) -> Iterator[tuple[str, str]]:
    """Where the links and the buttons of a page lead within the console, without their queries."""
    found = [("get", link["href"]) for link in page.all("a", href=True)]
    for button in page.all("button"):
        if button.get("type") != "button" and (form := button.form).get("method") != "dialog":
            address = button.get("formaction") or form.get("action") or here
            found.append(((form.get("method") or "get").lower(), address))
    for method, address in found:
        if not address.startswith(("#", "/accounts/", "/admin/")):
            yield method, address.partition("?")[0] or here


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


def test_every_address_and_every_post_stands_in_the_table() -> None:
    views = {name: pattern.callback.view_class for name, pattern in PATTERNS.items()}
    offered = {
        f"{method.upper()} {name}"
        for name, view in views.items()
        for method in ("get", "post")
        if hasattr(view, method) and method in view.http_method_names and (name, method) != ("home", "post")
    }
    assert offered == {" ".join(row.split()[:2]) for row in TABLE}
    assert all(len(letters.replace(" ", "")) == len(ROLES) for letters in TABLE.values())


@pytest.mark.parametrize("role", ROLES)
def test_the_django_admin_is_for_those_whose_role_it_is(client: Client, account: Account, role: str) -> None:
    sign_in(client, person_as(role, account))
    opens = role in {"operator", "administrator"}

    assert client.get("/admin/").status_code == (200 if opens else 302)
    for model in ("merchant", "apikey", "requestlog", "historyentry"):
        assert client.get(f"/admin/keys/{model}/").status_code == (200 if opens else 302), model
    people = {"operator": 403, "administrator": 200}.get(role, 302)
    assert client.get("/admin/keys/user/").status_code == people
