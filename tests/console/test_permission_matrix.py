"""Who may do what, as one table: every address and every POST × every role × own, other and no merchant account.

The addresses come from the resolver: one that is missing from the table, or stands in it and is gone, fails here.
"""

import pytest
from django.db import transaction
from django.test import Client

from keys.models import HistoryEntry, User
from tests.console.page import parse
from tests.console.surface import ROLES, Account, offered, offers, open_account, person_as, sent
from tests.factories import InvitationFactory, UserFactory
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

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
    "POST person-email": "             --+ --- --- -",
    "POST person-deactivate": "        --+ --- --- -",
    "POST person-reactivate": "        --+ --- --- -",
    # To whom the link is, is tested in test_joining.py; here it is for nobody of these.
    "GET invitation-join": "           xxx xxx xxx x",
    "POST invitation-join": "          xxx xxx xxx x",
    "GET profile": "                   +++ +++ +++ +",
    "POST profile": "                  +++ +++ +++ +",
    "GET profile-email": "             +++ +++ +++ +",
    # Where mail is sent everybody may: test_email_address.py. There it is also told to whom a link belongs.
    "POST profile-email": "            xx+ xxx xxx x",
    "GET profile-email-confirm": "     --- --- --- -",
    "POST profile-email-confirm": "    --- --- --- -",
    "GET components": "                x++ xxx xxx x",
}
# What a stranger may open; everything else leads to the sign-in.
OPEN = {"GET home", "GET invitation-join", "POST invitation-join"}


@pytest.fixture
def account() -> Account:
    return open_account(InvitationFactory(), UserFactory(is_active=True))


def ask(client: Client, row: str, account: Account, person: User) -> int:
    """The status of one row's request; what it did is undone."""
    method, name, subject = [*row.split(), ""][:3]
    address = account.address(row)
    headers = {"HX-Request": "true"} if subject == "part" else {}
    if subject == "json":
        headers["Accept"] = "application/json"
    data = sent(name, subject, account, person) if method == "POST" else None
    with transaction.atomic():
        before = HistoryEntry.objects.count()
        response = (
            client.generic(method, address, headers=headers)
            if data is None
            else client.post(address, data, headers=headers)
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
        if row not in OPEN:
            response = client.generic(row.split()[0], account.address(row))
            assert response["Location"].startswith("/accounts/login/?next="), row
        elif "invitation-join" in row:
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
    found: dict[tuple[str, str], str] = {}
    for row in LOOKED_AT:
        here = account.address(row)
        response = client.get(here)
        if response.status_code == 200 and not response.streaming:
            for method, address, _ in offers(parse(response.content.decode()), here):
                found.setdefault((method, address), here)
    assert len(found) >= 3

    for (method, address), page in found.items():
        with transaction.atomic():
            response = getattr(client, method)(address)
            assert response.status_code not in {403, 404, 405}, (page, method, address)
            transaction.set_rollback(True)


def test_every_address_and_every_post_stands_in_the_table() -> None:
    assert offered() == {" ".join(row.split()[:2]) for row in TABLE}
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
