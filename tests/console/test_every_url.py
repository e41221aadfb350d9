"""Every address: who gets in, which methods it takes, and what it makes of ids that are not its own.

The addresses come from the resolver itself. One that is not told about in the tables below fails the test.
"""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from keys.console import email_change
from keys.identifiers import API_KEY, HISTORY, INVITATION, MEMBERSHIP, MERCHANT, REQUEST, encode, new_id
from keys.models import ApiKey, HistoryEntry, Membership, RequestLog, User
from tests.console.page import page_of
from tests.console.test_headers import assert_told_well
from tests.factories import InvitationFactory, MerchantFactory, UserFactory, use
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")
PAGE = {"GET"}
FORM = {"GET", "POST"}
ACTION = {"POST"}

# Route, as the resolver writes it: which methods it takes.
CONSOLE = {
    "": FORM | {"PUT", "PATCH", "DELETE"},  # it only sends elsewhere
    "merchants/": PAGE,
    "merchants/new/": FORM,
    "merchants/<merchant_id:pk>/": FORM,
    "merchants/<merchant_id:pk>/disable/": ACTION,
    "merchants/<merchant_id:pk>/enable/": ACTION,
    "merchants/<merchant_id:pk>/developers/": PAGE,
    "merchants/<merchant_id:pk>/developers/new/": FORM,
    "merchants/<merchant_id:pk>/requests/": PAGE,
    "merchants/<merchant_id:pk>/requests/export/": PAGE,
    "merchants/<merchant_id:pk>/history/": PAGE,
    "merchants/<merchant_id:pk>/history/export/": PAGE,
    "keys/<key_id:pk>/history/": PAGE,
    "keys/<key_id:pk>/history/export/": PAGE,
    "history/": PAGE,
    "history/export/": PAGE,
    "merchants/<merchant_id:pk>/team/": PAGE,
    "merchants/<merchant_id:pk>/team/invite/": FORM,
    "merchants/<merchant_id:pk>/team/<member_id:member>/role/": ACTION,
    "merchants/<merchant_id:pk>/team/<member_id:member>/remove/": FORM,
    "people/": PAGE,
    "people/invite/": FORM,
    "people/<person:pk>/": PAGE,
    "people/<person:pk>/role/": ACTION,
    "people/<person:pk>/email/": ACTION,
    "people/<person:pk>/deactivate/": ACTION,
    "people/<person:pk>/reactivate/": ACTION,
    "invitations/<invitation_id:pk>/resend/": ACTION,
    "invitations/<invitation_id:pk>/withdraw/": ACTION,
    "keys/<key_id:pk>/": FORM,
    "keys/<key_id:pk>/duplicate/": FORM,
    "keys/<key_id:pk>/disable/": ACTION,
    "keys/<key_id:pk>/enable/": ACTION,
    "keys/<key_id:pk>/revoke/": FORM,
    "keys/<key_id:pk>/copy/": ACTION,
    "requests/<request_id:pk>/": PAGE,
    "profile/": FORM,
    "profile/email/": FORM,
    "profile/email/<str:token>/": FORM,
    "components/": PAGE,
}
# Open to whoever has the link: test_joining.py.
JOIN = {"join/<str:token>/"}
# Open to everybody; anonymous people are answered with this status.
SIGN_IN = {
    "accounts/login/": 200,
    "accounts/inactive/": 200,
    "accounts/signup/": 200,
    "accounts/logout/": 302,
    "accounts/reauthenticate/": 302,
    "accounts/password/change/": 302,
    "accounts/password/set/": 302,
    "accounts/reauthenticate/done/": 200,
    "accounts/second-factor/required/": 302,
    "accounts/sso/<slug:provider_id>/": 404,
    "accounts/sso/<slug:provider_id>/callback/": 404,
    "accounts/sso-failed/": 401,
    "accounts/password/reset/": 404,
    "accounts/password/reset/sent/": 404,
    "accounts/password/reset/done/": 404,
    "accounts/^password/reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$": 404,
    "accounts/sessions/": 302,
    "accounts/second-factor/": 302,
    "accounts/passkeys/login/": 302,
    "accounts/passkeys/new/": 302,
    "accounts/passkeys/<int:pk>/rename/": 302,
    "accounts/passkeys/<int:pk>/remove/": 302,
    "accounts/authenticator-app/": 302,
    "accounts/authenticator-app/remove/": 302,
    "accounts/recovery-codes/": 302,
    "accounts/recovery-codes/new/": 302,
    "accounts/recovery-codes/download/": 302,
    "accounts/security/": 302,
    "accounts/passkeys/": 302,
}
# The gateway's addresses, which Django has no part in.
GATEWAY = {"v1/whoami": 401, "v1/authorize": 400, "v1/keys/verify": 405, "v1/requests": 405, "v1/": 404}
# What the admin's routes are tried with.
ADMIN_EXAMPLES = {
    "<id>": "1",
    "<path:object_id>": "1",
    "<path:content_type_id>": "1",
    r"(?P<url>.*)$": "nothing/at/all/",
}


