"""Forms: nothing is made twice, nothing is lost unasked, and errors stand where the eye and the focus are."""

import re

import pytest
from playwright.sync_api import Dialog, Page, expect

from keys.models import ApiKey, Merchant
from tests.browser import console
from tests.browser.conftest import Browse
from tests.browser.product import Product
from tests.factories import ApiKeyFactory, MerchantFactory, UserFactory, use

pytestmark = pytest.mark.browser


@pytest.fixture
def merchant(product: Product) -> Merchant:
    return MerchantFactory()


@pytest.fixture
def key(merchant: Merchant) -> ApiKey:
    return ApiKeyFactory(merchant=merchant, name="Checkout", description="For the web shop")


@pytest.fixture
def new_key(page: Page, merchant: Merchant) -> Page:
    """The form of a new key, with its name typed."""
    page.goto(f"{console.developers(merchant)}new/")
    page.get_by_label("Key name").click()
    page.keyboard.type("Fresh")
    return page


class Asked:
    """Answers the browser's question whether to leave, and counts how often it came."""

    def __init__(self, page: Page) -> None:
        self.times = 0
        self.leave = False
        page.on("dialog", self.answer)

    def answer(self, dialog: Dialog) -> None:
        assert dialog.type == "beforeunload"
        self.times += 1
        if self.leave:
            dialog.accept()
        else:
            dialog.dismiss()


def create(page: Page) -> None:
    page.get_by_role("button", name="Create API key").click()


def names_of(merchant: Merchant) -> list[str]:
    return list(merchant.api_keys.order_by("id").values_list("name", flat=True))


def expect_created(page: Page) -> None:
    expect(page.get_by_role("heading", name="API key created", level=1)).to_be_visible()


def test_a_double_click_makes_one_key_and_shows_it(new_key: Page, merchant: Merchant) -> None:
    sent = []
    new_key.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    new_key.get_by_role("button", name="Create API key").dblclick()
    expect_created(new_key)
    assert names_of(merchant) == ["Fresh"]
    assert len(sent) == 1


def test_reloading_the_answer_leads_to_the_key_that_it_made(new_key: Page, merchant: Merchant) -> None:
    create(new_key)
    expect_created(new_key)
    new_key.reload()
    expect(console.message(new_key, "This API key was created already.")).to_be_visible()
    expect(new_key.get_by_role("heading", name="Fresh", level=1)).to_be_visible()
    assert names_of(merchant) == ["Fresh"]


def test_back_from_the_answer_is_a_form_that_cannot_make_it_again(new_key: Page, merchant: Merchant) -> None:
    create(new_key)
    expect_created(new_key)
    new_key.go_back()
    expect(new_key.get_by_role("heading", name="New API key", level=1)).to_be_visible()
    new_key.get_by_label("Key name").fill("Fresh")
    create(new_key)
    expect(new_key.get_by_text("already has an API key called “Fresh”").first).to_be_visible()
    assert names_of(merchant) == ["Fresh"]


def test_leaving_with_unsaved_changes_asks_first(new_key: Page) -> None:
    asked = Asked(new_key)
    new_key.get_by_role("link", name="Cancel").click()
    expect(new_key.get_by_label("Key name")).to_have_value("Fresh")
    assert asked.times == 1
    asked.leave = True
    new_key.get_by_role("link", name="Cancel").click()
    expect(new_key.get_by_role("heading", name="No API keys yet")).to_be_visible()
    assert asked.times == 2


def test_leaving_without_unsaved_changes_asks_nothing(page: Page, key: ApiKey) -> None:
    asked = Asked(page)
    page.goto(console.api_key_page(key))
    field = page.get_by_label("Key name")
    field.click()
    page.keyboard.press("End")
    page.keyboard.type("!")
    page.keyboard.press("Backspace")
    page.get_by_role("link", name="Developers", exact=True).click()
    expect(console.api_keys(page)).to_be_visible()
    page.go_back()
    field.click()
    page.keyboard.press("End")
    page.keyboard.type("!")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("heading", name="Checkout!", level=1)).to_be_visible()
    page.get_by_role("link", name="Duplicate", exact=True).click()
    expect(page.get_by_role("heading", name="New API key", level=1)).to_be_visible()
    assert asked.times == 0


