"""What is remembered of keys: bounded, forgotten with a change that touches it, and not put back by who read before.

And what a row of the database means: one that makes no sense lets nobody in.
"""

from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import count
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keys.gateway.directory import Changed, DirectoryUnavailable, Holder, Memory, digest_of, holder_of
from keys.identifiers import encode
from keys.models.verifier import ChangeKind
from keys.outcomes import Outcome
from keys.permissions import Access, Permission
from keys.verification import Attempt, verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNTS = [UUID(int=number) for number in (101, 102, 103)]
COLUMNS = (
    *("key_id", "merchant_id", "key_status", "merchant_status", "mode", "permissions", "expires_at"),
    *("networks", "key_name", "merchant_name"),
)
GOOD = {
    "key_id": UUID(int=7).hex,
    "merchant_id": UUID(int=101).hex,
    "key_status": "enabled",
    "merchant_status": "enabled",
    "mode": "live",
    "permissions": "payments:write refunds:read",
    "expires_at": "2026-03-01 12:00:00.5",
    "networks": "203.0.113.0/24 2001:db8::/32",
    "key_name": "Checkout",
    "merchant_name": "Northwind",
}


def row(**columns: object) -> tuple:
    return tuple((GOOD | columns)[name] for name in COLUMNS)


def holder(account: UUID = ACCOUNTS[0], name: str = "Checkout") -> Holder:
    return holder_of(row(merchant_id=account.hex, key_name=name))


def digest(number: int) -> bytes:
    return digest_of(f"key {number}")


def of_key(number: int) -> Changed:
    return Changed(1, ChangeKind.KEY, digest=digest(number))


def of_account(account: UUID) -> Changed:
    return Changed(1, ChangeKind.MERCHANT, subject_id=account)


def filled(keys: int, *, maximum: int = 100) -> Memory:
    """The first key is of the first account, the second of the second, and so on around."""
    memory = Memory(maximum)
    for number in range(keys):
        memory.remember(digest(number), holder(ACCOUNTS[number % 3]), memory.generation)
    return memory


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    memory = filled(10, maximum=4)
    assert list(memory.holders) == [digest(number) for number in (6, 7, 8, 9)]
    memory.forget([of_account(account) for account in ACCOUNTS])
    assert not memory.holders
    for number in range(20, 26):
        memory.remember(digest(number), holder(), memory.generation)
    assert list(memory.holders) == [digest(number) for number in (22, 23, 24, 25)]


def test_what_was_read_before_a_change_is_not_remembered_after_it() -> None:
    """Whatever the change was of: which rows it touched is not compared with what was read."""
    memory = filled(1)
    before = memory.generation
    memory.forget([of_key(99)])
    memory.remember(digest(1), holder(), before)
    assert list(memory.holders) == [digest(0)]
    memory.remember(digest(1), holder(), memory.generation)
    assert digest(1) in memory.holders


def test_a_change_of_a_key_is_a_change_of_no_other() -> None:
    memory = filled(6)
    memory.forget([of_key(1), of_key(4), of_key(1), of_key(50)])
    assert list(memory.holders) == [digest(number) for number in (0, 2, 3, 5)]


def test_a_change_of_an_account_is_one_of_all_its_keys() -> None:
    memory = filled(9)
    memory.forget([of_account(ACCOUNTS[1])])
    assert list(memory.holders) == [digest(number) for number in (0, 2, 3, 5, 6, 8)]
    memory.forget([of_account(ACCOUNTS[1]), of_account(UUID(int=999)), of_key(0)])
    assert list(memory.holders) == [digest(number) for number in (2, 3, 5, 6, 8)]


def test_clearing_forgets_everything_and_what_is_being_read() -> None:
    memory = filled(9)
    before = memory.generation
    memory.clear()
    memory.remember(digest(0), holder(), before)
    assert not memory.holders
    # Nor does an account still point to what was there.
    memory.remember(digest(0), holder(ACCOUNTS[1]), memory.generation)
    memory.forget([of_account(ACCOUNTS[0])])
    assert list(memory.holders) == [digest(0)]


