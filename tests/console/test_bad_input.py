"""What people and programs can send: each of it is text wherever it stands, or refused; none is half done.

The bad input of one form is with that form's tests; here is what all of them share.
"""

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys import lifecycle, merchants
from keys.gateway.ingest import ingest
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, Merchant, RequestLog, User
from tests.console.page import Element, inline_code, page_of, parse
from tests.factories import ApiKeyFactory, MerchantFactory, RecordFactory, UserFactory, use

pytestmark = pytest.mark.django_db

# What breaks out of a text where it is not escaped; and what merely looks odd.
HOSTILE = {
    "a script": "<script>alert(1)</script><!-- <![CDATA[ {{ 7 }}{% now 'Y' %}{# x #}",
    "an end of a tag": "\"'></title></textarea></a><img src=x onerror=alert(1)>",
    "an attribute": '" onmouseover="alert(1)" x=" &lt;b&gt; &#60;script&#62; javascript:x',
}
STRANGE = HOSTILE | {
    "a format": "%s %(name)s {0} {name!r} %",
    "an address": "javascript:alert(1)//../../etc/passwd",
    "right to left": "מפתח ראשי مفتاح",
    "emoji and han": "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 支払いキー",
    "SQL": '\'; DROP TABLE keys_apikey; -- =HYPERLINK("x")',
    "undo=": "undo=/keys/x/disable/ error",
}
each_hostile = pytest.mark.parametrize("strange", HOSTILE.values(), ids=HOSTILE)
each_strange = pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)


def pages(console: Client, merchant: Merchant, key: ApiKey) -> list[Element]:
    """Every page on which names stand, as whole and as part."""
    account, its = f"/merchants/{merchant.public_id}", f"/keys/{key.public_id}"
    request = RequestLog.objects.filter(key=key).get()
    addresses = [
        "/merchants/", f"{account}/", f"{account}/developers/", f"{account}/developers/new/", f"{account}/requests/",
        f"{account}/requests/?key={key.public_id}", f"{its}/", f"{its}/duplicate/", f"{its}/revoke/",
        f"/requests/{request.public_id}/", "/profile/",
    ]  # fmt: skip
    responses = [console.get(address) for address in addresses]
    responses += [
        console.get(address, headers={"HX-Request": "true"})
        for address in ("/merchants/", f"{account}/developers/", f"{account}/requests/")
    ]
    return [page_of(response) for response in responses]


def assert_is_text(page: Element) -> None:
    """The parser has seen to it that no tag of a text was taken for one of the page; here no attribute was."""
    assert inline_code(page) == []
    assert not page.has("img")
    assert all(script["src"].startswith("/static/") for script in page.all("script"))


@each_hostile
def test_a_strange_name_is_text_on_every_page(console: Client, operator: User, strange: str) -> None:
    operator.first_name, operator.last_name = strange[:140], ""
    operator.save()
    actor = Actor(name=strange, user=operator, user_agent=strange)
    merchant = MerchantFactory(name=strange, actor=actor)
    key = ApiKeyFactory(merchant=merchant, name=strange, description=f"{strange}\n{strange}", actor=actor)
    lifecycle.update(key=key, name=f"{strange} 2", description="", revision=1, actor=actor)
    key = lifecycle.disable(key=key, actor=actor, reason=strange)
    ingest([RecordFactory(key=key, path=f"/{strange}", status=500)])

    for page in pages(console, merchant, key):
        assert_is_text(page)
    name = " ".join(f"{strange} 2".split())
    page = page_of(console.get(f"/keys/{key.public_id}/"))
    assert page.one("h1").text == name
    assert page.one("input", name="name")["value"] == f"{strange} 2"
    assert page.has("button", aria_label=f"Copy key {strange} 2")
    assert page.one("head").one("title").text.startswith(name)
    assert " ".join(strange.split()) in page.one("ol", class_="events").text
    grid = page_of(console.get(f"/merchants/{merchant.public_id}/developers/"))
    assert grid.has("summary", aria_label=f"Actions for {strange} 2")
    assert page_of(console.get("/merchants/")).one("th", scope="row").one("a").text == " ".join(
        strange.split()
    )


@each_strange
def test_a_strange_name_is_text_in_messages_and_their_undo_stays_ours(console: Client, strange: str) -> None:
    key = ApiKeyFactory(name=strange)
    console.post(f"/keys/{key.public_id}/disable/")
    page = page_of(console.get(f"/keys/{key.public_id}/"))

    assert f"“{' '.join(strange.split())}” disabled." in page.one(id="messages").text
    assert_is_text(page)
    assert [form["action"] for form in page.one(id="messages").all("form")] == [
        f"/keys/{key.public_id}/enable/"
    ]
    part = parse(
        console.post(f"/keys/{key.public_id}/enable/", headers={"HX-Request": "true"}).content.decode()
    )
    assert_is_text(part)


@each_strange
def test_a_strange_search_is_text_in_its_box_and_its_pill(
    console: Client, api_key: ApiKey, strange: str
) -> None:
    use(api_key, succeeded=1)
    account = f"/merchants/{api_key.merchant.public_id}"
    for address, name in (
        ("/merchants/", "q"),
        (f"{account}/developers/", "q"),
        (f"{account}/requests/", "path"),
    ):
        page = page_of(console.get(address, {name: strange, "sort": strange, "status": strange}))
        assert page.one("input", name=name)["value"] == strange
        assert " ".join(strange.split()) in page.one(class_="pills").text
        assert_is_text(page)


