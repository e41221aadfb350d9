"""Rotation of the encryption keys moves the secrets of second factors too, and breaks none of them."""

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from keys.console import factor_secrets
from keys.models import User
from keys.rotation import Tally
from tests.authenticators import give_recovery_codes, give_totp

pytestmark = pytest.mark.django_db

OLD, NEW, LOST = (Fernet.generate_key().decode() for _ in range(3))


@pytest.fixture
def codes(operator: User, settings) -> list[str]:
    """The operator's recovery codes, one of them used; like the app, under the old encryption key."""
    settings.KEYS_ENCRYPTION_KEYS = [OLD]
    give_totp(operator, "THESECRET234567A" * 2)
    codes = give_recovery_codes(operator)
    assert Authenticator.objects.get(type="recovery_codes").wrap().validate_code(codes.pop())
    settings.KEYS_ENCRYPTION_KEYS = [NEW, OLD]
    return codes


def test_they_move_to_the_first_key_and_stay_what_they_were(codes: list[str], settings, capsys) -> None:
    with pytest.raises(CommandError, match="2 texts still need an older encryption key"):
        call_command("rotate_encryption", "--check")
    call_command("rotate_encryption")
    assert "Re-encrypted 2 texts." in capsys.readouterr().out

    settings.KEYS_ENCRYPTION_KEYS = [NEW]
    call_command("rotate_encryption", "--verify")
    totp, recovery = Authenticator.objects.order_by("-type")
    assert recovery.wrap().get_unused_codes() == codes
    assert factor_secrets.vault.unseal_text(totp.data["secret"]) == "THESECRET234567A" * 2


def test_looking_changes_nothing(codes: list[str]) -> None:
    before = list(Authenticator.objects.order_by("pk").values("data"))
    tally = Tally()
    assert list(factor_secrets.go_through(tally, rotate=False)) == []
    assert (tally.by_position[1], tally.older, tally.rotated) == (2, 2, 0)
    assert list(Authenticator.objects.order_by("pk").values("data")) == before


def test_what_cannot_be_read_is_named_and_left(codes: list[str], operator: User, settings, capsys) -> None:
    settings.KEYS_ENCRYPTION_KEYS = [LOST]
    before = list(Authenticator.objects.order_by("pk").values("data"))
    with pytest.raises(CommandError, match="2 texts cannot be read"):
        call_command("rotate_encryption")
    said = capsys.readouterr()
    told = said.out + said.err
    assert told.count(f"The recovery codes of {operator.username} cannot be decrypted.") == 1
    assert f"The authenticator app of {operator.username} cannot be decrypted." in told
    assert list(Authenticator.objects.order_by("pk").values("data")) == before
