"""One address, two renderings: the whole page, and the part of it that htmx replaces."""

import json

import pytest
from django.test import Client

from keys.models import ApiKey, HistoryEntry, Merchant, User
from tests.console.page import Element, messages_of, page_of, parse, row_names
from tests.factories import ApiKeyFactory, use

pytestmark = pytest.mark.django_db

GRIDS = ("/merchants/", "/merchants/{}/developers/", "/merchants/{}/requests/")


@pytest.fixture(params=GRIDS)
def address(request: pytest.FixtureRequest, api_key: ApiKey) -> str:
    use(api_key, succeeded=2, failed=1)
    return request.param.format(api_key.merchant.public_id)


def test_grids_of_figures_alone_say_how_fresh_they_are(console: Client, merchant: Merchant) -> None:
    own = f"/merchants/{merchant.public_id}"
    told = {
        address: "figures of" in page_of(console.get(address)).one(id="count").text
        for address in (
            "/merchants/",
            f"{own}/developers/",
            f"{own}/requests/",
            f"{own}/history/",
            "/people/",
        )
    }
    assert list(told.values()) == [True, True, False, False, False], told


def without_clock(element: Element) -> str:
    return element.text.partition(" · figures of ")[0]


def test_the_part_is_the_grid_and_the_count_and_the_same_as_in_the_page(
    console: Client, address: str
) -> None:
    page = page_of(console.get(address))
    part = page_of(console.get(address, headers={"HX-Request": "true"}))

    tops = [child for child in part.children if isinstance(child, Element)]
    assert [(top.tag, top["id"]) for top in tops] == [("div", "grid"), ("p", "count")]
    assert tops[1]["hx-swap-oob"] == "innerHTML"
    assert tops[0].text == page.one("div", id="grid").text
    assert without_clock(tops[1]) == without_clock(page.one("p", id="count"))
    assert page.one("p", id="count").get("hx-swap-oob") is None
    assert not part.has("html")
    assert not part.has("form", role="search")


def test_an_empty_grid_is_a_part_too(console: Client, merchant: Merchant) -> None:
    for address, told in (
        (GRIDS[1], "No API keys yet"),
        (GRIDS[2], "No requests yet"),
    ):
        part = page_of(console.get(address.format(merchant.public_id), headers={"HX-Request": "true"}))
        assert part.one("h2").text == told
        assert part.one("div", id="grid").all("a")


def test_the_two_are_told_apart_by_whoever_keeps_them(console: Client, address: str) -> None:
    for headers in ({}, {"HX-Request": "true"}):
        response = console.get(address, headers=headers)
        assert {"HX-Request", "Cookie"} <= set(response["Vary"].split(", "))


@pytest.mark.parametrize("headers", [
    {},
    {"HX-Request": "false"},
    {"HX-Request": "1"},
    {"HX-Boosted": "true"},
    {"HX-Request": "true", "HX-Boosted": "true"},
    {"HX-Request": "true", "HX-History-Restore-Request": "true"},
])  # fmt: skip
def test_whoever_wants_the_page_gets_the_page(console: Client, address: str, headers: dict[str, str]) -> None:
    page = page_of(console.get(address, headers=headers))

    assert page.has("html")
    assert page.has("form", role="search")


def test_everything_that_htmx_fetches_can_be_opened_without_it(console: Client, address: str) -> None:
    page = page_of(console.get(f"{address}?sort=name&q=K"))
    for element in page.all(hx_get=True):
        assert element.tag in {"a", "form"}
        assert element["hx-get"] == (element.get("href") or element.get("action"))
    for element in page.all(hx_post=True):
        assert element["hx-post"] == (element.get("formaction") or element.form["action"])
        assert element.form["method"] == "post"
    search = page.one("form", role="search")
    assert search["method"] == "get"
    assert search["hx-get"] == search["action"] == address
    assert search["hx-target"] == "#grid"
    assert page.has("div", id="grid")
    assert search.one("noscript").has("button", "Apply")


def test_htmx_is_told_to_keep_nothing_and_to_run_nothing(console: Client, address: str) -> None:
    config = json.loads(page_of(console.get(address)).one("meta", name="htmx-config")["content"])

    assert config["historyCacheSize"] == 0
    assert config["allowEval"] is False
    assert config["selfRequestsOnly"] is True
    assert config["includeIndicatorStyles"] is False


# -- A row that answers for itself ---------------------------------------------------------------------------------


