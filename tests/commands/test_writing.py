"""`create`, `update`, `duplicate` and `copy`: what they make, what the history says, where the text of a key goes."""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from keys import lifecycle
from keys.errors import SecretUnavailable
from keys.history import Actor
from keys.keyformat import PlaintextKey
from keys.models import ApiKey, HistoryEntry, Merchant, User
from keys.models.history import Action, ActorKind
from tests.commands.conftest import Run
from tests.factories import ApiKeyFactory, MerchantFactory

NEW = ("--name", "Checkout", "--mode", "live", "--permission", "payments:write")


def only(action: Action) -> HistoryEntry:
    return HistoryEntry.objects.get(action=action)


# -- Accounts --------------------------------------------------------------------------------------------------------


def test_an_account_is_created_and_changed(run: Run) -> None:
    made = run(
        "merchants", "create", "--name", "Northwind", "--website", "https://northwind.example/", "--json"
    )
    merchant = Merchant.objects.get()
    assert made.records[0]["id"] == merchant.public_id
    assert (merchant.name, merchant.website) == ("Northwind", "northwind.example")
    run("merchants", "update", merchant, "--website", "", "--revision", "1")
    run("merchants", "update", merchant, "--name", "Northwind Ltd", "--revision", "2")
    merchant.refresh_from_db()
    assert (merchant.name, merchant.website, merchant.revision) == ("Northwind Ltd", "", 3)


def test_two_accounts_share_a_name_only_on_purpose(run: Run, merchant: Merchant) -> None:
    run("merchants", "create", "--name", merchant.name, status=1)
    run("merchants", "create", "--name", merchant.name, "--same-name")
    assert Merchant.objects.filter(name=merchant.name).count() == 2


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("create --name \u202e", 1),
        ("create --name x --website nonsense", 1),
        ("create", 2),
        ("update {}", 2),
        ("update {} --name \u200b", 1),
        ("update {} --website other.example --revision 9", 4),
        ("update {} --revision 0 --name x", 2),
    ],
)
def test_an_account_that_is_refused_is_left_alone(run: Run, merchant: Merchant, words: str, status) -> None:
    before = list(Merchant.objects.values())
    run("merchants", *words.format(merchant.public_id).split(), status=status)
    assert list(Merchant.objects.values()) == before


# -- Keys --------------------------------------------------------------------------------------------------------------


def test_a_key_is_created_with_all_that_is_asked_for(run: Run, merchant: Merchant) -> None:
    options = ("--description", "a b", "--network", "203.0.113.9/24", "--network", "2001:db8::/32")
    ended = run("apikeys", "create", "--merchant", merchant, *NEW, *options, "--expires-at", "+90d", "--json")
    key = ApiKey.objects.get()
    assert "secret" not in ended.records[0]
    assert (key.name, key.mode, key.permissions, key.description) == (
        "Checkout",
        "live",
        "payments:write",
        "a b",
    )
    assert key.allowed_networks == "203.0.113.0/24 2001:db8::/32"
    assert abs(key.expires_at - timezone.now() - timedelta(days=90)) < timedelta(minutes=1)


def test_a_preset_comes_before_single_permissions(run: Run, merchant: Merchant) -> None:
    words = ("--mode", "test", "--preset", "read-only", "--permission", "payments:write")
    run("apikeys", "create", "--merchant", merchant, "--name", "x", *words)
    grants = ApiKey.objects.get().grants
    assert grants["payments"] == "write"
    assert set(grants.values()) == {"read", "write"}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("--name x --mode live", 2),
        ("--name x --mode live --permission payments", 2),
        ("--name x --mode live --permission nothing:read", 2),
        ("--name x --mode both --preset read-only", 2),
        ("--name \u200b --mode live --preset read-only", 1),
        ("--name taken --mode live --preset read-only", 1),
        ("--name x --mode live --preset read-only --expires-at 1d", 1),
        ("--name x --mode live --preset read-only --network nowhere", 1),
        ("--name x --mode live --preset read-only --show-secret --secret-file x", 2),
    ],
)
def test_a_key_that_is_refused_is_not_made(run: Run, merchant: Merchant, tmp_path, words, status) -> None:
    ApiKeyFactory(merchant=merchant, name="taken")
    file = tmp_path / "secret"
    words = words.split() if "--show-secret" in words else [*words.split(), "--secret-file", file]
    run("apikeys", "create", "--merchant", merchant, *words, status=status)
    assert ApiKey.objects.count() == 1
    assert not file.exists()