@each_hostile
def test_what_is_refused_is_given_back_as_text(console: Client, api_key: ApiKey, strange: str) -> None:
    long = strange + "x" * 700
    merchant = api_key.merchant
    for address, typed in (
        ("/merchants/new/", {"name": long, "website": strange}),
        (f"/merchants/{merchant.public_id}/", {"name": long, "website": strange, "revision": strange}),
        (f"/keys/{api_key.public_id}/", {"name": long, "description": long, "revision": "1"}),
        (
            f"/merchants/{merchant.public_id}/developers/new/",
            {"name": long, "description": long, "mode": strange, "expires_at": strange, "allowed_networks": strange,
             f"permission_{strange}": "read", "permission_payments": strange, "submission": strange},
        ),
        (f"/keys/{api_key.public_id}/revoke/", {"confirm": strange, "reason": long}),
        ("/profile/", {"first_name": long, "theme": strange}),
    ):  # fmt: skip
        page = page_of(console.post(address, typed), 422)
        assert_is_text(page)
        assert (
            page.has(class_="error-summary")
            or page.has(class_="field-errors")
            or "Only a disabled" in page.text
        )


# -- Anything at all -----------------------------------------------------------------------------------------------

ANYTHING = st.one_of(
    st.text(max_size=30),
    st.binary(max_size=30).map(lambda data: data.decode("latin-1")),
    st.sampled_from(
        ["", "\0", "\u202e", "\ufeff", "x" * 3000, "-1", "1e999", "NaN", "null", "[]", "undefined", "on"]
    ),
)
FIELDS = (
    "name", "description", "website", "mode", "expires_at", "allowed_networks", "submission", "revision", "confirm",
    "reason", "theme", "first_name", "keyboard_shortcuts", "partial", "next", "page", "same_name",
    "permission_payments", "permission_x", "login", "password",
)  # fmt: skip


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(st.sampled_from(FIELDS), ANYTHING | st.lists(ANYTHING, max_size=3), max_size=8))
def test_no_form_breaks_whatever_is_sent(console: Client, api_key: ApiKey, data: dict[str, object]) -> None:
    """The test client raises what a view raises: an answer of any kind is not a 500."""
    account, its = f"/merchants/{api_key.merchant.public_id}", f"/keys/{api_key.public_id}"
    for address in (
        "/merchants/new/", f"{account}/", f"{account}/developers/new/", f"{its}/", f"{its}/revoke/", f"{its}/disable/",
        f"{its}/enable/", f"{its}/copy/", f"{its}/duplicate/", "/profile/",
    ):  # fmt: skip
        before = HistoryEntry.objects.count()
        response = console.post(address, data)
        assert response.status_code in {200, 302, 400, 409, 422}, address
        if response.status_code >= 400:
            assert page_of(response, response.status_code)
            assert HistoryEntry.objects.count() == before, address


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.dictionaries(
    st.sampled_from(["q", "status", "mode", "last_used", "sort", "after", "before", "key", "result", "outcome",
                     "path", "since", "until", "next"]),
    ANYTHING, max_size=5,
))  # fmt: skip
def test_no_grid_breaks_whatever_is_asked(console: Client, api_key: ApiKey, query: dict[str, str]) -> None:
    account = f"/merchants/{api_key.merchant.public_id}"
    for address in ("/merchants/", f"{account}/developers/", f"{account}/requests/"):
        response = console.get(address, query, headers={"HX-Request": "true"})
        assert response.status_code in {200, 302}, address


# -- Steps that race or repeat -------------------------------------------------------------------------------------


def test_a_step_twice_is_done_once_and_told_once(console: Client, api_key: ApiKey) -> None:
    for step, state in (("disable", "disabled"), ("enable", "enabled")):
        before = HistoryEntry.objects.count()
        for _ in range(2):
            assert console.post(f"/keys/{api_key.public_id}/{step}/").status_code == 302
        api_key.refresh_from_db()
        assert api_key.status == state
        assert HistoryEntry.objects.count() == before + 1


def test_a_change_whose_history_cannot_be_written_is_not_made(
    console: Client, api_key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Change and history commit together: what fails half-way leaves nothing."""

    def no_history(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no history")

    monkeypatch.setattr("keys.history.write", no_history)
    monkeypatch.setattr("keys.history.compose", no_history)
    console.raise_request_exception = False
    account, its = f"/merchants/{api_key.merchant.public_id}", f"/keys/{api_key.public_id}"
    before = (
        ApiKey.objects.values().get(), Merchant.objects.values().get(), HistoryEntry.objects.count(),
    )  # fmt: skip
    for address, data in (
        ("/merchants/new/", {"name": "New"}),
        (f"{account}/", {"name": "Other", "revision": "1"}),
        (f"{account}/disable/", {}),
        (f"{account}/developers/new/", {"name": "New", "mode": "live"}),
        (f"{its}/", {"name": "Other", "revision": "1"}),
        (f"{its}/disable/", {}),
        (f"{its}/duplicate/", {"name": "New", "mode": "live"}),
    ):
        assert page_of(console.post(address, data), 500), address
    assert before == (
        ApiKey.objects.values().get(), Merchant.objects.values().get(), HistoryEntry.objects.count(),
    )  # fmt: skip


def test_somebody_who_left_the_name_in_the_history_is_still_named_there(
    console: Client, merchant: Merchant
) -> None:
    gone = UserFactory(first_name="Gone", last_name="Person")
    merchants.disable(merchant=merchant, actor=Actor(name=gone.display_name, user=gone))
    gone.first_name, gone.is_active = "Renamed", False
    gone.save()

    assert (
        "Gone Person"
        in page_of(console.get(f"/merchants/{merchant.public_id}/")).one("ol", class_="events").text
    )
