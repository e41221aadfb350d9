"""The chain of the history, in memory: nothing can be done to its rows that is not found, and named."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from uuid import UUID

import pytest

from keys import chain
from keys.chain import Finding, Head, Inspection, KeptHead, Kind, Row
from keys.identifiers import new_id

OURS, THEIRS = UUID("019ab000-0000-7000-8000-000000000001"), UUID("019ab000-0000-7000-8000-000000000002")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH = 60


def said(number: int, merchant: UUID = OURS) -> Row:
    """A row that is not part of a chain yet."""
    at = BEGIN + timedelta(seconds=number)
    return Row(
        id=new_id(at),
        merchant_id=merchant,
        key_id=new_id(at) if number % 3 else None,
        sequence=0,
        chain_version=1,
        previous_hash=b"",
        hash=b"",
        at=at,
        action="key.disabled",
        actor_kind="person",
        actor_user_id=number,
        actor_name=f"Ada {number} Ločniškar",
        before={"status": "enabled"},
        after={"status": "disabled"},
        reason="",
        address="203.0.113.7",
        user_agent="Mozilla/5.0",
        request_id=f"request-{number}",
    )


def joined(row: Row, head: Head) -> Row:
    row = row._replace(sequence=head.sequence + 1, previous_hash=head.hash)
    return row._replace(hash=chain.hash_of(row))


def chained(rows: list[Row]) -> list[Row]:
    head, made = chain.start(OURS), []
    for row in rows:
        made.append(joined(row, head))
        head = head_of(made)
    return made


def head_of(rows: list[Row]) -> Head:
    return Head(OURS, rows[-1].sequence, rows[-1].hash)


ROWS = chained([said(number) for number in range(1, LENGTH + 1)])


def inspect(rows: list[Row], head: Head | None = None, kept: KeptHead | None = None) -> list[Finding]:
    """What is found, where the rows are read as the database gives them."""
    inspection = Inspection(OURS)
    if kept:
        inspection.keep(kept)
    ordered = sorted(rows, key=lambda row: (row.sequence, row.id))
    found = [finding for row in ordered for finding in inspection.look(row)]
    return found + list(inspection.end(head or head_of(ROWS)))


def concerns(findings: list[Finding], *places: int) -> bool:
    return all(any(finding.sequence <= place <= finding.last for finding in findings) for place in places)


def altered(row: Row, random: Random) -> Row:
    """`row` with one of its columns changed a little."""
    name = random.choice([name for name in Row._fields if name != "sequence"])
    value = getattr(row, name)
    match value:
        case bytes():
            place = random.randrange(32)
            changed = value[:place] + bytes([value[place] ^ 1 << random.randrange(8)]) + value[place + 1 :]
        case str():
            changed = value + random.choice([" ", "x", "\N{COMBINING ACUTE ACCENT}", "0"])
            changed = "203.0.113.8" if name == "address" else changed
        case datetime():
            changed = value + timedelta(microseconds=random.choice([-1, 1]))
        case dict():
            changed = random.choice(
                [{}, value | {"more": None}, {key: [each] for key, each in value.items()}]
            )
        case UUID():
            changed = UUID(int=value.int ^ 1 << random.randrange(64))
        case int():
            changed = value + random.choice([-1, 1])
        case None:
            changed = THEIRS
    return row._replace(**{name: changed})


def edited(rows: list[Row], place: int, random: Random) -> tuple[int, ...]:
    rows[place] = altered(rows[place], random)
    return (place + 1,)


def edited_with_a_new_hash(rows: list[Row], place: int, random: Random) -> tuple[int, ...]:
    row = rows[place]._replace(actor_name="Mallory")
    rows[place] = row._replace(hash=chain.hash_of(row))
    return (place + 1,)


def removed(rows: list[Row], place: int, random: Random) -> tuple[int, ...]:
    number = random.randint(1, 5)
    gone = rows[place : place + number]
    del rows[place : place + number]
    return tuple(row.sequence for row in gone)


def inserted(rows: list[Row], place: int, random: Random) -> tuple[int, ...]:
    """A row of somebody else's making, with a hash of its own, in a place that is taken."""
    before = rows[place - 1] if place else None
    head = Head(OURS, before.sequence, before.hash) if before else chain.start(OURS)
    rows.insert(place, joined(said(place + random.randrange(1000)), head))
    return (place + 1,)