def test_a_key_is_changed_where_nobody_was_faster(run: Run, api_key: ApiKey) -> None:
    run("apikeys", "update", api_key, "--description", "of the shop", "--revision", "1")
    run("apikeys", "update", api_key, "--name", "Shop", "--revision", "1", status=4)
    assert run("apikeys", "update", api_key, "--name", "Shop", "--fields", "revision").out == "3\n"
    api_key.refresh_from_db()
    assert (api_key.name, api_key.description) == ("Shop", "of the shop")
    run("apikeys", "update", api_key, status=2)


def test_a_duplicate_has_all_presets(run: Run, api_key: ApiKey) -> None:
    [made] = run("apikeys", "duplicate", api_key, "--json").records
    assert made["duplicated_from"] == api_key.public_id
    assert made["name"] == f"{api_key.name} (copy)"
    assert made["permissions"] == ["payments:write", "refunds:read"]


# -- Where the text goes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [(), ("--json",), ("--fields", "id")])
@pytest.mark.parametrize("subcommand", ["create", "duplicate"])
def test_nobody_sees_a_text_that_was_not_asked_for(run: Run, api_key: ApiKey, subcommand, form) -> None:
    words = {"create": ["--merchant", api_key.merchant, *NEW], "duplicate": [api_key]}[subcommand]
    ended = run("apikeys", subcommand, *words, *form)
    secret = lifecycle.copy(key=ApiKey.objects.exclude(pk=api_key.pk).get(), actor=Actor.command("test"))
    assert secret.reveal()[12:-4] not in ended.out + ended.err


def test_the_text_comes_alone_where_it_is_to_be_shown(run: Run, merchant: Merchant) -> None:
    ended = run("apikeys", "create", "--merchant", merchant, *NEW, "--show-secret")
    key = ApiKey.objects.get()
    assert PlaintextKey(ended.out.removesuffix("\n")).digest == bytes(key.digest)
    assert key.public_id in ended.err
    [record] = run("apikeys", "duplicate", key, "--show-secret", "--json").records
    assert PlaintextKey(record["secret"]).masked == record["masked"]


