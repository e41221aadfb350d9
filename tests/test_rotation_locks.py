"""Rotation of the encryption keys on PostgreSQL: it waits for nobody who has locked a row."""

import json

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connections

from keys.management.terminal.exits import Exit
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.django_db(transaction=True)


def rotate(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    call_command("rotate_encryption", "--json")
    return json.loads(capsys.readouterr().out)


def test_a_row_that_somebody_holds_is_left_for_the_next_run(settings, capsys) -> None:
    key, *_ = [ApiKeyFactory() for _ in range(4)]
    settings.KEYS_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.KEYS_ENCRYPTION_KEYS]
    holder = connections.create_connection("default")
    try:
        with holder.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT id FROM keys_apikey WHERE id = %s FOR UPDATE", [key.pk])
            with pytest.raises(CommandError) as raised:
                rotate(capsys)
            held = json.loads(capsys.readouterr().out)
            cursor.execute("ROLLBACK")
    finally:
        holder.close()
    assert raised.value.returncode == Exit.REFUSED
    assert (held["rotated"], held["left"]) == (3, 1)
    assert rotate(capsys)["rotated"] == 1
