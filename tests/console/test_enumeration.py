"""Ids tell nobody anything: what is somebody else's is answered octet for octet as what does not exist.

Of each address that names something: as page, as part and as JSON, by GET and by POST, and with as many queries. The
addresses come from the resolver.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.http import int_to_base36
from django_filters import CharFilter

from keys import teams
from keys.converters import (
    ApiKeyIdConverter,
    InvitationIdConverter,
    MemberIdConverter,
    MerchantIdConverter,
    PersonConverter,
    RequestIdConverter,
)
from keys.identifiers import API_KEY, MERCHANT, encode, new_id
from keys.models.access import TeamRole
from tests.console.surface import PATTERNS, Account, kinds, offered, open_account, sent
from tests.factories import InvitationFactory, MerchantFactory, UserFactory
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

IDS = (ApiKeyIdConverter, InvitationIdConverter, MemberIdConverter, MerchantIdConverter, RequestIdConverter)
NOBODYS_NUMBER = 987_654_321
# To the others but one door is shown.
HEADERS = defaultdict(lambda: [{}], owner=[{}, {"HX-Request": "true"}, {"Accept": "application/json"}])
# A row, without what a letter leads to: nobody comes to another's by counting, and test_joining.py and
# test_email_address.py have the rest.
BY_LETTER = ("invitation-join", "profile-email-confirm")
ROWS = sorted(row for row in offered() if kinds(row.split()[1]) and not row.endswith(BY_LETTER))
# What is nothing to others of the platform, who see every account.
OF_PEOPLE = {PersonConverter, InvitationIdConverter}

Named = dict[type, object]


@pytest.fixture
def theirs() -> Account:
    return open_account(InvitationFactory(), UserFactory())


def nobodys() -> Named:
    return {kind: new_id() for kind in IDS} | {PersonConverter: NOBODYS_NUMBER}


def pairs(name: str, own: Named, theirs: Named) -> Iterator[tuple[str, str]]:
    """Somebody else's address and nobody's, for each choice of the ids that are not the person's own."""
    other = nobodys()
    for foreign in product((True, False), repeat=len(kinds(name))):
        mixed = list(zip(kinds(name), foreign, strict=True))
        if any(foreign) and all(kind in own for kind, is_foreign in mixed if not is_foreign):
            one, two = (
                [(each if is_foreign else own)[kind] for kind, is_foreign in mixed]
                for each in (theirs, other)
            )
            yield reverse(name, args=one), reverse(name, args=two)


def told(client: Client, method: str, address: str, **sent: Any) -> tuple[int, int, str]:
    """The status, the number of queries, and all else that an answer says but the id that was asked about."""
    with CaptureQueriesContext(connection) as queries:
        response = getattr(client, method.lower())(address, **sent)
        body = b"".join(response) if response.streaming else response.content
    headers = [f"{name}: {value}" for name, value in response.headers.items() if name != "X-Request-Id"]
    text = "\n".join([*sorted(headers), response.cookies.output(), body.decode()])
    for asked in (address, *re.findall("/[0-9]+/|[a-z]{3}_[0-9a-z]{26}", address)):
        text = text.replace(asked, "ASKED")
    return response.status_code, len(queries), re.sub('csrfmiddlewaretoken" value="[^"]*"', "", text)


def assert_told_alike(client: Client, method: str, one: str, other: str, **sent: Any) -> int:
    """Returns the status of both answers."""
    answer = told(client, method, one, **sent)
    assert answer == told(client, method, other, **sent), (method, one, other)
    return answer[0]


@pytest.fixture(autouse=True)
def at_one_moment(time_machine: Any) -> None:
    """Headers tell the time."""
    time_machine.move_to(timezone.now(), tick=False)


@pytest.mark.parametrize("role", ["nobody", "owner", "operator", "stranger"])
def test_what_is_somebody_elses_is_answered_as_what_does_not_exist(
    client: Client, theirs: Account, role: str
) -> None:
    account = open_account(InvitationFactory(), UserFactory())
    team = (account.merchant, "owner") if role == "owner" else None
    person = UserFactory(role="operator" if role == "operator" else None, team=team)
    if role != "stranger":
        sign_in(client, person)
    own = {kind: named for kind, named in account.named().items() if team and kind not in OF_PEOPLE}
    answers = [
        assert_told_alike(client, method, one, other, headers=headers, **more)
        for method, name in map(str.split, ROWS)
        if role != "operator" or OF_PEOPLE & {*kinds(name)}
        for more in [{"data": sent(name, "", theirs, person)} if method == "POST" else {}]
        for subject in (("", "all") if InvitationIdConverter in kinds(name) else ("",))
        for one, other in pairs(name, own, theirs.named(subject))
        for headers in HEADERS[role]
    ]
    assert len(answers) > 7
    assert {*answers} == {302 if role == "stranger" else 404}


def searched() -> Iterator[tuple[str, str]]:
    """Each list with each of its filters that takes a text, and what is made of one list alone."""
    yield "request-export", "key"
    for row in sorted(offered()):
        method, name = row.split()
        filterset = getattr(PATTERNS[name].callback.view_class, "filterset_class", None)
        for field, each in filterset.base_filters.items() if filterset and method == "GET" else ():
            if type(each) is CharFilter:
                yield name, field


def test_an_id_in_a_query_tells_nobody_what_it_is_of(client: Client, theirs: Account) -> None:
    own = open_account(InvitationFactory(), UserFactory())
    person = UserFactory(team=(own.merchant, "owner"))
    # Who has one account alone is shown no list of accounts.
    teams.add(user=person, merchant=MerchantFactory(), role=TeamRole.VIEWER)
    sign_in(client, person)
    key, merchant = theirs.keys["enabled"].public_id, theirs.merchant.public_id
    tried = set()
    for name, field in searched():
        address = own.address(f"GET {name}")
        for one, other in ((key, encode(API_KEY, new_id())), (merchant, encode(MERCHANT, new_id()))):
            status = assert_told_alike(
                client, "GET", f"{address}?{field}={one}", f"{address}?{field}={other}"
            )
            tried.add((name, field, status))
    assert tried >= {
        ("merchant-list", "q", 200),
        ("request-list", "key", 200),
        ("request-export", "key", 200),
    }


def test_numbers_around_the_sign_in_tell_nobody_who_is_there(console: Client, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    person = UserFactory()
    passkey = Authenticator.objects.create(
        user=person, type="webauthn", data={"name": "Theirs", "credential": {}}
    )
    for address, one, other, status in (
        ("/accounts/passkeys/{}/rename/", passkey.pk, NOBODYS_NUMBER, 404),
        ("/accounts/passkeys/{}/remove/", passkey.pk, NOBODYS_NUMBER, 404),
        ("/accounts/password/reset/{}-x/", int_to_base36(person.pk), int_to_base36(NOBODYS_NUMBER), 200),
    ):
        for method in ("GET", "POST"):
            assert assert_told_alike(console, method, address.format(one), address.format(other)) == status