def test_a_file_is_its_owners_alone(run: Run, merchant: Merchant, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    before = os.umask(0)
    try:
        ended = run("apikeys", "create", "--merchant", merchant, *NEW, "--secret-file", file)
    finally:
        os.umask(before)
    secret = PlaintextKey(file.read_text().removesuffix("\n"))
    assert secret.digest == bytes(ApiKey.objects.get().digest)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret.reveal() not in ended.out + ended.err


@pytest.mark.parametrize("place", ["file", "link", "dangling link", "directory", "nowhere"])
def test_a_file_is_never_overwritten_and_no_key_is_made(
    run: Run, merchant: Merchant, tmp_path, place
) -> None:
    other, path = tmp_path / "other", tmp_path / "secret"
    match place:
        case "file":
            path.write_text("mine")
        case "link":
            other.write_text("mine")
            path.symlink_to(other)
        case "dangling link":
            path.symlink_to(other)
        case "directory":
            path.mkdir()
        case "nowhere":
            path = tmp_path / "missing" / "secret"
    status = 6 if place == "nowhere" else 1
    before = {each: each.is_file() and each.read_text() for each in tmp_path.iterdir()}
    run("apikeys", "create", "--merchant", merchant, *NEW, "--secret-file", path, status=status)
    assert {each: each.is_file() and each.read_text() for each in tmp_path.iterdir()} == before
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("write", [1, 2])
def test_a_full_disk_makes_no_key_and_leaves_no_file(
    run: Run, merchant: Merchant, tmp_path, monkeypatch, write
):
    """Of the two times the file is written, the first takes its room and the second is the text."""
    real, calls = os.pwrite, []

    def pwrite(descriptor: int, content: bytes, offset: int) -> int:
        calls.append(offset == 0)
        if sum(calls) >= write:
            if offset == 0:
                return real(descriptor, content[:7], offset)
            raise OSError(28, "No space left on device")
        return real(descriptor, content, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    file = tmp_path / "secret"
    ended = run("apikeys", "create", "--merchant", merchant, *NEW, "--secret-file", file, status=6)
    assert "No space left" in ended.complaint
    assert not file.exists()
    assert not ApiKey.objects.exists()
    assert not HistoryEntry.objects.filter(action=Action.KEY_CREATED).exists()


def test_where_no_text_is_stored_it_is_not_lost(run: Run, merchant: Merchant, settings) -> None:
    settings.KEYS_SECRET_POLICY = "show_once"
    run("apikeys", "create", "--merchant", merchant, *NEW, status=2)
    assert not ApiKey.objects.exists()
    assert run("apikeys", "create", "--merchant", merchant, *NEW, "--show-secret").out.startswith("sk_live_")
    key = ApiKey.objects.get()
    run("apikeys", "copy", key, "--show-secret", "--yes", "--confirm", key.name, status=1)


# -- Copy --------------------------------------------------------------------------------------------------------------


def test_copy_asks_twice_and_is_recorded(run: Run, api_key: ApiKey, answers: list[str]) -> None:
    answers += ["y", api_key.name]
    ended = run("apikeys", "copy", api_key, "--show-secret")
    assert ended.out == f"{api_key.secret.reveal()}\n"
    assert answers == []
    assert api_key.merchant.public_id in ended.err
    assert only(Action.KEY_COPIED).actor_kind == ActorKind.COMMAND


@pytest.mark.parametrize("given", [["n"], [""], ["y", "another"], ["y", ""], ["yes", "CHECKOUT"]])
def test_copy_needs_both_answers(run: Run, answers: list[str], given, tmp_path) -> None:
    key = ApiKeyFactory(name="Checkout")
    answers += given
    file = tmp_path / "secret"
    ended = run("apikeys", "copy", key, "--secret-file", file, status=1)
    assert "Nothing was done." in ended.complaint
    assert not file.exists()
    assert not HistoryEntry.objects.filter(action=Action.KEY_COPIED).exists()


def test_copy_can_be_answered_beforehand(run: Run, api_key: ApiKey, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    words = ("apikeys", "copy", api_key, "--secret-file", file)
    run(*words, status=2)
    run(*words, "--yes", status=2)
    run(*words, "--yes", "--confirm", "another", status=2)
    assert not file.exists()
    run(*words, "--yes", "--confirm", f" {api_key.name}  ")
    assert file.read_text() == f"{api_key.secret.reveal()}\n"
    run("apikeys", "copy", api_key, "--yes", "--confirm", api_key.name, status=2)


def test_nothing_is_copied_of_what_has_no_text(run: Run, merchant: Merchant, tmp_path: Path) -> None:
    revoked = ApiKeyFactory(merchant=merchant, revoked=True)
    swapped = ApiKeyFactory(merchant=merchant)
    ApiKey.objects.filter(pk=swapped.pk).update(secret_ciphertext="nonsense")
    for key in (revoked, swapped):
        file = tmp_path / key.name
        run("apikeys", "copy", key, "--yes", "--confirm", key.name, "--secret-file", file, status=1)
        assert not file.exists()
    with pytest.raises(SecretUnavailable):
        lifecycle.copy(key=swapped, actor=Actor.command("test"))


# -- Who ---------------------------------------------------------------------------------------------------------------


def test_the_history_names_who_has_the_shell(run: Run, merchant: Merchant, monkeypatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setenv("USER", "somebody-else")
    run("merchants", "update", merchant, "--name", "x")
    entry = only(Action.MERCHANT_UPDATED)
    assert entry.actor_kind == ActorKind.COMMAND
    assert entry.actor_user is None
    assert "@" in entry.actor_name
    assert "somebody-else" not in entry.actor_name
    assert entry.user_agent == "manage.py merchants update"


def test_the_history_names_the_person_and_the_shell(run: Run, merchant: Merchant, operator: User) -> None:
    run("merchants", "update", merchant, "--name", "x", "--actor", operator.username)
    entry = only(Action.MERCHANT_UPDATED)
    assert (entry.actor_kind, entry.actor_user, entry.actor_name) == (
        ActorKind.PERSON,
        operator,
        operator.display_name,
    )
    assert entry.user_agent.startswith("manage.py merchants update, by ")


def test_somebody_who_is_not_there_does_nothing(run: Run, merchant: Merchant, operator: User) -> None:
    run("merchants", "update", merchant, "--name", "x", "--actor", "nobody", status=3)
    User.objects.filter(pk=operator.pk).update(is_active=False)
    run("merchants", "update", merchant, "--name", "x", "--actor", operator.username, status=5)
    assert not HistoryEntry.objects.filter(action=Action.MERCHANT_UPDATED).exists()


def test_an_account_made_in_the_past_keeps_its_date(run: Run) -> None:
    merchant = MerchantFactory(created_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    [shown] = run("merchants", "show", merchant, "--fields", "created_at").lines
    assert shown == "2026-01-02T03:04:00+00:00"