class Interleavings(RuleBasedStateMachine):
    """Readers, writers and the one who tells of changes, each stopped between any two of its steps.

    A fact is a number that grows with each change. Memory may hold an old one only while the change has not been told.
    """

    keys = st.integers(0, 3)
    readers = st.integers(0, 2)

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(3)
        self.numbers = count()
        self.facts = dict.fromkeys(range(4), next(self.numbers))
        self.untold: list[tuple[Changed, list[int]]] = []
        self.reading: dict[int, tuple] = {}

    @rule(reader=readers, key=keys)
    def begin(self, reader: int, key: int) -> None:
        self.reading[reader] = (key, self.memory.generation, None)

    @rule(reader=readers)
    def read(self, reader: int) -> None:
        assume(reader in self.reading)
        key, generation, _ = self.reading[reader]
        self.reading[reader] = (key, generation, self.facts[key])

    @rule(reader=readers)
    def remember(self, reader: int) -> None:
        assume(self.reading.get(reader, (0, 0, None))[2] is not None)
        key, generation, fact = self.reading.pop(reader)
        self.memory.remember(digest(key), holder(ACCOUNTS[key % 3], str(fact)), generation)

    @rule(key=keys)
    def change_key(self, key: int) -> None:
        self.facts[key] = next(self.numbers)
        self.untold.append((of_key(key), [key]))

    @rule(account=st.integers(0, 2))
    def change_account(self, account: int) -> None:
        keys = [key for key in self.facts if key % 3 == account]
        self.facts |= dict.fromkeys(keys, next(self.numbers))
        self.untold.append((of_account(ACCOUNTS[account]), keys))

    @rule()
    def tell(self) -> None:
        """As one look does, which finds all that has been committed."""
        self.memory.forget([change for change, _ in self.untold])
        self.untold.clear()

    @rule()
    def begin_a_session(self) -> None:
        self.memory.clear()
        self.untold.clear()

    @invariant()
    def nothing_old_is_remembered(self) -> None:
        untold = {key for _, keys in self.untold for key in keys}
        for key, fact in self.facts.items():
            remembered = self.memory.holders.get(digest(key))
            assert remembered is None or key in untold or remembered.key_name == str(fact)

    @invariant()
    def it_stays_bounded(self) -> None:
        assert len(self.memory.holders) <= 3


TestInterleavings = Interleavings.TestCase


def test_a_row_becomes_facts() -> None:
    found = holder_of(row())
    facts = found.facts
    assert (facts.key_id, facts.merchant_id) == (UUID(int=7), UUID(int=101))
    assert (facts.key_status, facts.merchant_status, facts.mode) == ("enabled", "enabled", "live")
    assert facts.grants == {"payments": Access.WRITE, "refunds": Access.READ}
    assert facts.expires_at == datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    assert [str(network) for network in facts.allowed_networks] == ["203.0.113.0/24", "2001:db8::/32"]
    assert (found.key_name, found.merchant_name) == ("Checkout", "Northwind")
    assert dict(found.granted.headers) == {
        "X-Merchant-Id": encode("mch", UUID(int=101)),
        "X-Key-Id": encode("key", UUID(int=7)),
        "X-Key-Mode": "live",
        "X-Key-Permissions": "payments:write refunds:read",
    }


def test_a_time_is_one_of_utc_unless_it_says_otherwise() -> None:
    for text in ("2026-03-01 12:00:00", "2026-03-01 12:00:00+00", "2026-03-01 14:00:00+02:00"):
        assert holder_of(row(expires_at=text)).facts.expires_at == NOW


NONSENSE = {
    "key_id": (None, "", "7", "key_01jd9v4c2hf6w8a3s5d7f9g1hj", b"\x00" * 16),
    "merchant_id": (None, "", "nobody", 101),
    "key_status": (None, "", "Enabled", "active", "enabled ", b"enabled", 1),
    "merchant_status": (None, "", "ENABLED", "revoked", b"enabled", True),
    "mode": (None, "", "prod", "live\r\nX-Merchant-Id: mch_0", b"live"),
    "permissions": (None, "payments", "payments:all", "payments:read payments:write", b"payments:write", 7),
    "expires_at": ("", "never", "infinity", "tomorrow", "2026-02-30 12:00:00", "0", b"", "294276-12-31 23:59:59+00"),
    "networks": (None, " ", "\n", "anywhere", "203.0.113.7/24", "0", "203.0.113.0/24,198.51.100.0/24", b"", 0.5),
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value"),
    [
        pytest.param(column, value, id=f"{column}={value!r}")
        for column, values in NONSENSE.items()
        for value in values
    ],
)
def test_a_row_that_makes_no_sense_is_no_answer(column: str, value: object) -> None:
    with pytest.raises(DirectoryUnavailable):
        holder_of(row(**{column: value}))


DECISIVE = ("key_status", "merchant_status", "permissions", "networks")
VALUES = (
    st.none() | st.text(max_size=20) | st.binary(max_size=20) | st.integers() | st.floats() | st.booleans()
)


@given(st.sampled_from(DECISIVE), VALUES)
def test_no_value_that_is_written_by_hand_lets_a_refused_key_in(column: str, value: object) -> None:
    assume((column, value) != ("networks", ""))
    try:
        found = holder_of(row(**{"expires_at": None, column: value}))
    except DirectoryUnavailable:
        return
    attempt = Attempt(NOW, ip_address("203.0.113.7"), None, Permission("payments", Access.WRITE))
    assert verdict(found.facts, attempt) is not Outcome.VALID


def test_the_attempt_of_that_test_succeeds_with_a_good_row() -> None:
    attempt = Attempt(NOW, ip_address("203.0.113.7"), None, Permission("payments", Access.WRITE))
    for columns in ({}, {"expires_at": None, "networks": ""}):
        assert verdict(holder_of(row(**columns)).facts, attempt) is Outcome.VALID
