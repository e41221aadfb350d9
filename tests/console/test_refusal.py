"""Whether a dead key is dead: what the pages of a key and of an account say of it, and how they go on saying it."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from keys import lifecycle, merchants
from keys.history import Actor
from keys.identifiers import REQUEST, encode
from keys.models import ApiKey, Change, RecordingLoss, Verifier
from tests.console.page import Element, page_of
from tests.factories import AcknowledgementFactory, ApiKeyFactory, VerifierFactory, use

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_spool")]

SECOND = timedelta(seconds=1)
HTMX = {"HX-Request": "true"}
LONG_MS = 3_600_000


@pytest.fixture
def verifiers() -> list[Verifier]:
    """Three that have been running for an hour, and do so still."""
    return [VerifierFactory(host=f"web-{number}", process=4711, lease_ms=LONG_MS) for number in (1, 2, 3)]


@pytest.fixture
def dead(verifiers: list[Verifier], api_key: ApiKey, actor: Actor) -> ApiKey:
    """A key that was disabled just now."""
    return lifecycle.disable(key=api_key, actor=actor)


def change_of(key: ApiKey) -> Change:
    return Change.objects.filter(subject_id=key.pk).latest("id")


def answer(key: ApiKey, *verifiers: Verifier) -> None:
    for number, verifier in enumerate(verifiers, start=1):
        AcknowledgementFactory(change=change_of(key), verifier=verifier, delay_ms=10 * number)


def backdate(key: ApiKey, span: timedelta) -> datetime:
    """Have it all happened earlier; returns the moment of the change."""
    change = change_of(key)
    Change.objects.filter(pk=change.pk).update(at=change.at - span)
    for given in change.acknowledgements.all():
        change.acknowledgements.filter(pk=given.pk).update(at=given.at - span)
    return change.at - span


def clock(moment: datetime) -> str:
    if moment.date() != timezone.now().date():
        return f"{moment:%-d %b, %H:%M:%S} UTC"
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03} UTC"


def shown(console: Client, subject: object, **headers: str) -> Element:
    return page_of(console.get(subject.get_absolute_url(), headers=headers)).one(id="proof")


def sentences(proof: Element) -> list[str]:
    return [paragraph.text for paragraph in proof.all("p") if paragraph.text]


# -- What it says ------------------------------------------------------------------------------------------------------


def test_a_key_that_works_says_nothing_of_refusal(console: Client, api_key: ApiKey) -> None:
    for subject in (api_key, api_key.merchant):
        assert not page_of(console.get(subject.get_absolute_url())).has(id="proof")


def test_refused_by_all_of_them(console: Client, dead: ApiKey, verifiers: list[Verifier]) -> None:
    [request] = use(dead, succeeded=1)
    answer(dead, *verifiers)
    proof = shown(console, dead)

    assert proof["aria-label"] == "Refusal"
    finding, facts = sentences(proof)
    assert finding == "Refused by 3 of 3 verifiers after 30 ms."
    public_id = encode(REQUEST, request.id)
    assert (
        facts
        == f"Disabled: {clock(change_of(dead).at)} Last accepted request: {clock(request.at)}, {public_id}"
    )
    assert proof.one("a")["href"] == f"/requests/{public_id}/"
    assert datetime.fromisoformat(proof.all("time")[1]["datetime"]) == request.at.replace(
        microsecond=request.at.microsecond // 1000 * 1000
    )
    assert "proof-pending" not in proof["class"]


def test_who_has_not_answered_is_named_with_the_end_of_its_lease(
    console: Client, dead: ApiKey, verifiers: list[Verifier]
) -> None:
    answer(dead, *verifiers[:2])
    proof = shown(console, dead)

    finding, remark, facts, *_ = sentences(proof)
    assert finding == "Refused by 2 of 3 verifiers."
    ends_at = clock(verifiers[2].seen_at + timedelta(milliseconds=LONG_MS))
    assert remark.startswith("web-3:4711 has not answered; its lease ends at ")
    assert remark.endswith(f"{ends_at.partition('.')[0].removesuffix(' UTC')} UTC.")
    assert facts.endswith("Last accepted request: none on record")
    assert "proof-pending" in proof["class"]
    assert proof.one("noscript").link("Look again")["href"] == dead.get_absolute_url()
    marks = [mark["class"] for mark in proof.one(aria_hidden="true", class_="dots").all("span")]
    assert marks == ["dot dot-answered", "dot dot-answered", "dot dot-pending"]


def test_of_many_who_have_not_answered_five_are_named(console: Client, dead: ApiKey) -> None:
    for number in range(30):
        VerifierFactory(host="more", process=number, lease_ms=LONG_MS, started_at=change_of(dead).at)
    said = sentences(shown(console, dead))
    assert sum("has not answered" in each for each in said) == 5
    assert "So it is with 28 other verifiers." in said


def test_where_every_request_reads_there_is_nobody_to_wait_for(
    console: Client, api_key: ApiKey, actor: Actor
) -> None:
    lifecycle.disable(key=api_key, actor=actor)
    at = clock(change_of(api_key).at).partition(".")[0].removesuffix(" UTC")
    reason = {
        "sqlite": "every verifier reads the database on each request.",
        "postgresql": "no verifier was running then that could remember anything else.",
    }[connection.vendor]
    proof = shown(console, api_key)
    assert sentences(proof)[0] == f"In force since {at} UTC: {reason}"
    assert not proof.has(class_="dots")


def test_a_contradiction_is_loud(console: Client, dead: ApiKey, verifiers: list[Verifier]) -> None:
    answer(dead, *verifiers)
    at = backdate(dead, 10 * SECOND)
    use(dead, succeeded=1, at=at + 9 * SECOND)
    proof = shown(console, dead)

    assert "proof-contradicted" in proof["class"]
    warning = proof.one("p", role="alert")
    assert warning.text.startswith("A request was accepted 8,970 ms later than that.")
    use(dead, failed=1, at=at + 9.5 * SECOND, status=401, outcome="DISABLED")
    assert shown(console, dead).one("a")["href"] == proof.one("a")["href"]


def test_a_revoked_key_and_a_disabled_account_have_their_own_words(
    console: Client, dead: ApiKey, actor: Actor, verifiers: list[Verifier]
) -> None:
    lifecycle.revoke(key=dead, actor=actor)
    answer(dead, *verifiers)
    assert sentences(shown(console, dead))[-1].startswith("Revoked: ")

    merchants.disable(merchant=dead.merchant, actor=actor)
    for subject in (dead.merchant, ApiKeyFactory(merchant=dead.merchant)):
        said = sentences(shown(console, subject))
        assert said[0] == "Refused by 0 of 3 verifiers."
        assert said[4].startswith("Merchant account disabled: ")
    # The key itself was refused before.
    assert sentences(shown(console, dead))[0] == "Refused by 3 of 3 verifiers after 30 ms."


def test_names_of_hosts_are_text(console: Client, api_key: ApiKey, actor: Actor) -> None:
    VerifierFactory(host="<b>&amp;", process=1, lease_ms=LONG_MS)
    lifecycle.disable(key=api_key, actor=actor)
    assert sentences(shown(console, api_key))[1].startswith("<b>&amp;:1 has not answered")


def test_in_the_end_each_verifier_is_listed(console: Client, dead: ApiKey, verifiers: list[Verifier]) -> None:
    answer(dead, *verifiers[:2])
    Verifier.objects.filter(pk=verifiers[2].pk).update(stopped_at=change_of(dead).at + SECOND / 1000)
    assert not shown(console, dead).has("details")
    backdate(dead, 60 * SECOND)
    Verifier.objects.update(stopped_at=change_of(dead).at + SECOND)
    rows = shown(console, dead).one("details").one("tbody").all("tr")
    assert [(row.one("th", scope="row").text, row.one("td").text) for row in rows] == [
        ("web-1:4711", "10 ms"),
        ("web-2:4711", "20 ms"),
        ("web-3:4711", "no answer"),
    ]


def test_right_after_the_button_the_page_tells(
    console: Client, verifiers: list[Verifier], api_key: ApiKey
) -> None:
    here = api_key.get_absolute_url()
    form = page_of(console.get(here)).button("Disable").form
    proof = page_of(console.post(form["action"], form.values(), follow=True)).one(id="proof")
    assert sentences(proof)[0] == "Refused by 0 of 3 verifiers."
    assert proof["hx-get"] == f"{here}?waiting=1"


# -- How it goes on ----------------------------------------------------------------------------------------------------


def asks_again(proof: Element) -> str | None:
    assert proof.get("hx-trigger") == ("every 1s" if proof.get("hx-get") else None)
    assert proof.get("hx-swap") == ("outerHTML" if proof.get("hx-get") else None)
    return proof.get("hx-get")


def test_it_asks_again_until_nothing_more_is_to_be_expected(
    console: Client, dead: ApiKey, verifiers: list[Verifier]
) -> None:
    here = dead.get_absolute_url()
    answer(dead, *verifiers[:2])
    backdate(dead, 2 * SECOND)
    assert asks_again(shown(console, dead)) == f"{here}?waiting=1"

    answer(dead, verifiers[2])
    assert asks_again(shown(console, dead)) == here
    backdate(dead, 60 * SECOND)
    for headers in ({}, HTMX):
        assert asks_again(shown(console, dead, **headers)) is None


def test_the_part_is_what_the_page_has_there(console: Client, dead: ApiKey, actor: Actor) -> None:
    account = merchants.disable(merchant=dead.merchant, actor=actor)
    use(dead, succeeded=1)
    for subject in (dead, account):
        response = console.get(f"{subject.get_absolute_url()}?waiting=1", headers=HTMX)
        part = page_of(response)
        assert [child["id"] for child in part.children if isinstance(child, Element)] == ["proof"]
        assert part.one(id="proof").text == shown(console, subject).text
        assert not part.has("h1")


def test_page_and_part_are_told_apart_by_whoever_keeps_them(console: Client, dead: ApiKey) -> None:
    for subject in (dead, dead.merchant):
        for headers in ({}, HTMX):
            response = console.get(subject.get_absolute_url(), headers=headers)
            assert {"HX-Request", "Cookie"} <= set(response["Vary"].split(", "))


@pytest.mark.parametrize(
    "headers",
    [{"HX-Request": "false"}, HTMX | {"HX-Boosted": "true"}, HTMX | {"HX-History-Restore-Request": "true"}],
)
def test_whoever_wants_the_page_gets_the_page(console: Client, dead: ApiKey, headers: dict[str, str]) -> None:
    for subject in (dead, dead.merchant):
        assert page_of(console.get(subject.get_absolute_url(), headers=headers)).has("h1")


def test_who_waited_is_told_once_when_it_is_settled(
    console: Client, dead: ApiKey, verifiers: list[Verifier]
) -> None:
    def announced(proof: Element) -> list[str]:
        part = page_of(console.get(proof["hx-get"], headers=HTMX))
        assert all(each["hx-swap-oob"] == "innerHTML" for each in part.all(id="announcer"))
        return [each.text for each in part.all(id="announcer")]

    waiting = shown(console, dead)
    assert announced(waiting) == []
    answer(dead, *verifiers)
    assert announced(waiting) == ["Refused by 3 of 3 verifiers after 30 ms."]
    assert announced(shown(console, dead)) == []
    # The page has the live region that is spoken of; what is in sight is none, or each second would be read out.
    page = page_of(console.get(dead.get_absolute_url()))
    assert page.one(id="announcer")["aria-live"] == "polite"
    assert not page.one(id="proof").has(aria_live=True)
    assert page.one(id="proof").get("role") is None


def test_a_key_that_is_enabled_meanwhile_leaves_an_empty_place(
    console: Client, dead: ApiKey, actor: Actor
) -> None:
    lifecycle.enable(key=dead, actor=actor)
    part = shown(console, dead, **HTMX)
    assert (part.text, part.get("hidden"), asks_again(part)) == ("", "", None)


def test_the_part_leads_a_stranger_to_sign_in(client: Client, dead: ApiKey) -> None:
    here = dead.get_absolute_url()
    response = client.get(here, headers=HTMX | {"HX-Current-URL": f"http://testserver{here}"})
    assert response["HX-Redirect"].startswith("/accounts/login/?next=%2Fkeys%2F")


# -- What was not recorded ---------------------------------------------------------------------------------------------


@pytest.fixture
def lose() -> Callable[..., RecordingLoss]:
    """A loss of 1,204 requests, a quarter of an hour ago unless `at` is given."""

    def lose(**given: object) -> RecordingLoss:
        at = timezone.now() - timedelta(minutes=15)
        return RecordingLoss.objects.create(
            **{"requests": 1_204, "at": at, "host": "web-1", "reason": "spool_full"} | given
        )

    return lose


def notices(page: Element) -> list[str]:
    return [banner.text for banner in page.all(class_="banner") if "recorded" in banner.text]


def test_pages_with_figures_say_what_they_lack(
    console: Client, api_key: ApiKey, lose: Callable[..., RecordingLoss]
) -> None:
    account = api_key.merchant.get_absolute_url()
    pages = (api_key.get_absolute_url(), account, f"{account}developers/")
    for address in pages:
        assert notices(page_of(console.get(address))) == []

    at = lose().at
    when = f"{at:%H:%M}" if at.date() == timezone.now().date() else f"{at:%-d %b, %H:%M}"
    told = f"1,204 requests could not be recorded at {when} UTC: the figures lack them."
    for address in pages:
        assert notices(page_of(console.get(address))) == [f"{told} The spool had reached its limit."]
    for address in ("/profile/", f"{account}developers/new/"):
        assert notices(page_of(console.get(address))) == []
    assert notices(page_of(console.get(f"{account}developers/", headers=HTMX))) == []


def test_a_loss_that_is_older_than_the_figures_is_not_told(
    console: Client, api_key: ApiKey, lose: Callable[..., RecordingLoss]
) -> None:
    lose(at=timezone.now() - timedelta(hours=25))
    assert notices(page_of(console.get(api_key.get_absolute_url()))) == []