def inserted_and_the_rest_moved_on(rows: list[Row], place: int, random: Random) -> tuple[int, ...]:
    """The row itself fits; those behind it were written for other places."""
    inserted(rows, place, random)
    rows[place + 1 :] = [row._replace(sequence=row.sequence + 1) for row in rows[place + 1 :]]
    return (place + 2,)


def added_at_the_end(rows: list[Row], place: int, random: Random) -> tuple[int, ...]:
    rows.append(joined(said(place), head_of(rows)))
    return (LENGTH + 1,)


def exchanged(rows: list[Row], place: int, random: Random) -> tuple[int, ...]:
    other = random.choice([each for each in range(LENGTH) if each != place])
    first, second = rows[place], rows[other]
    rows[place] = second._replace(sequence=first.sequence)
    rows[other] = first._replace(sequence=second.sequence)
    return (place + 1, other + 1)


def cut_off(rows: list[Row], place: int, random: Random) -> tuple[int, ...]:
    del rows[place:]
    return (place + 1, LENGTH)


def taken_from_another_chain(rows: list[Row], place: int, random: Random) -> tuple[int, ...]:
    theirs = said(place, THEIRS)._replace(sequence=place + 1, previous_hash=rows[place].previous_hash)
    theirs = theirs._replace(hash=chain.hash_of(theirs))
    rows[place] = theirs._replace(merchant_id=OURS)
    return (place + 1,)


TAMPERINGS = (
    edited, edited_with_a_new_hash, removed, inserted, inserted_and_the_rest_moved_on, added_at_the_end,
    exchanged, cut_off, taken_from_another_chain,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_tamperings_are_found_and_each_names_its_rows(seed):
    random = Random(seed)
    for turn in range(100):
        rows = list(ROWS)
        tampering = TAMPERINGS[turn % len(TAMPERINGS)]
        places = tampering(rows, random.randrange(LENGTH), random)
        findings = inspect(rows)
        assert findings, (tampering, places)
        assert concerns(findings, places[0]), (tampering, places, findings)


def test_a_chain_that_is_whole_has_no_findings():
    assert inspect(ROWS) == []
    assert inspect(ROWS[:1], head_of(ROWS[:1])) == []
    assert inspect([], chain.start(OURS)) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_chain_that_is_written_anew_from_some_row_on_is_found_by_a_head_that_was_kept(seed):
    """Who can write all rows and the head can write them so that they agree; but not so that they agree with this."""
    random = Random(seed)
    for _ in range(20):
        since = random.randrange(LENGTH)
        kept = KeptHead(OURS, random.randrange(since, LENGTH) + 1, b"")
        kept = kept._replace(hash=ROWS[kept.sequence - 1].hash)
        forged = [row._replace(reason="forged") if row.sequence > since else row for row in ROWS]
        forged = chained(forged)
        assert inspect(forged, head_of(forged)) == []
        (finding,) = inspect(forged, head_of(forged), kept)
        assert (finding.kind, finding.sequence) == (Kind.EDITED, kept.sequence)
        shorter = ROWS[: kept.sequence - 1]
        if shorter:
            assert inspect(shorter, head_of(shorter)) == []
            (finding,) = inspect(shorter, head_of(shorter), kept)
            assert (finding.kind, finding.last) == (Kind.CUT_OFF, kept.sequence)
    assert inspect(ROWS, kept=KeptHead(*head_of(ROWS))) == []


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (lambda rows: rows.pop(4), "row 5 removed: missing."),
        (lambda rows: rows.__delitem__(slice(4, 8)), "rows 5 to 8 removed: missing."),
        (lambda rows: rows.__delitem__(slice(50, None)), "rows 51 to 60 cut off: missing at the end."),
        (lambda rows: edited_with_a_new_hash(rows, 6, Random()), "row 7 edited: row 8 was written after another row"),
        (lambda rows: rows.append(rows[9]._replace(id=new_id())), "row 10 inserted: another row has this place."),
        (lambda rows: added_at_the_end(rows, 0, Random()), "row 61 inserted: added without moving the head"),
        (lambda rows: edited_with_a_new_hash(rows, 59, Random()), "row 60 edited: the head of the chain names another"),
        (lambda rows: rows.__setitem__(2, rows[2]._replace(reason="x")), "row 3 edited: it does not say what was"),
    ],
)  # fmt: skip
def test_each_tampering_is_called_by_its_name_and_once(tamper, told):
    rows = list(ROWS)
    tamper(rows)
    (finding,) = inspect(rows)
    assert str(finding).startswith(f"{chain.chain_name(OURS)}: {told}")


