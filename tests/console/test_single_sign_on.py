"""Single sign-on: who the provider vouches for comes in if they are known here, and nobody else does."""

from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount, SocialApp
from django.test import Client

from keys.models import User
from tests.authenticators import give_totp, totp_code
from tests.console.page import page_of
from tests.factories import UserFactory
from tests.openid import Provider, running

pytestmark = pytest.mark.django_db

DOOR = "/accounts/sso/sso/"


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture
def provider(server: Provider, settings: Any, operator: User) -> Provider:
    """The provider of the settings, about to name the operator."""
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [server.app]}}
    server.claims = {"sub": "007", "email": operator.email.upper(), "email_verified": True}
    server.cancels = False
    server.asked.clear()
    return server


def follow(address: str) -> str:
    """What the browser does at the provider: where it is sent back to."""
    there = urlsplit(address)
    connection = HTTPConnection(there.netloc)
    connection.request("GET", f"{there.path}?{there.query}")
    answer = connection.getresponse()
    connection.close()
    back = urlsplit(answer.headers["Location"])
    assert back.netloc == "testserver"
    return f"{back.path}?{back.query}"


def come_in(client: Client, address: str = DOOR) -> Any:
    return client.get(follow(client.get(address)["Location"]))


def is_signed_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


def test_without_a_provider_there_is_neither_a_link_nor_a_door(client: Client) -> None:
    assert "Continue with" not in client.get("/accounts/login/").content.decode()
    assert client.get(DOOR).status_code == 404
    assert client.get(f"{DOOR}callback/?code=x&state=y").status_code == 404


def test_a_row_in_the_database_opens_no_door(client: Client) -> None:
    SocialApp.objects.create(
        provider="openid_connect", provider_id="sso", name="Evil", client_id="x", secret="x",
        settings={"server_url": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert client.get(DOOR).status_code == 404


def test_who_is_known_by_a_verified_address_comes_in_and_back_to_where_they_were_going(
    client: Client, provider: Provider, operator: User
) -> None:
    page = page_of(client.get("/accounts/login/?next=/merchants/%3Fq%3Dnorth"))
    answer = come_in(client, page.link("Continue with Example Login")["href"])

    assert answer["Location"] == "/merchants/?q=north"
    assert is_signed_in(client)
    assert client.session["_auth_user_id"] == str(operator.pk)
    assert provider.asked[0]["code_challenge_method"] == "S256"
    assert SocialAccount.objects.get().user == operator
    operator.refresh_from_db()
    assert operator.has_usable_password()


def test_later_the_provider_s_own_name_counts_and_not_the_address(
    client: Client, provider: Provider, operator: User
) -> None:
    come_in(client)
    client.post("/accounts/logout/")
    UserFactory(email="other@example.com")
    provider.claims |= {"email": "other@example.com"}
    come_in(client)

    assert client.session["_auth_user_id"] == str(operator.pk)


@pytest.mark.parametrize("claims", [
    {"email": "stranger@example.com"}, {"email_verified": False}, {"email_verified": "false"},
    {"email_verified": None}, {"email": ""}, {"email": None}, {"email": "%@example.com"},
])  # fmt: skip
def test_who_is_not_known_does_not_come_in_and_nobody_is_made(
    client: Client, provider: Provider, claims: dict[str, object]
) -> None:
    provider.claims |= claims
    people = User.objects.count()

    assert page_of(come_in(client), 403).one("h1").text == "Nobody here is known by that"
    assert not is_signed_in(client)
    assert (User.objects.count(), SocialAccount.objects.count()) == (people, 0)


def test_who_is_switched_off_stays_out(client: Client, provider: Provider, operator: User) -> None:
    come_in(client)
    client.post("/accounts/logout/")
    User.objects.filter(pk=operator.pk).update(is_active=False)

    come_in(client)
    assert not is_signed_in(client)
    SocialAccount.objects.all().delete()
    assert come_in(client).status_code == 403
    assert not SocialAccount.objects.exists()


def test_the_second_step_is_asked_for_all_the_same(
    client: Client, provider: Provider, operator: User
) -> None:
    secret = give_totp(operator)
    assert come_in(client)["Location"] == "/accounts/second-factor/"
    assert not is_signed_in(client)
    client.post("/accounts/second-factor/", {"code": totp_code(secret)})
    assert is_signed_in(client)


def test_an_answer_to_a_question_that_this_browser_did_not_ask_is_refused(provider: Provider) -> None:
    attacker, victim = Client(), Client()
    back = follow(attacker.get(DOOR)["Location"])

    assert page_of(victim.get(back), 401).one("h1").text == "That did not work"
    assert not is_signed_in(victim)
    attacker.get(back)
    assert page_of(attacker.get(back), 401)


def test_other_sites_do_not_start_a_sign_in(client: Client, provider: Provider) -> None:
    response = client.get(DOOR, headers={"Sec-Fetch-Site": "cross-site"})
    assert response["Location"] == "/accounts/login/"
    assert client.post(DOOR).status_code == 405


def test_it_leads_nowhere_else(client: Client, provider: Provider) -> None:
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        assert come_in(client, f"{DOOR}?next={target}")["Location"] == "/merchants/", target
        client.post("/accounts/logout/")


def test_a_refusal_and_a_provider_that_is_away_are_told_with_a_page(
    client: Client, provider: Provider, settings: Any
) -> None:
    provider.cancels = True
    refused = client.get(come_in(client)["Location"])
    assert page_of(refused, 401).one("h1").text == "That did not work"

    away = provider.app | {"settings": {"server_url": "http://127.0.0.1:9"}}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [away]}}
    assert page_of(client.get(DOOR), 401).one("h1").text == "That did not work"


def test_who_has_nothing_else_gives_proof_at_the_provider(
    client: Client, provider: Provider, operator: User
) -> None:
    operator.set_unusable_password()
    operator.save()
    come_in(client)
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] -= 3600
    session.save()
    asked = page_of(client.get("/accounts/reauthenticate/?next=/accounts/authenticator-app/"))
    link = asked.link("Sign in again with Example Login")["href"]

    assert client.get("/accounts/authenticator-app/").status_code == 302
    back = come_in(client, link)
    assert provider.asked[-1]["prompt"] == "login"
    assert back["Location"] == "/accounts/authenticator-app/"
    assert client.get("/accounts/authenticator-app/").status_code == 200


def test_proof_of_somebody_else_is_none(client: Client, provider: Provider) -> None:
    come_in(client)
    session = client.session
    del session["account_authentication_methods"]
    session.save()
    link = page_of(client.get("/accounts/reauthenticate/")).link("Sign in again with Example Login")["href"]

    provider.claims = {"sub": "008", "email": UserFactory().email, "email_verified": True}
    assert come_in(client, link).status_code == 403
    come_in(Client())  # Now the provider's other person is known here, too.
    assert SocialAccount.objects.count() == 2
    assert come_in(client, link).status_code == 403
    assert client.get("/accounts/authenticator-app/").status_code == 302