def routes(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern, route)


ROUTES = list(routes(get_resolver()))
ADMIN = [route for route in ROUTES if route.startswith("admin/")]


def test_every_address_is_told_about_here() -> None:
    assert len(ROUTES) == len(set(ROUTES))
    assert set(ROUTES) - set(ADMIN) == CONSOLE.keys() | SIGN_IN.keys() | JOIN
    assert len(ADMIN) > 20


@pytest.fixture
def subjects(api_key: ApiKey, operator: User) -> dict[str, str]:
    """What the placeholders of the console's routes stand for."""
    [record] = use(api_key, succeeded=1)
    return {
        "<merchant_id:pk>": api_key.merchant.public_id,
        "<key_id:pk>": api_key.public_id,
        "<request_id:pk>": encode(REQUEST, record.id),
        "<member_id:member>": UserFactory(team=(api_key.merchant, "viewer")).memberships.get().public_id,
        "<invitation_id:pk>": InvitationFactory(merchant=api_key.merchant).public_id,
        "<person:pk>": str(UserFactory().pk),
        "<str:token>": email_change.token_for(operator, "new@example.com"),
    }


# How far an action lies below its page, where that is not one step.
STEPS_BELOW = {
    "merchants/<merchant_id:pk>/team/<member_id:member>/role/": 2,
    "invitations/<invitation_id:pk>/resend/": 3,
    "invitations/<invitation_id:pk>/withdraw/": 3,
}


def address(route: str, subjects: dict[str, str]) -> str:
    for placeholder, public_id in subjects.items():
        route = route.replace(placeholder, public_id)
    return f"/{route}"


def rows() -> tuple[int, ...]:
    return (ApiKey.objects.count(), HistoryEntry.objects.count(), RequestLog.objects.count())


def test_the_console_sends_a_stranger_to_sign_in_and_does_nothing(
    client: Client, subjects: dict[str, str]
) -> None:
    assert client.get("/")["Location"] == "/merchants/"
    before = rows()
    for route in CONSOLE.keys() - {""}:
        page = here = address(route, subjects)
        if CONSOLE[route] == ACTION:
            page = here.rstrip("/").rsplit("/", STEPS_BELOW.get(route, 1))[0] + "/"
        query = "%3Fa%3Db" if CONSOLE[route] != ACTION else ""
        for method in METHODS:
            response = client.generic(method, f"{here}?a=b")
            assert response.status_code == 302, (method, route)
            assert response["Location"] == f"/accounts/login/?next={quote(page)}{query}", (method, route)
    assert rows() == before


