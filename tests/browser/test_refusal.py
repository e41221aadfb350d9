"""Watching a key die: the page goes on saying who refuses it, until all do, and disturbs nobody meanwhile."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from keys.models import ApiKey, Change, Verifier
from tests.browser import console
from tests.browser.conftest import Browse
from tests.browser.product import Product
from tests.factories import AcknowledgementFactory, ApiKeyFactory, VerifierFactory

pytestmark = pytest.mark.browser


@pytest.fixture
def verifiers(product: Product) -> Iterator[list[Verifier]]:
    """Two that run, and do not answer by themselves."""
    verifiers = [VerifierFactory(host=f"web-{number}", process=4711, lease_ms=3_600_000) for number in (1, 2)]
    yield verifiers
    # Or they would be concerned by what other tests do.
    Verifier.objects.filter(pk__in=[verifier.pk for verifier in verifiers]).delete()


@pytest.fixture
def key(verifiers: list[Verifier]) -> ApiKey:
    return ApiKeyFactory(name="Leaked")


def refusal(page: Page) -> Locator:
    return page.get_by_role("region", name="Refusal")


def answer(key: ApiKey, verifier: Verifier, delay_ms: int = 41) -> None:
    change = Change.objects.filter(subject_id=key.pk).latest("id")
    AcknowledgementFactory(change=change, verifier=verifier, delay_ms=delay_ms)


def disable(page: Page, key: ApiKey) -> None:
    page.goto(console.api_key_page(key))
    page.get_by_role("button", name="Disable", exact=True).click()
    expect(refusal(page)).to_contain_text("Refused by 0 of 2 verifiers.")


def let_time_pass(key: ApiKey) -> None:
    """Have the key disabled a minute ago, so that nothing more is expected."""
    change = Change.objects.filter(subject_id=key.pk).latest("id")
    Change.objects.filter(pk=change.pk).update(at=change.at - timedelta(minutes=1))
    for given in change.acknowledgements.all():
        change.acknowledgements.filter(pk=given.pk).update(at=given.at - timedelta(minutes=1))


def test_the_page_goes_on_until_all_have_answered(page: Page, key: ApiKey, verifiers: list[Verifier]) -> None:
    page.clock.install()
    disable(page, key)
    expect(refusal(page)).to_contain_text("web-1:4711 has not answered; its lease ends at ")
    answer(key, verifiers[0], delay_ms=12)
    expect(refusal(page)).to_contain_text("Refused by 1 of 2 verifiers.")
    expect(console.announced(page)).to_be_empty()

    answer(key, verifiers[1])
    expect(refusal(page)).to_contain_text("Refused by 2 of 2 verifiers after 41 ms.")
    expect(console.announced(page)).to_have_text("Refused by 2 of 2 verifiers after 41 ms.")

    let_time_pass(key)
    expect(refusal(page).get_by_text("Show verifiers")).to_be_visible()
    asked = len(page.context.witness.requested)
    page.clock.run_for(60_000)
    assert page.context.witness.requested[asked:] == []


def test_it_disturbs_nobody_who_works_on_the_page(page: Page, key: ApiKey, verifiers: list[Verifier]) -> None:
    disable(page, key)
    description = page.get_by_label("Description")
    description.press_sequentially("Found in a public ")
    with page.expect_response(lambda response: "?waiting=1" in response.url):
        pass
    answer(key, verifiers[0])
    expect(refusal(page)).to_contain_text("Refused by 1 of 2 verifiers.")
    description.press_sequentially("repository")
    expect(description).to_be_focused()
    expect(description).to_have_value("Found in a public repository")


def test_without_scripts_it_offers_to_look_again(
    browse: Browse, key: ApiKey, verifiers: list[Verifier]
) -> None:
    page = browse(java_script_enabled=False)
    disable(page, key)
    for verifier in verifiers:
        answer(key, verifier)
    refusal(page).get_by_role("link", name="Look again").click()
    expect(refusal(page)).to_contain_text("Refused by 2 of 2 verifiers after 41 ms.")
    expect(refusal(page).get_by_role("link", name="Look again")).to_have_count(0)


def test_a_console_that_does_not_answer_is_told_of_once_and_until_it_does(
    page: Page, key: ApiKey, verifiers: list[Verifier]
) -> None:
    disable(page, key)
    page.context.witness.expect("net::ERR_FAILED")
    page.context.witness.expect("console error: htmx:")
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.route("**/?waiting=1", lambda route: route.abort())
    message = console.message(page, "The console did not answer.")
    expect(message).to_be_visible()
    page.evaluate("document.querySelector('[data-unanswered]').dataset.first = ''")
    while len(failed) < 3:
        page.wait_for_event("requestfailed")
    expect(page.locator("[data-unanswered]")).to_have_count(1)
    expect(page.locator("[data-unanswered][data-first]")).to_have_count(1)

    page.unroute("**/?waiting=1")
    answer(key, verifiers[0])
    expect(refusal(page)).to_contain_text("Refused by 1 of 2 verifiers.")
    expect(message).to_have_count(0)


def test_retry_opens_the_page_anew(page: Page, key: ApiKey, verifiers: list[Verifier]) -> None:
    disable(page, key)
    page.context.witness.expect("net::ERR_FAILED")
    page.context.witness.expect("console error: htmx:")
    page.route("**/?waiting=1", lambda route: route.abort())
    expect(console.message(page, "The console did not answer.")).to_be_visible()
    answer(key, verifiers[0])
    page.get_by_role("button", name="Retry").click()
    expect(refusal(page)).to_contain_text("Refused by 1 of 2 verifiers.")
