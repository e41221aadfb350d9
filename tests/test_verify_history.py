"""`verify_history`, against what is done to the database with its guards out of the way."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from keys import chain, guards, history, integrity, lifecycle, merchants
from keys.history import Actor
from keys.integrity import Verification
from keys.management.commands import verify_history
from keys.models import HistoryEntry, HistoryHead
from keys.models.history import Action
from tests.factories import ApiKeyFactory, MerchantFactory
from tests.partitioned import in_a_thread

ON_SQLITE = connection.vendor == "sqlite"


@pytest.fixture
def told(db, actor) -> Iterator[str]:
    """Three chains: an account with eight rows, one with one, and the platform with two; no guard is in the way."""
    merchant = MerchantFactory(name="Northwind", actor=actor)
    key = ApiKeyFactory(merchant=merchant, actor=actor)
    lifecycle.update(key=key, name="Renamed “🚀”", description="x", revision=1, actor=actor)
    lifecycle.duplicate(key=key, actor=actor)
    lifecycle.disable(key=key, actor=actor, reason="Not needed")
    lifecycle.revoke(key=key, actor=actor)
    merchants.disable(merchant=merchant, actor=actor)
    MerchantFactory(name="Contoso", actor=actor)
    for number in range(2):
        history.write(Action.SECRETS_ROTATED, actor=actor, merchant=None, after={"secrets": number})
    connection.check_constraints()
    guards.remove(connection)
    return merchant.public_id


def execute(sql: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def row(sequence: int, name: str = "Northwind") -> HistoryEntry:
    return HistoryEntry.objects.get(merchant__name=name, sequence=sequence)


def change(entry: HistoryEntry, **values: object) -> None:
    """Write over columns as a person with access to the database would: past the model's own conversions."""
    assignments = ", ".join(f"{column} = %s" for column in values)
    identity = entry.pk.hex if ON_SQLITE else entry.pk
    execute(f"UPDATE keys_historyentry SET {assignments} WHERE id = %s", *values.values(), identity)


def findings(**options: object) -> list[str]:
    return [str(finding).partition(": ")[2] for finding in Verification(**options).findings()]


def run(capsys, *arguments: str) -> tuple[int, str]:
    """The status that the command ends with, and what it prints."""
    try:
        call_command("verify_history", *arguments)
    except CommandError as error:
        return error.returncode, f"{capsys.readouterr().out}{error}"
    return 0, capsys.readouterr().out


def test_what_the_product_writes_is_whole(told, capsys):
    verification = Verification()
    assert list(verification.findings()) == []
    assert (verification.rows, verification.chains) == (11, 3)
    assert [head.sequence for head in HistoryHead.objects.order_by("chain")] == [2, 8, 1]
    assert run(capsys) == (0, "11 rows in 3 chains: as they were written.\n")
    assert run(capsys, "--merchant", told) == (0, "8 rows in 1 chain: as they were written.\n")
    assert run(capsys, "--merchant", "platform") == (0, "2 rows in 1 chain: as they were written.\n")


OTHER = {
    "at": "2026-01-02 03:04:05+00", "actor_name": "Mallory", "action": "key.copied", "actor_kind": "system",
    "reason": "no", "user_agent": "curl", "request_id": "1", "address": "203.0.113.9", "actor_user_id": None,
    "before": '{"status":"revoked"}', "after": "{}", "key_id": None, "chain_version": 2,
    "hash": bytes(32), "previous_hash": bytes(32),
}  # fmt: skip


@pytest.mark.parametrize("column", OTHER)
def test_any_column_that_is_changed_is_found(told, column):
    change(row(6), **{column: OTHER[column]})
    assert findings() == ["row 6 edited: it does not say what was written."]


def test_each_column_is_tried():
    columns = {field.attname for field in HistoryEntry._meta.concrete_fields}
    assert columns == set(OTHER) | {"id", "sequence", "merchant_id"} == set(chain.Row._fields)


def test_rows_that_are_removed_moved_or_put_in_are_found(told):
    identity = row(3).pk.hex if ON_SQLITE else row(3).pk
    execute("DELETE FROM keys_historyentry WHERE id = %s", identity)
    assert findings() == ["row 3 removed: missing."]
    change(row(4), sequence=3)
    assert findings() == ["row 4 removed: missing.", "row 3 reordered: it was written as row 4."]
    change(row(3), merchant_id=row(1, "Contoso").merchant_id.hex, sequence=2)
    assert findings() == [
        "rows 3 to 4 removed: missing.",
        "row 2 edited: it does not say what was written.",
        "row 2 inserted: added without moving the head of the chain.",
    ]


def test_an_end_that_is_cut_off_and_a_head_that_is_gone_are_found(told):
    of_northwind = row(1).merchant_id.hex
    execute("DELETE FROM keys_historyentry WHERE merchant_id = %s AND sequence > 6", of_northwind)
    assert findings() == ["rows 7 to 8 cut off: missing at the end."]
    execute("DELETE FROM keys_historyhead WHERE chain = %s", of_northwind)
    assert findings() == ["row 6 head: the chain has no head."]
    execute("DELETE FROM keys_historyentry WHERE merchant_id IS NULL")
    assert findings()[0] == "rows 1 to 2 cut off: missing at the end."
    assert findings(only=chain.PLATFORM) == ["rows 1 to 2 cut off: missing at the end."]


