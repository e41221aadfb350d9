"""What the browser is told with every page: where code may come from, what may be kept, who may frame it."""

import re

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client, override_settings

from keys.models import ApiKey, RequestLog, User
from tests.console.page import inline_code, page_of
from tests.factories import PASSWORD, use

pytestmark = pytest.mark.django_db

PUBLIC = ("/accounts/login/", "/accounts/signup/", "/accounts/inactive/", "/no/such/page/")
PRIVATE = (
    "/merchants/",
    "/merchants/new/",
    "/merchants/{merchant}/",
    "/merchants/{merchant}/developers/",
    "/merchants/{merchant}/developers/new/",
    "/merchants/{merchant}/requests/",
    "/keys/{key}/",
    "/keys/{key}/duplicate/",
    "/keys/{key}/revoke/",
    "/keys/{key}/disable/",
    "/requests/{request}/",
    "/profile/",
    "/components/",
    "/accounts/reauthenticate/",
    "/accounts/password/change/",
    "/accounts/logout/",
    "/admin/",
    "/admin/keys/apikey/",
)


@pytest.fixture
def addresses(api_key: ApiKey) -> list[str]:
    [record] = use(api_key, failed=1)
    request = RequestLog.objects.get(pk=record.id)
    subjects = {
        "merchant": api_key.merchant.public_id,
        "key": api_key.public_id,
        "request": request.public_id,
    }
    return [address.format(**subjects) for address in PRIVATE]


def policy(response: HttpResponse) -> dict[str, list[str]]:
    directives = [directive.split() for directive in response["Content-Security-Policy"].split(";")]
    return {name: sorted(sources) for name, *sources in directives}


def assert_told_well(response: HttpResponse, address: str) -> None:
    assert policy(response) == {
        "default-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }, address
    assert response["X-Frame-Options"] == "DENY", address
    assert response["X-Content-Type-Options"] == "nosniff", address
    assert response["Referrer-Policy"] == "same-origin", address
    assert response["Cross-Origin-Opener-Policy"] == "same-origin", address
    assert response["Cross-Origin-Resource-Policy"] == "same-origin", address
    allowed = re.findall(r"([\w-]+)=\(self\)", response["Permissions-Policy"])
    assert allowed == ["clipboard-write", "publickey-credentials-create", "publickey-credentials-get"], (
        address
    )
    assert "camera=()" in response["Permissions-Policy"], address
    assert {"no-store", "private"} <= set(response["Cache-Control"].split(", ")), address
    assert re.fullmatch("req_[0-9a-z]{26}", response["X-Request-Id"]), address


def test_every_page_is_told_well_and_holds_no_inline_code(signed_in: Client, addresses: list[str]) -> None:
    for address in addresses:
        response = signed_in.get(address)
        assert_told_well(response, address)
        if not address.startswith("/admin/"):
            page = page_of(response, 405 if address.endswith("/disable/") else 200)
            assert inline_code(page) == [], address
            assert page.one("html")["lang"] == "en"
            assert len(page.all("h1")) == 1, address
            assert len(page.all("main")) == 1, address
            assert page.one("head").one("title").text.endswith(" · Merchant Admin"), address


def test_pages_for_strangers_are_told_well(client: Client) -> None:
    for address in PUBLIC:
        response = client.get(address)
        assert_told_well(response, address)
        assert inline_code(page_of(response, 404 if "no/such" in address else 200)) == [], address


def test_redirects_and_answers_to_actions_are_not_kept_either(console: Client, api_key: ApiKey) -> None:
    response = console.post(f"/keys/{api_key.public_id}/disable/")

    assert response.status_code == 302
    assert_told_well(response, "disable")


def test_no_two_requests_have_one_id_and_a_sent_one_is_not_believed(client: Client) -> None:
    headers = {"X-Request-Id": "req_00000000000000000000000000"}
    ids = {client.get("/accounts/login/", headers=headers)["X-Request-Id"] for _ in range(3)}

    assert len(ids) == 3
    assert headers["X-Request-Id"] not in ids


def test_every_resource_of_a_page_is_ours(signed_in: Client, addresses: list[str]) -> None:
    for address in addresses:
        page = page_of(signed_in.get(address), 405 if address.endswith("/disable/") else 200)
        for element in page.elements():
            for name in (
                "src",
                "href",
                "action",
                "formaction",
                "srcset",
                "poster",
                "data",
                "hx-get",
                "hx-post",
            ):
                value = element.get(name)
                assert value is None or not re.match(r"\s*([a-z]+:|//)", value, re.IGNORECASE), (
                    address,
                    value,
                )


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(signed_in: Client) -> None:
    signed_in.post("/profile/", {"partial": "1", "theme": "dark"})

    assert {settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME} <= signed_in.cookies.keys()
    for name, cookie in signed_in.cookies.items():
        assert cookie["httponly"], name
        assert cookie["samesite"] == "Lax", name
        assert cookie["path"] == ("/accounts/" if name == "known_browser" else "/"), name
        assert not cookie["domain"], name


@override_settings(SESSION_COOKIE_SECURE=True, CSRF_COOKIE_SECURE=True)
def test_on_a_public_host_cookies_travel_by_https_only(client: Client, operator: User) -> None:
    client.get("/accounts/login/", secure=True)
    client.post("/accounts/login/", {"login": operator.username, "password": PASSWORD}, secure=True)
    client.post("/profile/", {"theme": "dark"}, secure=True)

    assert client.cookies.keys() == {
        settings.SESSION_COOKIE_NAME,
        settings.CSRF_COOKIE_NAME,
        "messages",
        "known_browser",
    }
    assert all(cookie["secure"] for cookie in client.cookies.values())


def test_a_page_is_not_shown_again_after_signing_out(signed_in: Client) -> None:
    assert "no-store" in signed_in.get("/merchants/")["Cache-Control"]
    signed_in.post("/accounts/logout/")

    assert signed_in.get("/merchants/")["Location"] == "/accounts/login/?next=/merchants/"