@pytest.fixture
def developers(api_key: ApiKey) -> str:
    return f"/merchants/{api_key.merchant.public_id}/developers/"


def press(console: Client, page: Element, name: str, here: str, htmx: bool = True) -> object:
    """Press a button of the grid as a browser does, with htmx or without."""
    button = page.button(name)
    data = button.form.values()
    if not htmx:
        return console.post(button.get("formaction") or button.form["action"], data)
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{here}"}
    return console.post(button["hx-post"], data, headers=headers)


def test_disable_and_enable_answer_with_the_row_and_an_undo(
    console: Client, api_key: ApiKey, developers: str
) -> None:
    here = f"{developers}?status=enabled&q=Key"
    response = press(console, page_of(console.get(here)), "Disable", here)
    part = parse(response.content.decode())

    assert response.status_code == 200
    row = part.one("tr", id=f"row-{api_key.public_id}")
    assert row.one("th").one("a").text == api_key.name
    assert "row-changed" in row["class"]
    assert row.one(class_="badge").text == "Disabled"
    assert row.has("button", "Enable")

    outside = part.one("div", id="messages")
    assert outside["hx-swap-oob"] == "innerHTML"
    assert messages_of(part) == [f"“{api_key.name}” disabled. Requests with it are refused from now on."]
    undo = outside.button("Undo")
    assert undo.form["action"] == f"/keys/{api_key.public_id}/enable/"
    assert undo.form.values()["next"] == [here]

    undone = console.post(undo.form["action"], undo.form.values())
    assert undone["Location"] == here
    page = page_of(console.get(here))
    assert messages_of(page) == [f"“{api_key.name}” enabled. Requests with it are answered again."]
    assert row_names(page) == [api_key.name]


def test_a_message_is_shown_once(console: Client, api_key: ApiKey, developers: str) -> None:
    press(console, page_of(console.get(developers)), "Disable", developers)

    assert messages_of(page_of(console.get(developers))) == []


def test_without_scripts_the_same_buttons_come_back_to_the_grid(
    console: Client, api_key: ApiKey, developers: str
) -> None:
    here = f"{developers}?q=Key&sort=name"
    response = press(console, page_of(console.get(here)), "Disable", here, htmx=False)

    assert response.status_code == 302
    assert response["Location"] == here
    page = page_of(console.get(here))
    assert len(messages_of(page)) == 1
    assert page.button("Undo").form.values()["next"] == [here]


def test_a_step_that_came_too_late_answers_with_the_row_as_it_is(
    console: Client, operator: User, api_key: ApiKey, developers: str
) -> None:
    page = page_of(console.get(developers))
    console.post(f"/keys/{api_key.public_id}/disable/")
    before = HistoryEntry.objects.count()
    console.get("/merchants/")

    part = parse(press(console, page, "Disable", developers).content.decode())

    assert part.one("tr").one(class_="badge").text == "Disabled"
    assert messages_of(part) == [
        f"This API key is Disabled already, by {operator.display_name}. There is nothing left to do."
    ]
    assert HistoryEntry.objects.count() == before


def test_a_key_in_use_says_so_when_it_is_disabled(console: Client, api_key: ApiKey, developers: str) -> None:
    use(api_key, succeeded=1_200)
    part = parse(press(console, page_of(console.get(developers)), "Disable", developers).content.decode())

    assert messages_of(part)[0].endswith("refused from now on. It made 1,200 requests in the last hour.")


@pytest.mark.parametrize("here", ["", "http://[", "https://testserver:99999/x", "x" * 5000, "\xff"])
def test_a_broken_address_of_the_page_is_of_no_account(
    console: Client, api_key: ApiKey, developers: str, here: str
) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": here}
    part = parse(console.post(f"/keys/{api_key.public_id}/disable/", headers=headers).content.decode())

    assert part.one("tr").one(class_="badge").text == "Disabled"
    if here in {"", "http://["}:
        assert part.button("Undo").form.values()["next"] == [developers]


def test_one_form_serves_all_rows(console: Client, api_key: ApiKey, developers: str) -> None:
    for _ in range(5):
        ApiKeyFactory(merchant=api_key.merchant)
    page = page_of(console.get(developers))

    buttons = page.all("button", "Disable")
    assert len(buttons) == 6
    assert {button.form["id"] for button in buttons} == {"row-actions"}
    assert len({button["formaction"] for button in buttons}) == 6
    assert {button["hx-include"] for button in buttons} == {"#row-actions"}
