"""A last accepted request is the last on record: where the spool still holds later ones, the proof says so."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from keys import lifecycle, proof, spool
from keys.gateway.drain import Drain
from keys.history import Actor
from keys.models import ApiKey, Change
from keys.proof import RECORDED_WITHIN
from tests.console.page import page_of
from tests.factories import RecordFactory

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MS = timedelta(milliseconds=1)
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
SENTENCE = "Records reach up to {}: later requests wait on this host, and are not in the database yet."


@pytest.fixture
def disabled(api_key: ApiKey, actor: Actor) -> ApiKey:
    """A key that was disabled at NOON."""
    lifecycle.disable(key=api_key, actor=actor)
    Change.objects.filter(subject_id=api_key.pk).update(at=NOON)
    return ApiKey.objects.get(pk=api_key.pk)


def write(folder: Path, name: str, *lines: bytes) -> Path:
    path = folder / f"{name}{spool.SUFFIX}"
    path.write_bytes(b"".join(lines))
    return path


def used(key: ApiKey, at: datetime) -> bytes:
    return spool.line(RecordFactory(key=key, at=at))


def test_the_first_that_waits_is_found_in_any_file_behind_what_is_drained(own_spool: Path, api_key) -> None:
    assert spool.waiting_since(own_spool) is None
    drained = used(api_key, NOON)
    first = write(
        own_spool, "a", drained, b"damaged\n", used(api_key, NOON + 2 * SECOND), used(api_key, NOON)
    )
    write(own_spool, "b", used(api_key, NOON + SECOND))
    write(own_spool, "c", b"!lost\tspool_full\t3\n", used(api_key, NOON + SECOND)[:-1])
    assert spool.waiting_since(own_spool) == NOON
    spool.note_position(first, len(drained))
    assert spool.waiting_since(own_spool) == NOON + SECOND
    (own_spool / "b.spool").unlink()
    assert spool.waiting_since(own_spool) == NOON + 2 * SECOND


def test_what_waits_for_longer_than_it_should_is_told(own_spool: Path, disabled: ApiKey) -> None:
    write(own_spool, "a", used(disabled, NOON - SECOND))
    overdue = NOON - SECOND + RECORDED_WITHIN
    assert proof.of_key(disabled, now=overdue).backlog == ""
    told = proof.of_key(disabled, now=overdue + MS)
    assert told.recorded_until == NOON - SECOND
    assert told.backlog == SENTENCE.format("11:59:59 UTC")
    assert proof.of_merchant(disabled.merchant) is None


def test_more_is_expected_while_records_do_not_reach_far_enough(own_spool: Path, disabled: ApiKey) -> None:
    later = NOON + timedelta(hours=1)
    end = NOON + RECORDED_WITHIN
    for at, is_final in ((NOON, False), (end - MS, False), (end, True)):
        write(own_spool, "a", used(disabled, at))
        told = proof.of_key(disabled, now=later)
        assert (told.recorded_until, told.is_final) == (at, is_final)
    Drain(own_spool).once()
    told = proof.of_key(disabled, now=later)
    assert (told.recorded_until, told.backlog, told.is_final) == (None, "", True)
    assert told.last_accepted.at == end


def test_page_and_command_say_so_until_it_is_drained(own_spool, disabled, console: Client, capsys) -> None:
    write(own_spool, "a", used(disabled, NOON - SECOND))

    def printed(*options: str) -> str:
        call_command("revocation_proof", disabled.public_id, *options)
        return capsys.readouterr().out

    section = page_of(console.get(disabled.get_absolute_url())).one(id="proof")
    sentence = SENTENCE.format("29 Mar, 11:59:59 UTC")
    assert sentence in [paragraph.text for paragraph in section.all("p")]
    assert "hx-get" in section.attributes
    assert printed().splitlines()[-1] == sentence
    assert json.loads(printed("--json"))["recorded_until"] == "2026-03-29T11:59:59+00:00"

    Drain(own_spool).once()
    section = page_of(console.get(disabled.get_absolute_url())).one(id="proof")
    assert "Records reach" not in section.text
    assert "hx-get" not in section.attributes
    assert printed().splitlines()[-1].startswith("Last accepted request: 29 Mar, 11:59:59.000 UTC, req_")
    assert json.loads(printed("--json"))["recorded_until"] is None
