"""Errors are pages: each says what happened and what to do, none says how the console works or what it holds."""

import io
import logging
import re

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from keys.keyformat import Mode, PlaintextKey, ScrubFilter
from keys.models import ApiKey, HistoryEntry
from merchantadmin import urls
from merchantadmin.urls import handler400, handler403, handler404, handler429, handler500
from tests.client import direct_gateway
from tests.console.page import inline_code, page_of

pytestmark = pytest.mark.django_db

SECRET = PlaintextKey.generate(Mode.LIVE).reveal()


def break_down(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(f"the key {SECRET} in {__file__}")


def refuse(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied(SECRET)


def suspect(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation(SECRET)


# This module stands in for merchantadmin.urls where a test needs views that fail.
urlpatterns = [
    path("breaks/", break_down),
    path("refuses/", refuse),
    path("suspects/", suspect),
    *urls.urlpatterns,
]
__all__ = ["handler400", "handler403", "handler404", "handler429", "handler500", "urlpatterns"]


@pytest.fixture
def failing(console: Client, monkeypatch: pytest.MonkeyPatch, settings: object) -> Client:
    settings.ROOT_URLCONF = __name__
    console.raise_request_exception = False
    return console


def assert_tells_nothing(response: HttpResponse) -> None:
    body = response.content.decode()
    assert SECRET not in body
    assert not re.search(
        r"Traceback|RuntimeError|\.py\b|site-packages|Django", body.replace("Django admin", "")
    )


def test_a_failure_shows_a_page_with_the_id_of_the_request_and_nothing_else(
    failing: Client, caplog: pytest.LogCaptureFixture
) -> None:
    response = failing.get("/breaks/")
    page = page_of(response, 500)

    assert page.one("h1").text == "Something went wrong on our side"
    assert response["X-Request-Id"] in page.text
    assert page.link("Start again")["href"] == "/"
    assert inline_code(page) == []
    assert_tells_nothing(response)
    # Whoever is told the id finds the failure by it.
    assert any(response["X-Request-Id"] in record.getMessage() for record in caplog.records)


def test_the_log_of_a_failure_has_its_traceback_but_no_key(failing: Client) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(ScrubFilter())
    logging.getLogger("django.request").addHandler(handler)
    try:
        failing.get("/breaks/")
    finally:
        logging.getLogger("django.request").removeHandler(handler)

    assert "Traceback" in stream.getvalue()
    assert "break_down" in stream.getvalue()
    assert SECRET not in stream.getvalue()
    assert "scrub" in settings.LOGGING["handlers"]["console"]["filters"]


def test_without_a_database_a_page_says_so_much_as_it_can(failing: Client) -> None:
    def away(execute: object, *args: object) -> None:
        raise OperationalError("connection to server at db.internal failed")

    with connection.execute_wrapper(away):
        for address in ("/merchants/", "/profile/", "/no/such/page/"):
            response = failing.get(address)
            page = page_of(response, 500)
            assert page.one("h1").text == "Something went wrong on our side"
            assert "db.internal" not in page.text
        assert page_of(failing.get("/accounts/login/"), 500)
        assert failing.get("/v1/whoami").status_code == 401


def test_even_the_page_for_failures_may_fail(failing: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_template(*args: object, **kwargs: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr("keys.console.views.errors.render", no_template)
    response = failing.get("/breaks/")

    assert response.status_code == 500
    assert response.content == b"Something went wrong on our side."


def test_nothing_at_an_address_is_a_page(console: Client, client: Client) -> None:
    for address in ("/no/such/page/", "/keys/", "/keys/key_1/", "/merchants/%00/", "/%FF%FE/", "/a" * 2000):
        response = console.get(address)
        page = page_of(response, 404)
        assert page.one("h1").text == "There is nothing at this address"
        assert page.link("Go to merchants")["href"] == "/merchants/"
        assert_tells_nothing(response)
    console.logout()
    assert page_of(console.get("/no/such/page/"), 404)


def test_what_is_forbidden_and_what_is_damaged_are_pages(failing: Client) -> None:
    refused = failing.get("/refuses/")
    assert page_of(refused, 403).one("h1").text == "You may not do that"
    assert_tells_nothing(refused)

    damaged = failing.get("/suspects/")
    assert page_of(damaged, 400).one("h1").text == "That request cannot be understood"
    assert_tells_nothing(damaged)


def test_another_host_name_is_refused_with_a_page(console: Client) -> None:
    for host in ("evil.example", "127.0.0.1:bad", "a" * 300, "[::"):
        response = console.get("/merchants/", headers={"Host": host})
        assert page_of(response, 400).one("h1").text == "That request cannot be understood", host


def test_a_form_without_its_token_is_refused_with_a_page_and_does_nothing(
    operator: object, api_key: ApiKey
) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator)
    before = HistoryEntry.objects.count()
    merchant, key = f"/merchants/{api_key.merchant.public_id}", f"/keys/{api_key.public_id}"
    for address in (
        "/merchants/new/", f"{merchant}/", f"{merchant}/disable/", f"{merchant}/developers/new/",
        f"{key}/", f"{key}/disable/", f"{key}/enable/", f"{key}/revoke/", f"{key}/copy/", f"{key}/duplicate/",
        "/profile/", "/accounts/login/", "/accounts/logout/", "/accounts/reauthenticate/",
    ):  # fmt: skip
        response = browser.post(address, {"name": "x", "confirm": api_key.name, "theme": "dark"})
        page = page_of(response, 403)
        assert page.one("h1").text == "This page had been open for too long", address
        forged = browser.post(
            address, {"csrfmiddlewaretoken": "a" * 64}, headers={"Origin": "https://evil.example"}
        )
        assert page_of(forged, 403), address

    assert HistoryEntry.objects.count() == before
    operator.refresh_from_db()
    assert operator.theme == "system"
    assert browser.get("/profile/").status_code == 200


def test_every_form_of_every_page_carries_a_token(signed_in: Client, api_key: ApiKey) -> None:
    merchant, key = f"/merchants/{api_key.merchant.public_id}", f"/keys/{api_key.public_id}"
    for address in (
        "/merchants/", "/merchants/new/", f"{merchant}/", f"{merchant}/developers/", f"{merchant}/developers/new/",
        f"{merchant}/requests/", f"{key}/", f"{key}/revoke/", f"{key}/duplicate/", "/profile/",
        "/accounts/logout/", "/accounts/reauthenticate/", "/accounts/password/change/",
    ):  # fmt: skip
        for form in page_of(signed_in.get(address)).all("form", method="post"):
            assert "csrfmiddlewaretoken" in form.values(), (address, form)


URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


def part(name: bytes, content: bytes, headers: bytes = b"") -> bytes:
    return b"--x\r\nContent-Disposition: form-data; %b\r\n%b\r\n%b\r\n--x--" % (name, headers, content)


@pytest.mark.parametrize(("content_type", "body", "status"), [
    (URLENCODED, b"&".join(b"a%d=1" % number for number in range(300)), 400),
    (URLENCODED, b"name=" + b"x" * 300_000, 400),
    (URLENCODED, b"%", 422),
    (URLENCODED, b"name=%FF%FE%00", 422),
    (f"{URLENCODED}; charset=utf-16", b"name=A", 400),
    (MULTIPART, part(b'name="name"', b"x" * 300_000), 400),
    (MULTIPART, part(b"name*=hex''zz", b"a"), 422),
    (MULTIPART, part(b'name="name"', b"!", b"Content-Transfer-Encoding: base64\r\n"), 422),
    (MULTIPART, part(b'name="name"; filename="name"', b"a"), 422),
    (MULTIPART, b"", 422),
    (MULTIPART, b"\x00\xff" * 500, 422),
    ("multipart/form-data", b"--x\r\n", 400),
    ("multipart/form-data; boundary=", b"--x\r\n", 400),
    ("application/json", b'{"name": "A"}', 422),
    ("text/plain", b"name=A", 422),
    ("nonsense", b"name=A", 422),
    ("", b"name=A", 422),
])  # fmt: skip
def test_a_body_that_is_no_form_is_refused_and_changes_nothing(
    console: Client, api_key: ApiKey, content_type: str, body: bytes, status: int
) -> None:
    before = HistoryEntry.objects.count()
    for address in (
        "/merchants/new/",
        f"/keys/{api_key.public_id}/",
        f"/merchants/{api_key.merchant.public_id}/",
    ):
        assert page_of(console.generic("POST", address, body, content_type), status), address

    assert HistoryEntry.objects.count() == before


@pytest.mark.parametrize("content_type", [
    "text/plain; charset=hex", "text/plain; charset=undefined", "text/plain; charset*=hex''zz", "; charset=hex",
    "text/plain; x*=nonsense''y", f"{MULTIPART}; charset=unicode_escape", ";;;", "text/plain;charset",
])  # fmt: skip
def test_the_charset_that_a_request_claims_is_of_no_account(content_type: str, monkeypatch) -> None:
    """Asked of the application itself: Django believes the header before any of its own code could catch it."""
    from merchantadmin import wsgi

    monkeypatch.setattr(wsgi, "gateway", direct_gateway)
    for address, expected in (("/accounts/login/", "200 OK"), ("/v1/whoami", "401 Unauthorized")):
        answers: list[str] = []
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": address, "QUERY_STRING": "q=%5Cud800", "CONTENT_TYPE": content_type,
            "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "HTTP_HOST": "127.0.0.1", "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(b""), "wsgi.url_scheme": "http", "wsgi.errors": io.StringIO(),
        }  # fmt: skip
        wsgi.application(environ, lambda status, headers, *_: answers.append(status))  # noqa: B023
        assert answers == [expected], address
