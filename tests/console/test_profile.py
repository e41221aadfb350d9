"""A person's own settings: name, theme, shortcuts."""

import pytest
from django.test import Client

from keys import merchants
from keys.console.actors import actor_of
from keys.models import HistoryEntry, User
from tests.console.page import messages_of, page_of
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def save(console: Client, **typed: object) -> object:
    form = page_of(console.get("/profile/")).button("Save profile").form.values()
    return console.post("/profile/", form | typed)


def test_the_form_holds_what_is_stored_and_saves_what_is_typed(console: Client, operator: User) -> None:
    page = page_of(console.get("/profile/"))
    form = page.button("Save profile").form.values()
    assert (form["first_name"], form["theme"], form["keyboard_shortcuts"]) == (
        [operator.first_name], ["system"], ["on"],
    )  # fmt: skip

    response = console.post(
        "/profile/", form | {"first_name": " Grace  Ann ", "last_name": "Hopper", "theme": "dark"}
    )
    assert response["Location"] == "/profile/"
    operator.refresh_from_db()
    assert (operator.first_name, operator.last_name, operator.theme) == ("Grace Ann", "Hopper", "dark")
    page = page_of(console.get("/profile/"))
    assert messages_of(page) == ["Profile saved."]
    assert page.one("html")["data-theme"] == "dark"
    assert "Grace Ann Hopper" in page.one(class_="account-name").text


def test_shortcuts_can_be_switched_off(console: Client, operator: User) -> None:
    def has_script() -> bool:
        return any(
            "shortcuts.js" in script["src"] for script in page_of(console.get("/profile/")).all("script")
        )

    assert has_script()
    save(console, keyboard_shortcuts=[])
    operator.refresh_from_db()
    assert operator.keyboard_shortcuts is False
    assert not has_script()


@pytest.mark.parametrize("theme", ["light", "dark", "system"])
def test_the_switch_of_every_page_saves_the_theme_alone_and_comes_back(
    console: Client, operator: User, theme: str
) -> None:
    page = page_of(console.get("/merchants/?q=x"))
    button = page.button(theme.capitalize())
    assert button["value"] == theme
    User.objects.filter(pk=operator.pk).update(first_name="Changed meanwhile", keyboard_shortcuts=False)

    response = console.post("/profile/", button.form.values() | {"theme": theme})
    assert response["Location"] == "/merchants/?q=x"
    operator.refresh_from_db()
    assert (operator.theme, operator.first_name, operator.keyboard_shortcuts) == (
        theme,
        "Changed meanwhile",
        False,
    )
    again = page_of(console.get("/merchants/?q=x"))
    assert again.one("html")["data-theme"] == theme
    assert again.button(theme.capitalize())["aria-pressed"] == "true"
    assert messages_of(again) == []


@pytest.mark.parametrize(("typed", "told"), [
    ({"theme": "evil"}, "Select a valid choice. evil is not one of the available choices."),
    ({"theme": ""}, "This field is required."),
    ({"theme": []}, "This field is required."),
    ({"first_name": "x" * 151}, "at most 150 characters"),
    ({"last_name": "a\u202eb"}, "Last name contains an invisible character (U+202E)."),
    ({"first_name": "a\0b"}, "Null characters are not allowed."),
    ({"first_name": "a\x1bb"}, "First name contains an invisible character (U+001B)."),
])  # fmt: skip
def test_what_cannot_be_is_refused_kept_in_the_form_and_not_shown_as_if_it_were_saved(
    console: Client, operator: User, typed: dict[str, object], told: str
) -> None:
    before = User.objects.filter(pk=operator.pk).values().get()
    page = page_of(save(console, **({"first_name": "Typed", "theme": "dark"} | typed)), 422)

    assert told in page.one(class_="error-summary").text
    kept = page.button("Save profile").form.values()
    assert kept["first_name"] == [typed.get("first_name", "Typed")]
    assert page.one("html")["data-theme"] == "system"
    assert operator.display_name in page.one(class_="account-name").text
    assert User.objects.filter(pk=operator.pk).values().get() == before


def test_a_forged_switch_is_refused_with_a_whole_form(console: Client, operator: User) -> None:
    page = page_of(console.post("/profile/", {"partial": "1", "theme": "evil"}), 422)

    assert page.one("input", name="first_name")["value"] == operator.first_name
    assert console.post("/profile/", {"partial": "1"}).status_code == 302
    operator.refresh_from_db()
    assert operator.theme == "system"


def test_nobody_makes_themselves_more_than_they_are(client: Client) -> None:
    plain = UserFactory()
    client.force_login(plain)
    save(
        client,
        is_superuser="on",
        is_staff="on",
        username="root",
        password="x",
        email="x@evil.example",
        id="1",
    )

    stored = User.objects.get(pk=plain.pk)
    assert (stored.is_superuser, stored.is_staff, stored.username, stored.email) == (
        False, False, plain.username, plain.email,
    )  # fmt: skip
    assert stored.password == plain.password


def test_a_strange_name_is_text_wherever_it_stands(console: Client, operator: User, rf: object) -> None:
    save(console, first_name="<script>alert(1)</script>", last_name="\"'>{{ 7 }}")
    operator.refresh_from_db()
    request = rf.get("/")
    merchant = merchants.create(name="A", actor=actor_of(request, operator))

    for address in ("/profile/", f"/merchants/{merchant.public_id}/"):
        page = page_of(console.get(address))
        assert "<script>alert(1)</script> \"'>{{ 7 }}" in page.text
        assert all(script.get("src") for script in page.all("script"))
    assert HistoryEntry.objects.get().actor_name == "<script>alert(1)</script> \"'>{{ 7 }}"


def test_a_person_without_a_name_goes_by_the_user_name(client: Client) -> None:
    client.force_login(UserFactory(username="ghost", first_name="", last_name=""))
    page = page_of(client.get("/profile/"))

    assert "ghost" in page.one(class_="account-name").text
    assert page.one(class_="avatar").text == "G"
    assert not page.has("a", "Django admin")
    assert not page.has("a", "Components")
