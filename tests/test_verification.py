"""The verdict: every combination of facts and attempt, compared with the order of the closed list."""

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from itertools import product
from pathlib import Path

import pytest

from keys.gateway import problems
from keys.identifiers import new_id
from keys.outcomes import FailureCause, Outcome, failure_cause
from keys.permissions import Access, Grants, Permission
from keys.states import ApiKeyStatus, MerchantStatus
from keys.verification import Attempt, Facts, verdict

DOCS = Path(__file__).parent.parent / "docs" / "outcomes.md"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY, MERCHANT, OTHER_MERCHANT = new_id(), new_id(), new_id()
NETWORKS = (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))
WRITE_REFUNDS = Permission("refunds", Access.WRITE)

# Each condition as it is, and the outcome that it alone leads to.
CLAIMS = {None: None, MERCHANT: None, OTHER_MERCHANT: Outcome.MERCHANT_MISMATCH}
MERCHANT_STATUSES = {
    MerchantStatus.ENABLED: None,
    MerchantStatus.DISABLED: Outcome.MERCHANT_DISABLED,
    "unheard of": Outcome.MERCHANT_DISABLED,
}
KEY_STATUSES = {
    ApiKeyStatus.ENABLED: None,
    ApiKeyStatus.DISABLED: Outcome.DISABLED,
    ApiKeyStatus.REVOKED: Outcome.REVOKED,
    "unheard of": Outcome.DISABLED,
}
EXPIRIES = {
    None: None,
    NOW + timedelta(microseconds=1): None,
    NOW: Outcome.EXPIRED,
    NOW - timedelta(days=1): Outcome.EXPIRED,
}
PLACES = {
    ((), None): None,
    ((), "192.0.2.1"): None,
    (NETWORKS, "203.0.113.255"): None,
    (NETWORKS, "::ffff:203.0.113.7"): None,
    (NETWORKS, "2001:db8::1"): None,
    (NETWORKS, "203.0.114.0"): Outcome.NETWORK_NOT_ALLOWED,
    (NETWORKS, "2001:db9::1"): Outcome.NETWORK_NOT_ALLOWED,
    (NETWORKS, None): Outcome.NETWORK_NOT_ALLOWED,
}
NEEDS = {
    (True, None, ""): None,
    (True, WRITE_REFUNDS, "refunds:write"): None,
    (True, Permission("refunds", Access.READ), "refunds:write"): None,
    (True, WRITE_REFUNDS, "payments:write refunds:read"): Outcome.PERMISSION_DENIED,
    (True, WRITE_REFUNDS, ""): Outcome.PERMISSION_DENIED,
    (False, None, "refunds:write"): Outcome.PERMISSION_DENIED,
}
CONDITIONS = (CLAIMS, MERCHANT_STATUSES, KEY_STATUSES, EXPIRIES, PLACES, NEEDS)


def test_of_all_failures_the_first_in_the_list_is_the_outcome() -> None:
    for combination in product(*(conditions.items() for conditions in CONDITIONS)):
        claim, merchant_status, key_status, expires_at, place, need = (
            condition for condition, _ in combination
        )
        (networks, address), (covered, required, grants) = place, need
        facts = Facts(
            key_id=KEY,
            merchant_id=MERCHANT,
            key_status=key_status,
            merchant_status=merchant_status,
            mode="live",
            grants=Grants.parse(grants),
            expires_at=expires_at,
            allowed_networks=networks,
        )
        attempt = Attempt(
            now=NOW,
            address=ip_address(address) if address else None,
            merchant_id=claim,
            required=required,
            covered=covered,
        )
        failures = {outcome for _, outcome in combination if outcome}
        expected = next((outcome for outcome in Outcome if outcome in failures), Outcome.VALID)
        assert verdict(facts, attempt) is expected, combination


def test_only_holders_of_a_usable_key_learn_more_than_401() -> None:
    assert Outcome.VALID.http_status == 200
    told = {outcome for outcome in Outcome if outcome.http_status != 401} - {Outcome.VALID}
    assert told == {Outcome.NETWORK_NOT_ALLOWED, Outcome.PERMISSION_DENIED}
    assert {outcome.http_status for outcome in told} == {403}


@pytest.mark.parametrize("outcome", Outcome)
def test_every_refusal_of_a_known_key_has_a_cause_of_its_own(outcome: Outcome) -> None:
    if outcome is Outcome.VALID:
        causes = [failure_cause(outcome, status) for status in (200, 204, 399, 400, 499, 500, 599)]
        assert causes == [None] * 3 + [FailureCause.CLIENT_ERROR] * 2 + [FailureCause.SERVER_ERROR] * 2
    elif outcome in {Outcome.MALFORMED, Outcome.NOT_FOUND}:
        # They belong to no key, so nothing counts them.
        with pytest.raises(ValueError, match=outcome.lower()):
            failure_cause(outcome, outcome.http_status)
    else:
        cause = failure_cause(outcome, outcome.http_status)
        assert cause.value == outcome.value.lower()
        assert cause.label.startswith(f"{outcome.http_status} ")


def documented(first: str) -> list[tuple[str, ...]]:
    """The rows of the table in the docs whose first column is headed `first`, without back quotes."""
    table = re.search(rf"^\| {first} \|.*?(?=\n\n|\Z)", DOCS.read_text(), flags=re.DOTALL | re.MULTILINE)[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return [tuple(cell.strip("` ") for cell in row) for row in rows]


def test_the_documented_outcomes_are_the_outcomes() -> None:
    assert documented("outcome") == [
        (outcome.value, outcome.label, str(outcome.http_status), outcome.meaning) for outcome in Outcome
    ]


def test_the_documented_causes_are_the_causes() -> None:
    assert documented("cause") == [(cause.value, cause.label) for cause in FailureCause]


def test_the_documented_problems_are_the_problems() -> None:
    rows = [(name, status) for name, status, _ in documented("type")]
    assert rows == [(problem.type, str(problem.status)) for problem in problems.ALL]
    named = {value for value in vars(problems).values() if isinstance(value, problems.Problem)}
    assert named == set(problems.ALL)
