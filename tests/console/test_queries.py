"""How many queries a page takes: a fixed number, whatever the number of its rows.

One for the session and one for the person stand in each count. The numbers are exact: a page that takes one
more, or one less, says so here.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys import lifecycle, merchants
from keys.gateway.ingest import ingest
from keys.history import Actor
from keys.models import ApiKey, Change, Merchant
from tests.console.page import page_of, rows_of
from tests.factories import (
    AcknowledgementFactory,
    ApiKeyFactory,
    InvitationFactory,
    MerchantFactory,
    RecordFactory,
    UserFactory,
    VerifierFactory,
)

pytestmark = pytest.mark.django_db

SESSION_AND_PERSON = 2
MANY = 30


def queries(console: Client, address: str, **headers: str) -> tuple[int, list[str]]:
    """The queries of one page, and what they were."""
    with CaptureQueriesContext(connection) as captured:
        response = console.get(address, headers=headers)
    assert response.status_code == 200, response.status_code
    return len(captured), [query["sql"][:160] for query in captured]


@pytest.fixture
def grow(api_key: ApiKey, actor: Actor) -> Callable[[], None]:
    """Starts with one row of everything, with traffic; `grow()` makes it thirty."""
    merchant = api_key.merchant
    record(merchant, [api_key])

    def grow() -> None:
        keys = [
            ApiKeyFactory(merchant=merchant, actor=actor, duplicated_from=api_key, description="x")
            for _ in range(MANY - 1)
        ]
        record(merchant, keys + [api_key] * 10)
        for number in range(MANY - 1):
            MerchantFactory(actor=actor, disabled=number % 2 == 0)
        revision = api_key.revision
        for number in range(MANY):
            lifecycle.update(
                key=api_key,
                name=api_key.name,
                description=f"{number}",
                revision=revision + number,
                actor=actor,
            )
            merchants.update(
                merchant=merchant,
                name=merchant.name,
                website=f"a{number}.example",
                revision=1 + number,
                actor=actor,
            )

    return grow


def record(merchant: Merchant, keys: list[ApiKey]) -> None:
    now = timezone.now()
    ingest([
        RecordFactory(key=key, at=now - timedelta(hours=hours), status=status)
        for key in keys for hours, status in ((0, 200), (3, 500), (23, 404))
    ])  # fmt: skip


# What each page asks beyond session and person.
LISTS = {
    "/merchants/": 4,  # rows, usage, enabled keys, count
    "/merchants/?status=enabled": 4,
    "/merchants/?q=m": 4,  # words, rows, usage, enabled keys
    "/merchants/?q=merchant+m&status=enabled": 7,  # how rare each word is, words, rows, usage, enabled keys, count
    "{merchant}developers/": 6,  # account, rows, usage, count, keys by status, losses
    "{merchant}developers/?q=key&mode=live&sort=name": 6,
    "{merchant}requests/": 4,  # account, rows with their keys, count, keys by status
    "{merchant}requests/?result=failed&path=/v1": 4,
    "{merchant}requests/?key={key_id}": 5,  # and the key's name for the pill
}
PAGES = {
    "{merchant}": 5,  # account, keys by status, usage, losses, events
    # Key with account, origin and creator; usage; last hour; losses; events, its creation, its latest change.
    "{key}": 7,
    "{key}revoke/": 2,  # key, usage
    "{key}duplicate/": 2,  # key with its account, names taken
    "{merchant}developers/new/": 1,
    "/merchants/new/": 0,
    "/profile/": 1,
    "/components/": 0,
}
FRAGMENTS = {
    "/merchants/": 4,
    "{merchant}developers/": 4,  # all but the header's, and the losses
    "{merchant}requests/": 3,
}


def addresses(api_key: ApiKey, table: dict[str, int]) -> dict[str, int]:
    subjects = {
        "merchant": api_key.merchant.get_absolute_url(),
        "key": api_key.get_absolute_url(),
        "key_id": api_key.public_id,
    }
    return {address.format(**subjects): number + SESSION_AND_PERSON for address, number in table.items()}


def test_every_page_takes_a_fixed_number_of_queries(
    console: Client, api_key: ApiKey, grow: Callable[[], None]
) -> None:
    expected = addresses(api_key, LISTS | PAGES)
    few = {address: queries(console, address) for address in expected}
    grow()
    many = {address: queries(console, address) for address in expected}

    for address, number in expected.items():
        assert few[address][0] == number, (address, few[address][1])
        assert many[address][0] == number, (address, many[address][1])
    for address, number in addresses(api_key, LISTS).items():
        page = page_of(console.get(address))
        assert len(rows_of(page)) >= 15, address
        for onward in page.all("a", rel="next"):
            counted, asked = queries(console, address.partition("?")[0] + onward["href"])
            assert counted == number, ("the next page", address, asked)
    for address, number in addresses(api_key, FRAGMENTS).items():
        counted, asked = queries(console, address, **{"HX-Request": "true"})
        assert counted == number, ("as a part", address, asked)


# Beyond the above: the change, its verifiers; the minute and the request that was accepted last in it.
REFUSED = 4


def test_a_proof_takes_a_fixed_number_of_queries(
    console: Client, api_key: ApiKey, actor: Actor, grow: Callable[[], None]
) -> None:
    merchants.disable(merchant=api_key.merchant, actor=actor)
    change = Change.objects.get(subject_id=api_key.merchant_id)
    expected = {
        api_key.merchant.get_absolute_url(): (PAGES["{merchant}"] + REFUSED, 1 + REFUSED),
        api_key.get_absolute_url(): (PAGES["{key}"] + REFUSED, 1 + REFUSED),
    }
    for many in (False, True):
        if many:
            grow()
            for number in range(MANY):
                verifier = VerifierFactory()
                if number % 2:
                    AcknowledgementFactory(change=change, verifier=verifier)
        for address, (whole, part) in expected.items():
            counted, asked = queries(console, address)
            assert counted == whole + SESSION_AND_PERSON, asked
            counted, asked = queries(console, address, **{"HX-Request": "true"})
            assert counted == part + SESSION_AND_PERSON, asked

    # Where the key is disabled too, that is a change of its own.
    lifecycle.disable(key=api_key, actor=actor)
    counted, asked = queries(console, api_key.get_absolute_url())
    assert counted == PAGES["{key}"] + REFUSED + 1 + SESSION_AND_PERSON, asked


ADMIN = {
    "/admin/keys/merchant/": 1,
    "/admin/keys/apikey/": 2,  # and their accounts
    "/admin/keys/apikey/?status=enabled&mode=live": 3,  # and how far to look
    "/admin/keys/requestlog/": 3,  # and their keys and accounts
    "/admin/keys/historyentry/?action=key.created": 4,
    "/admin/keys/user/": 2,  # and their roles
}


def test_the_lists_of_the_django_admin_take_a_fixed_number_of_queries(
    console: Client, grow: Callable[[], None]
) -> None:
    few = {address: queries(console, address) for address in ADMIN}
    grow()
    many = {address: queries(console, address) for address in ADMIN}

    for address, number in ADMIN.items():
        assert few[address][0] == number + SESSION_AND_PERSON, (address, few[address][1])
        assert many[address][0] == number + SESSION_AND_PERSON, (address, many[address][1])


def test_no_page_writes(console: Client, api_key: ApiKey, grow: Callable[[], None]) -> None:
    for address in addresses(api_key, LISTS | PAGES):
        _, asked = queries(console, address)
        assert not [sql for sql in asked if not sql.lstrip("( \n").upper().startswith("SELECT")], address


def test_somebody_of_a_team_waits_for_four_more_queries(
    client: Client, api_key: ApiKey, grow: Callable[[], None]
) -> None:
    """Django's two of permissions, the teams, and the name of the only account: however many rows there are."""
    client.force_login(UserFactory(team=(api_key.merchant, "developer")))
    grow()
    for address, number in addresses(api_key, {name: (LISTS | PAGES)[name] for name in OF_A_TEAM}).items():
        asked, told = queries(client, address)
        assert asked == number + 4, (address, told)


OF_A_TEAM = ("{merchant}", "{merchant}developers/", "{merchant}requests/", "{key}", "{key}duplicate/")


def test_the_team_and_the_people_take_a_fixed_number(console: Client, merchant: Merchant) -> None:
    counts = []
    for _ in range(2):
        for _ in range(10):
            UserFactory(team=(merchant, "viewer"), role="viewer")
            InvitationFactory(merchant=merchant)
            InvitationFactory()
        team = queries(console, f"{merchant.get_absolute_url()}team/")[0]
        counts.append(
            (team, queries(console, "/people/")[0], queries(console, "/people/?role=viewer&q=p")[0])
        )
    assert counts[0] == counts[1]