def test_rows_that_changed_places_are_told_from_rows_that_changed():
    rows = list(ROWS)
    rows[4] = ROWS[40]._replace(sequence=5)
    rows[40] = ROWS[4]._replace(sequence=41)
    rows[20] = rows[20]._replace(reason="x")
    found = {(finding.sequence, finding.kind, finding.detail) for finding in inspect(rows)}
    assert found == {
        (5, Kind.REORDERED, "it was written as row 41."),
        (41, Kind.REORDERED, "it was written as row 5."),
        (21, Kind.EDITED, "it does not say what was written."),
    }


def test_of_a_chain_that_is_wrong_everywhere_little_is_kept_and_all_is_told():
    rows = [row._replace(reason="x") for row in chained([said(number) for number in range(300)])]
    inspection, found = Inspection(OURS), 0
    for row in rows:
        found += len(list(inspection.look(row)))
        assert len(inspection._suspects) <= chain.SUSPECTS_MAX
    assert found + len(list(inspection.end(head_of(rows)))) == len(rows)


def test_what_is_no_value_of_its_column_is_found_too():
    for values in (
        {"address": "nowhere"},
        {"at": "noon"},
        {"chain_version": 2},
        {"reason": "\ud800"},
        {"reason": b"x"},
    ):
        rows = [*ROWS[:5], ROWS[5]._replace(**values), *ROWS[6:]]
        (finding,) = inspect(rows)
        assert (finding.kind, finding.sequence) == (Kind.EDITED, 6)


def test_a_hash_is_of_the_json_that_is_exported_and_never_changes():
    """docs/history.md tells others how to compute it; the stored hashes of every installation are of this form."""
    row = said(4)._replace(
        id=UUID("019ab000-0000-7000-8000-00000000000a"), key_id=UUID("019ab000-0000-7000-8000-00000000000b"),
        sequence=2, previous_hash=bytes(range(32)), before={"name": "é\n\"🚀"}, after={"b": None, "a": [1, True]},
    )  # fmt: skip
    text = json.dumps(chain.told(row), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert chain.hash_of(row) == sha256(text.encode()).digest()
    assert text == (
        '{"action":"key.disabled","actor_kind":"person","actor_name":"Ada 4 Ločniškar","actor_user":4,'
        '"address":"203.0.113.7","after":{"a":[1,true],"b":null},"at":"2026-01-01T00:00:04.000000+00:00",'
        '"before":{"name":"é\\n\\"🚀"},"id":"hst_01kar00000e00800000000000a","key":"key_01kar00000e00800000000000b",'
        '"merchant":"mch_01kar00000e008000000000001","previous":"' + bytes(range(32)).hex() + '","reason":"",'
        '"request_id":"request-4","sequence":2,"user_agent":"Mozilla/5.0","version":1}'
    )


def test_an_address_has_one_spelling():
    row = ROWS[0]
    for spellings in (
        ("2001:db8::1", "2001:DB8:0:0::0001"),
        ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207"),
    ):
        assert len({chain.hash_of(row._replace(address=text)) for text in spellings}) == 1
    assert chain.hash_of(row._replace(address=None)) != chain.hash_of(row)