def test_errors_stand_beside_their_fields_and_are_summed_up_on_top(new_key: Page, merchant: Merchant) -> None:
    new_key.get_by_label("Key name").fill("")
    new_key.get_by_role("heading", name="Limits").click()
    new_key.get_by_label("Allowed networks").fill("203.0.113.0/24\neverywhere")
    create(new_key)
    summary = new_key.get_by_role("alert").filter(has_text="2 things need your attention")
    expect(summary).to_be_focused()
    expect(new_key.get_by_label("Allowed networks")).to_have_value("203.0.113.0/24\neverywhere")
    for label, error in (
        ("Key name", "Enter a key name."),
        ("Allowed networks", "“everywhere” is not a network."),
    ):
        field = new_key.get_by_label(label)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(re.compile(re.escape(error)))
        summary.get_by_role("link", name=error).click()
        expect(field).to_be_focused()
    assert names_of(merchant) == []


def test_a_refused_save_keeps_what_was_typed(page: Page, key: ApiKey) -> None:
    page.goto(console.api_key_page(key))
    page.get_by_label("Key name").fill("x" * 81)
    page.get_by_label("Description").fill("Still here")
    page.get_by_role("button", name="Save changes").click()
    summary = page.get_by_role("alert").filter(has_text="One thing needs your attention")
    expect(summary).to_be_focused()
    expect(page.get_by_label("Key name")).to_have_value("x" * 81)
    expect(page.get_by_label("Key name")).to_have_accessible_description(
        re.compile("81 characters long; 80 is the most")
    )
    expect(page.get_by_label("Description")).to_have_value("Still here")
    expect(page.get_by_role("heading", name="Checkout", level=1)).to_be_visible()
    assert ApiKey.objects.get(pk=key.pk).description == "For the web shop"


def test_two_people_never_overwrite_each_other_silently(browse: Browse, key: ApiKey) -> None:
    ada, grace = (
        browse(person=UserFactory(operator=True, first_name=name, last_name="Byron"))
        for name in ("Ada", "Grace")
    )
    for page in (ada, grace):
        page.goto(console.api_key_page(key))
    ada.get_by_label("Description").fill("For the app")
    ada.get_by_role("button", name="Save changes").click()
    expect(console.message(ada, "Changes saved.")).to_be_visible()
    grace.get_by_label("Key name").fill("Till")
    grace.get_by_role("button", name="Save changes").click()
    conflict = grace.get_by_role("alert").filter(
        has_text="Ada Byron saved this key while you were editing it."
    )
    expect(conflict).to_be_focused()
    expect(conflict).to_contain_text("Description now")
    expect(conflict).to_contain_text("For the app")
    expect(grace.get_by_label("Key name")).to_have_value("Till")
    assert ApiKey.objects.get(pk=key.pk).name == "Checkout"
    grace.get_by_role("button", name="Save changes").click()
    expect(grace.get_by_role("heading", name="Till", level=1)).to_be_visible()
    latest = grace.get_by_role("listitem").filter(has_text="Grace Byron").first
    expect(latest).to_contain_text("For the app became For the web shop")


def test_of_two_people_who_disable_at_once_one_is_told_of_the_other(browse: Browse, key: ApiKey) -> None:
    ada, grace = (
        browse(person=UserFactory(operator=True, first_name=name, last_name="Byron"))
        for name in ("Ada", "Grace")
    )
    for page in (ada, grace):
        page.goto(console.api_key_page(key))
    for page in (ada, grace):
        page.get_by_role("button", name="Disable", exact=True).click()
    expect(console.message(ada, "“Checkout” disabled.")).to_be_visible()
    expect(console.message(grace, "This API key is Disabled already, by Ada Byron.")).to_be_visible()
    expect(grace.get_by_role("button", name="Enable", exact=True)).to_be_visible()


def test_the_revoke_dialog_takes_the_focus_and_gives_it_back(page: Page, merchant: Merchant) -> None:
    key = ApiKeyFactory(merchant=merchant, name="Old", disabled=True)
    page.goto(console.api_key_page(key))
    opener = page.get_by_role("button", name="Revoke", exact=True)
    dialog = page.get_by_role("dialog", name="Revoke “Old”?")
    opener.click()
    expect(dialog.get_by_label("Type Old to confirm")).to_be_focused()
    expect(dialog).to_contain_text("This key made no requests in the last 24 hours.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    opener.press("Enter")
    dialog.get_by_role("link", name="Cancel").click()
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    assert ApiKey.objects.get(pk=key.pk).is_disabled


def test_a_wrong_name_to_confirm_is_refused_where_it_was_typed(page: Page, merchant: Merchant) -> None:
    key = ApiKeyFactory(merchant=merchant, name="Old", disabled=True)
    page.goto(console.api_key_page(key))
    page.get_by_role("button", name="Revoke", exact=True).click()
    page.keyboard.type("New")
    page.keyboard.press("Enter")
    field = page.get_by_label("Type Old to confirm")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("That is not this key's name."))
    expect(page.get_by_role("alert").filter(has_text="One thing needs your attention")).to_be_focused()
    expect(field).to_have_value("New")
    assert ApiKey.objects.get(pk=key.pk).is_disabled


