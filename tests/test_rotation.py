"""Rotation of the encryption keys: every text moves, whatever happens meanwhile, and the damaged are named."""

import json
import os
import signal
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import transaction

from keys import lifecycle, rotation, vault
from keys.history import Actor
from keys.management.terminal.exits import Exit
from keys.models import ApiKey, HistoryEntry
from keys.models.history import Action
from keys.rotation import Tally
from tests.factories import ApiKeyFactory, UserFactory

OLD, NEW, OLDEST = (Fernet.generate_key().decode() for _ in range(3))
SOMEBODY = Actor.command("somebody")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)


@pytest.fixture
def stored(settings) -> list[ApiKey]:
    """Two keys under the oldest encryption key, two under the old one, one under the new one, and a revoked one."""
    keys = []
    for encryption_key, number in ((OLDEST, 2), (OLD, 2), (NEW, 1)):
        settings.KEYS_ENCRYPTION_KEYS = [encryption_key]
        keys += [ApiKeyFactory() for _ in range(number)]
    ApiKeyFactory(revoked=True)
    settings.KEYS_ENCRYPTION_KEYS = [NEW, OLD, OLDEST]
    return keys


@pytest.fixture
def rotate(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    def run(*options: str, status: int = 0) -> dict:
        capsys.readouterr()
        ended = 0
        try:
            call_command("rotate_encryption", "--json", *options)
        except CommandError as error:
            ended = error.returncode
        said = capsys.readouterr()
        assert ended == status, said
        return json.loads(said.out) | {"err": said.err}

    return run


def readable_with(settings, *encryption_keys: str) -> int:
    """How many of the stored texts are what they should be."""
    settings.KEYS_ENCRYPTION_KEYS = list(encryption_keys)
    rows = ApiKey.objects.exclude(status="revoked")
    return sum(bool(vault.unseal(key.secret_ciphertext, digest=bytes(key.digest))) for key in rows)


def test_everything_comes_under_the_first_key(stored, rotate, settings) -> None:
    before = rotate("--check", status=1)
    assert [each["texts"] for each in before["found"]] == [1, 2, 2]
    assert before["left"] == 4
    done = rotate()
    assert (done["rotated"], done["left"], done["unreadable"]) == (4, 0, 0)
    assert [each["texts"] for each in rotate("--check")["found"]] == [5, 0, 0]
    assert readable_with(settings, NEW) == 5


def test_what_is_done_is_not_done_again(stored, rotate) -> None:
    rotate()
    before = list(ApiKey.objects.order_by("pk").values())
    assert rotate()["rotated"] == 0
    assert list(ApiKey.objects.order_by("pk").values()) == before
    assert HistoryEntry.objects.filter(action=Action.SECRETS_ROTATED).count() == 2


def test_the_history_says_that_it_began_and_how_it_ended(stored, rotate) -> None:
    rotate()
    began, ended = HistoryEntry.objects.filter(action=Action.SECRETS_ROTATED).order_by("at", "id")
    first = vault.fingerprints()[0]
    assert began.after == {"encryption_key": first, "began": True}
    assert ended.after == {"encryption_key": first, "rotated": 4, "unreadable": 0}
    assert began.merchant is None
    assert not any(key in json.dumps(ended.after) for key in (NEW, OLD, OLDEST))


def test_it_is_recorded_as_done_by_the_person_on_whose_behalf_it_runs(stored, rotate) -> None:
    administrator = UserFactory(role="administrator", first_name="Ada", last_name="Lovelace")
    assert rotate("--actor", administrator.username)["rotated"] == 4
    rows = HistoryEntry.objects.filter(action=Action.SECRETS_ROTATED)
    assert {(row.actor_user, row.actor_name, row.actor_kind) for row in rows} == {
        (administrator, "Ada Lovelace", "person")
    }
    assert all(row.user_agent.startswith("manage.py rotate_encryption, by ") for row in rows)


@pytest.mark.parametrize("mode", [[], ["--check"], ["--verify"]])
def test_who_may_not_re_encrypt_does_not(stored, mode: list[str]) -> None:
    before = list(ApiKey.objects.order_by("pk").values())
    with pytest.raises(CommandError, match="You may not re-encrypt what is stored") as refused:
        call_command("rotate_encryption", *mode, "--actor", UserFactory(role="operator").username)
    assert refused.value.returncode == Exit.FORBIDDEN
    assert list(ApiKey.objects.order_by("pk").values()) == before
    assert not HistoryEntry.objects.filter(action=Action.SECRETS_ROTATED).exists()


def test_to_look_changes_nothing(stored, rotate) -> None:
    before = list(ApiKey.objects.order_by("pk").values())
    rotate("--check", status=1)
    rotate("--verify", status=1)
    assert list(ApiKey.objects.order_by("pk").values()) == before
    assert not HistoryEntry.objects.filter(action=Action.SECRETS_ROTATED).exists()


def test_verify_names_what_would_be_lost_without_the_older_keys(stored, rotate) -> None:
    told = rotate("--verify", status=1)["err"]
    assert [key.public_id in told for key in stored] == [True] * 4 + [False]
    assert f"{stored[0].public_id}: under encryption key 3." in told
    rotate()
    assert rotate("--verify")["err"] == ""


def test_the_damaged_are_named_and_left_and_the_others_move(stored, rotate, settings) -> None:
    damaged, swapped = stored[0], stored[2]
    ApiKey.objects.filter(pk=damaged.pk).update(secret_ciphertext=Fernet(OLD).encrypt(b"nonsense").decode())
    thief = ApiKey.objects.get(pk=stored[1].pk).secret_ciphertext
    ApiKey.objects.filter(pk=swapped.pk).update(secret_ciphertext=thief)
    before = dict(ApiKey.objects.values_list("pk", "secret_ciphertext"))
    done = rotate(status=1)
    assert (done["rotated"], done["unreadable"]) == (2, 2)
    assert f"{damaged.public_id}: This key's text cannot be decrypted." in done["err"]
    assert f"{swapped.public_id}: This key's stored text belongs to another key" in done["err"]
    assert done["err"].count("\n") == 2
    after = dict(ApiKey.objects.values_list("pk", "secret_ciphertext"))
    assert {pk for pk in after if after[pk] != before[pk]} == {stored[1].pk, stored[3].pk}


def test_a_key_revoked_in_between_gets_nothing_back(stored, rotate, monkeypatch) -> None:
    """Revoked after its ciphertext was read, and before the new one is written."""
    reseal = vault.reseal

    def revoke_meanwhile(ciphertext: str, *, digest: bytes) -> str:
        if digest == stored[1].secret.digest:
            key = lifecycle.disable(key=stored[1], actor=SOMEBODY)
            lifecycle.revoke(key=key, actor=SOMEBODY)
        return reseal(ciphertext, digest=digest)

    monkeypatch.setattr(vault, "reseal", revoke_meanwhile)
    done = rotate()
    assert (done["rotated"], done["left"]) == (3, 0)
    assert ApiKey.objects.get(pk=stored[1].pk).secret_ciphertext is None


def test_ctrl_c_ends_with_a_whole_batch_and_the_next_run_goes_on(stored, rotate, monkeypatch) -> None:
    reseal, calls = vault.reseal, []

    def interrupted(ciphertext: str, *, digest: bytes) -> str:
        calls.append(digest)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return reseal(ciphertext, digest=digest)

    monkeypatch.setattr(vault, "reseal", interrupted)
    assert rotate(status=130)["rotated"] == 2
    assert HistoryEntry.objects.filter(action=Action.SECRETS_ROTATED, after__rotated=2).count() == 1
    assert rotate()["rotated"] == 2


def test_with_show_once_what_is_stored_stays_readable(stored, rotate, settings) -> None:
    settings.KEYS_SECRET_POLICY = "show_once"
    assert rotate()["rotated"] == 4
    assert readable_with(settings, NEW) == 5


def test_people_read_it_in_words(stored, capsys) -> None:
    call_command("rotate_encryption")
    assert capsys.readouterr().out.splitlines() == [
        "Re-encrypted 4 texts.",
        "The first encryption key reads all that is stored: the others can be removed.",
    ]


def test_nothing_of_a_batch_that_fails_is_kept(stored, monkeypatch) -> None:
    """Its rows and its word in the history go together."""
    monkeypatch.setattr(rotation, "_record", lambda *_: 1 / 0)
    before = list(ApiKey.objects.order_by("pk").values())
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        list(rotation.rotate(Tally(), actor=SOMEBODY))
    assert list(ApiKey.objects.order_by("pk").values()) == before