def test_the_console_refuses_every_other_method_with_a_page(
    console: Client, subjects: dict[str, str]
) -> None:
    before = rows()
    for route in CONSOLE.keys() - {""}:
        for method in set(METHODS) - CONSOLE[route]:
            response = console.generic(method, address(route, subjects))
            page = page_of(response, 405)
            assert page.one("h1").text == "This address cannot be opened by itself", (method, route)
            assert set(response["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == CONSOLE[route], (method, route)
    assert rows() == before


def test_the_console_answers_a_person_who_is_signed_in(console: Client, subjects: dict[str, str]) -> None:
    for route, methods in CONSOLE.items():
        if "GET" in methods:
            here, status = address(route, subjects), 302 if route == "" else 200
            response = console.get(here)
            assert response.status_code == status, route
            assert_told_well(response, route)
            assert console.head(here).status_code == status, route


WITH_AN_ID = [route for route in CONSOLE if "<" in route and "<person:" not in route and "<str:" not in route]
OWN_PREFIX = {"merchants": MERCHANT, "keys": API_KEY, "requests": REQUEST, "invitations": INVITATION}


def wrong_ids(prefix: str, right: str) -> dict[str, str]:
    suffix = right.partition("_")[2]
    return {
        "unknown": encode(prefix, new_id()),
        "upper case": right.upper(),
        "capitals after the prefix": f"{prefix}_{suffix.upper()}",
        "too long": f"{right}0",
        "too short": right[:-1],
        "overflowing": f"{prefix}_8{suffix[1:]}",
        "letters that are not in the alphabet": f"{prefix}_{'ilou' + suffix[4:]}",
        "without its prefix": suffix,
        "a bare UUID": str(new_id()),
        "a number": "1",
        "trailing space": f"{right}%20",
        "a line break": f"{right}%0A",
        "a NUL": f"{right}%00",
        "not UTF-8": f"{right}%FF",
        "fullwidth digits": f"{right[:-1]}%EF%BC%91",
        "a climb": f"{right}/../{right}",
        "huge": f"{prefix}_{'0' * 10_000}",
        **{
            f"a {other} id": f"{other}_{suffix}"
            for other in (MERCHANT, API_KEY, REQUEST, HISTORY, "sk")
            if other != prefix
        },
    }


def test_an_id_that_is_not_of_an_address_is_not_found(console: Client, subjects: dict[str, str]) -> None:
    before = rows()
    tried_all = set()
    for route in WITH_AN_ID:
        kind, placeholder, *_ = route.split("/")
        wrong = wrong_ids(OWN_PREFIX[kind], subjects[placeholder])
        if kind in tried_all:
            # The ids of a kind are read in one place; that each of its addresses asks there, these few show.
            wrong = {label: wrong[label] for label in ("unknown", "upper case", "too long", "a hst id")}
        tried_all.add(kind)
        for label, text in wrong.items():
            for method in CONSOLE[route]:
                response = console.generic(method, address(route, subjects | {placeholder: text}))
                assert response.status_code == 404, (route, label, method)
    assert page_of(response, 404).one("h1").text == "There is nothing at this address"
    assert rows() == before


def test_a_number_that_nobody_has_is_not_found(console: Client, subjects: dict[str, str]) -> None:
    wrong = ("0", "00", "01", "-1", "999999", "9" * 18, "9" * 19, "9" * 400, "1.0", "1e3", "1%00", "\u0661")
    for number in wrong:
        assert console.get(f"/people/{number}/").status_code == 404, number
        assert console.post(f"/people/{number}/deactivate/").status_code == 404, number


def test_somebody_of_another_team_is_not_found(console: Client, subjects: dict[str, str]) -> None:
    stranger = UserFactory(team=(MerchantFactory(), "viewer")).memberships.get().public_id
    team = f"/merchants/{subjects['<merchant_id:pk>']}/team"
    for member in (stranger, encode(MEMBERSHIP, new_id()), subjects["<invitation_id:pk>"]):
        assert console.post(f"{team}/{member}/role/", {"role": "owner"}).status_code == 404
        assert console.get(f"{team}/{member}/remove/").status_code == 404
        assert console.post(f"{team}/{member}/remove/").status_code == 404
    assert Membership.objects.filter(role="viewer").count() == 2


def test_no_address_takes_what_another_site_sends(operator: User, subjects: dict[str, str]) -> None:
    """Neither with a token that was read elsewhere, nor without one; signed in, where there is something to lose."""
    strict = sign_in(Client(enforce_csrf_checks=True), operator)
    token = page_of(strict.get("/profile/")).one("form", data_form=True).values()["csrfmiddlewaretoken"]
    before = rows()
    for route in ROUTES:
        here = admin_address(route) if route in ADMIN else sign_in_address(address(route, subjects))
        for data, headers in (
            ({}, {}),
            ({"csrfmiddlewaretoken": token}, {"Origin": "https://evil.example"}),
            ({"csrfmiddlewaretoken": token[0][::-1]}, {}),
        ):
            refused = strict.post(here, data, headers=headers)
            assert refused.status_code == 403, here
            assert "This page had been open for too long" in refused.content.decode(), here
    assert rows() == before


def sign_in_address(route: str) -> str:
    route = route.replace("<int:pk>", "1").replace("<slug:provider_id>", "sso").replace("<str:token>", "x")
    return re.sub(r"\^(.*?)\(\?P.*", r"\1x-y/", route)


@pytest.mark.parametrize("route", SIGN_IN)
def test_the_sign_in_pages_answer_a_stranger(client: Client, route: str) -> None:
    response = client.get(f"/{sign_in_address(route)}")

    assert response.status_code == SIGN_IN[route]
    assert_told_well(response, route)
    if response.status_code == 302:
        assert response["Location"].startswith(("/accounts/login/", "/profile/"))


@pytest.mark.parametrize("address", [
    "/accounts/email/", "/accounts/password/reset/", "/accounts/confirm-email/", "/accounts/"
])  # fmt: skip
def test_what_the_console_does_not_use_of_its_sign_in_is_not_there(client: Client, address: str) -> None:
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("route", GATEWAY)
def test_the_gateway_never_answers_with_a_page(console: Client, route: str) -> None:
    response = console.get(f"/{route}")

    assert response.status_code == GATEWAY[route]
    assert response["Content-Type"] == "application/problem+json"


def admin_address(route: str) -> str:
    route = re.sub(r"\^\(\?P<app_label>[a-z|]+\)/\$", "keys/", route)
    for placeholder, example in ADMIN_EXAMPLES.items():
        route = route.replace(placeholder, example)
    assert not set("<>()^$") & set(route), route
    return f"/{route}"


def test_the_django_admin_sends_a_stranger_to_the_one_sign_in(client: Client) -> None:
    for route in ADMIN:
        here = admin_address(route)
        for method in ("get", "post"):
            response = getattr(client, method)(here)
            assert_told_well(response, here)
            if here == "/admin/login/":
                assert response["Location"] == "/accounts/login/?next=%2Fadmin%2Flogin%2F", here
            elif here == "/admin/logout/":
                assert response["Location"] == "/admin/", method
            else:
                assert response.status_code == 302, (method, here)
                assert response["Location"].startswith("/admin/login/?next="), (method, here)


def test_the_django_admin_is_closed_to_people_who_are_not_staff(client: Client, operator: object) -> None:
    operator.is_staff = operator.is_superuser = False
    operator.save()
    client.force_login(operator)
    for route in ADMIN:
        here = admin_address(route)
        response = client.get(here)
        if here == "/admin/login/":
            assert response.status_code == 403
        elif here == "/admin/logout/":
            assert response["Location"] == "/admin/"
        else:
            assert response["Location"].startswith("/admin/login/?next="), here
            assert client.get(response["Location"]).status_code == 403, here


def test_the_components_page_is_for_staff(client: Client, operator: object) -> None:
    operator.is_staff = False
    operator.save()
    client.force_login(operator)

    assert page_of(client.get("/components/"), 403).one("h1").text == "You may not do that"