def test_what_is_cut_off_with_its_head_is_found_by_heads_that_were_kept(told, tmp_path, capsys):
    file = tmp_path / "heads.jsonl"
    assert run(capsys, "--heads", str(file))[0] == 0
    assert [json.loads(line)["sequence"] for line in file.read_text().splitlines()] == [2, 8, 1]
    merchants.enable(merchant=row(1).merchant, actor=history.Actor.system())
    assert run(capsys, "--against", str(file))[0] == 0
    execute("DELETE FROM keys_historyentry WHERE sequence > 7")
    last = row(7)
    execute("UPDATE keys_historyhead SET sequence = 7, hash = %s WHERE sequence = 9", bytes(last.hash))
    assert run(capsys)[0] == 0
    status, out = run(capsys, "--against", str(file), "--merchant", told)
    assert (status, out) == (
        1,
        f"{told}: row 8 cut off: the kept head names a later row.\nOne place is not as it was written.",
    )


def test_findings_are_told_to_people_and_to_programs(told, capsys, tmp_path):
    change(row(5), reason="forged")
    entry = row(5).public_id
    status, out = run(capsys, "--heads", str(tmp_path / "heads"))
    assert (status, list(tmp_path.iterdir())) == (1, [])
    assert out.splitlines() == [
        f"{told}: row 5 edited: it does not say what was written. ({entry})",
        "One place is not as it was written. No heads were written.",
    ]
    status, out = run(capsys, "--json")
    first, summary = map(json.loads, out.splitlines()[:2])
    assert (status, first["entry"], first["kind"], first["first"]) == (1, entry, "edited", 5)
    assert summary == {"whole": False, "rows": 11, "chains": 3, "findings": 1}


@pytest.mark.parametrize(
    ("heads", "complaint"),
    [
        ("x", "Line 1 is not the head of a chain."),
        ('{"chain": "platform", "sequence": "1", "hash": "%s"}' % ("00" * 32), "Line 1 is not as it was exported."),
        ('{"chain": "platform", "sequence": 1, "hash": "00"}', "Line 1 is not as it was exported."),
        ('{"chain": "nobody", "sequence": 1, "hash": "00"}', "Line 1 is not the head of a chain."),
    ],
)  # fmt: skip
def test_heads_that_were_not_exported_are_refused(told, tmp_path, capsys, heads, complaint):
    file = tmp_path / "heads"
    file.write_text(heads)
    assert run(capsys, "--against", str(file)) == (2, complaint)


def test_heads_out_of_order_are_refused(told, tmp_path, capsys):
    file = tmp_path / "heads"
    run(capsys, "--heads", str(file))
    file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    assert run(capsys, "--against", str(file)) == (2, "Line 2 is not as it was exported.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--merchant", "key_01kar00000e008000000000001"],
        ["--merchant", "mch_01kar00000e008000000000001"],
        ["--against", "/nowhere/heads"],
        ["--heads", "/nowhere/heads"],
        ["--heads", "-", "--json"],
    ],
)
def test_what_cannot_be_done_is_refused(told, capsys, arguments):
    status, out = run(capsys, *arguments)
    assert status == verify_history.REFUSED
    assert len(out.splitlines()) == 1


def test_a_database_that_cannot_be_used_and_ctrl_c_have_their_own_status(told, capsys, monkeypatch):
    for error, status in ((OperationalError("gone"), 2), (KeyboardInterrupt(), 130)):

        def fail(only, error=error):
            raise error

        monkeypatch.setattr(integrity, "_heads", fail)
        assert run(capsys)[0] == status


@pytest.mark.django_db(transaction=True)
def test_those_who_write_do_not_wait_and_are_not_looked_at(monkeypatch):
    """What is read is of one moment, in a transaction that keeps nobody from writing."""
    merchant = MerchantFactory()
    looking = Verification()
    seen = integrity._rows

    def written_meanwhile(only):
        with ThreadPoolExecutor() as pool:
            pool.submit(
                in_a_thread(lambda: merchants.disable(merchant=merchant, actor=Actor.system()))
            ).result(5)
        yield from seen(only)

    monkeypatch.setattr(integrity, "_rows", written_meanwhile)
    assert list(looking.findings()) == []
    assert looking.rows == 1
    assert HistoryEntry.objects.count() == 2


if ON_SQLITE:
    # PostgreSQL keeps no value that its column cannot hold.

    @pytest.mark.parametrize(
        ("values", "told_of"),
        [
            ({"before": "{"}, "row 5 edited: it does not say what was written."),
            ({"at": "noon"}, "row 5 edited: it does not say what was written."),
            ({"id": "no"}, "one of the rows from here on cannot be read at all"),
        ],
    )
    def test_what_no_column_can_hold_is_a_finding(told, values, told_of):
        execute("PRAGMA ignore_check_constraints = ON")
        try:
            change(row(5), **values)
        finally:
            execute("PRAGMA ignore_check_constraints = OFF")
        (finding,) = findings()
        assert told_of in finding