def test_disabling_a_key_in_use_says_how_much_it_was_used(page: Page, key: ApiKey) -> None:
    use(key, succeeded=2)
    page.goto(console.api_key_page(key))
    page.get_by_role("button", name="Disable", exact=True).click()
    told = console.message(page, "It made 2 requests in the last hour.")
    told.get_by_role("button", name="Undo").click()
    expect(console.message(page, "“Checkout” enabled.")).to_be_visible()
    expect(page).to_have_url(re.compile(console.api_key_page(key) + "$"))


def test_presets_choose_permissions_and_the_review_says_what_they_mean(new_key: Page) -> None:
    review = new_key.locator("[data-review]")
    expect(review).to_contain_text("This key can do nothing but say who it is.")
    console.choose_permission(new_key, "Payments", "Write")
    console.choose_permission(new_key, "Refunds", "Read")
    expect(review).to_contain_text("This key can read and change payments.")
    expect(review).to_contain_text("It can read refunds, and change nothing there.")
    expect(review).to_contain_text(re.compile("It cannot touch .*payouts"))
    new_key.get_by_role("button", name="None", exact=True).click()
    expect(review).to_contain_text("This key can do nothing but say who it is.")


def test_permissions_are_shown_as_they_were_chosen(new_key: Page, merchant: Merchant) -> None:
    console.choose_permission(new_key, "Payments", "Write")
    console.choose_permission(new_key, "Refunds", "Read")
    create(new_key)
    new_key.get_by_role("link", name="Open the key's page").click()
    permissions = new_key.get_by_role("region", name="Permissions")
    expect(permissions).to_contain_text(re.compile(r"Payments\s*Write"))
    expect(permissions).to_contain_text(re.compile(r"Refunds\s*Read"))
    expect(permissions).to_contain_text(re.compile(r"Payouts\s*None"))
    assert ApiKey.objects.get(merchant=merchant).permissions == "payments:write refunds:read"


def test_a_duplicate_is_linked_to_its_origin_in_both_histories(page: Page, key: ApiKey) -> None:
    page.goto(console.api_key_page(key))
    page.get_by_role("link", name="Duplicate", exact=True).click()
    create(page)
    page.get_by_role("link", name="Open the key's page").click()
    corner = page.get_by_role("region", name="Developers corner")
    expect(page.get_by_role("heading", name="Checkout (copy)", level=1)).to_be_visible()
    corner.get_by_role("link", name="Checkout", exact=True).click()
    expect(page.get_by_role("heading", name="Checkout", level=1)).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Duplicated")).to_have_count(1)


def test_a_second_merchant_account_of_the_same_name_asks_to_be_confirmed(page: Page) -> None:
    twin = MerchantFactory(name="Twin Peaks Coffee")
    page.goto("/merchants/new/")
    page.get_by_label("Name", exact=True).fill(twin.name)
    page.get_by_role("button", name="Create merchant account").click()
    expect(page.get_by_role("alert")).to_contain_text("A merchant account with this name exists already.")
    assert Merchant.objects.filter(name=twin.name).count() == 1
    page.get_by_label("This is another business with the same name").check()
    page.get_by_role("button", name="Create merchant account").click()
    expect(page.get_by_role("heading", name=twin.name, level=1)).to_be_visible()
    expect(console.message(page, f"Merchant account “{twin.name}” created.")).to_be_visible()
    assert Merchant.objects.filter(name=twin.name).count() == 2


def test_a_merchant_account_is_renamed_disabled_and_enabled(
    page: Page, merchant: Merchant, product: Product
) -> None:
    key = ApiKeyFactory(merchant=merchant).secret.reveal()
    page.goto(f"/merchants/{merchant.public_id}/")
    page.get_by_label("Name", exact=True).fill("Renamed Ltd")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("heading", name="Renamed Ltd", level=1)).to_be_visible()
    page.get_by_role("button", name="Disable merchant account").click()
    expect(console.message(page, "Requests with any of its keys are refused from now on.")).to_be_visible()
    assert product.request_with(key).status == 401
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Disable merchant account")).to_be_visible()
    assert product.request_with(key).status == 200
