"""What integrations ask of the platform's API, and what they are answered.

The requests come from the routes of the permission catalogue in use, and whether a key may make them is decided by
`keys.verification`, so that demo traffic never tells of an answer that the product would not give.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from random import Random

from keys.outcomes import Outcome
from keys.permissions import Grants, catalogue
from keys.verification import Attempt, Facts, verdict

PARAMETER = re.compile(r"\{([a-z_]+)\}")

# How often each is called, against 2 for a route not named here.
WEIGHTS = {
    "GET /v1/whoami": 1,
    "POST /v1/payments": 30,
    "GET /v1/payments/{payment}": 34,
    "GET /v1/payments": 9,
    "POST /v1/payments/{payment}/capture": 14,
    "POST /v1/payments/{payment}/cancel": 2,
    "GET /v1/customers/{customer}": 16,
    "GET /v1/customers/{customer}/payment-methods": 8,
    "POST /v1/customers": 6,
    "POST /v1/refunds": 3,
    "GET /v1/refunds/{refund}": 3,
    "GET /v1/balance-movements": 8,
    "GET /v1/balances": 6,
    "GET /v1/payouts": 6,
    "POST /v1/payouts": 12,
    "GET /v1/payouts/{payout}": 14,
    "GET /v1/subscriptions/{subscription}": 8,
    "GET /v1/reports/{report}": 8,
    "GET /v1/reports/{report}/files/**": 4,
}
PREFIXES = {
    "payment": "pay", "refund": "ref", "payout": "po", "customer": "cus", "subscription": "sub",
    "dispute": "dsp", "webhook": "whk", "report": "rep", "method": "pm",
}  # fmt: skip
SUCCESS = {"GET": 200, "POST": 201, "PUT": 200, "PATCH": 200, "DELETE": 204, "OPTIONS": 204}
REJECTIONS = {"GET": (404, 404, 404, 429), "POST": (402, 402, 402, 409, 422, 422, 429)}
BREAKDOWNS = (500, 502, 503, 503, 503, 504)

# Outside every network that demo keys allow.
ELSEWHERE = "192.0.2.66"


@dataclass(frozen=True, slots=True)
class Call:
    """One request and its answer. `pace` stretches its duration; `foreign` is from outside the key's networks."""

    method: str
    path: str
    status: int
    outcome: str
    pace: float
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Habit:
    """The shares (0 to 1) of an integration's requests that go wrong, by what is wrong with them.

    Asked for without the permission; asked from outside the key's networks; turned down by the API (4xx); broken
    in the API (5xx). `denied_routes` are the ones it has no permission for; without them, two are picked.
    """

    denied: float = 0.0
    foreign: float = 0.0
    rejected: float = 0.0
    broken: float = 0.0
    denied_routes: tuple[str, ...] = ()


def sample(
    *, facts: Facts, habit: Habit, address: str, at: datetime, random: Random, size: int = 300
) -> tuple[Call, ...]:
    """Calls of an integration with a key of these facts at the moment `at`, in the proportions of `habit`."""
    allowed, others = routes(facts.grants)
    denied = [route for route in habit.denied_routes if route in others]
    denied = denied or random.sample(others, k=min(2, len(others))) or allowed
    allowed = allowed or others
    caller = _Caller(facts, at, random)
    draws: list[Call] = []
    for share, asked, sender, answer in (
        (habit.denied, denied, address, _success),
        (habit.foreign, allowed, ELSEWHERE, _success),
        (habit.rejected, allowed, address, _rejection),
        (habit.broken, allowed, address, _breakdown),
    ):
        draws += caller.calls(round(share * size), asked, sender, answer)
    draws += caller.calls(size - len(draws), allowed, address, _success)
    random.shuffle(draws)
    return tuple(draws)


def routes(grants: Grants) -> tuple[list[str], list[str]]:
    """The routes of the catalogue that these grants cover, and those that they do not."""
    covered: list[str] = []
    others: list[str] = []
    for route, need in catalogue().routes.items():
        granted = need.permission is None or need.permission.granted_by(grants)
        (covered if granted else others).append(route)
    return covered, others


def pick(asked: Sequence[str], random: Random, count: int = 1) -> list[str]:
    """Some of these routes, the usual ones more often."""
    return random.choices(asked, [WEIGHTS.get(route, 2) for route in asked], k=count)


Answer = Callable[[Random, str], tuple[int, float]]


def _success(random: Random, method: str) -> tuple[int, float]:
    return SUCCESS[method], 1.0 if method == "GET" else 2.6


def _rejection(random: Random, method: str) -> tuple[int, float]:
    return random.choice(REJECTIONS.get(method, (404, 409))), 0.8


def _breakdown(random: Random, method: str) -> tuple[int, float]:
    status = random.choice(BREAKDOWNS)
    return status, 60.0 if status == 504 else 4.0


class _Caller:
    """Draws calls with one key at one moment."""

    def __init__(self, facts: Facts, at: datetime, random: Random) -> None:
        self._facts, self._at, self._random = facts, at, random
        self._outcomes: dict[tuple[str, str], Outcome] = {}

    def calls(self, count: int, asked: Sequence[str], sender: str, answer: Answer) -> list[Call]:
        """`count` calls from the address `sender`; `answer` is what the API says to those let through."""
        return [self._call(route, sender, answer) for route in pick(asked, self._random, count)]

    def _call(self, route: str, sender: str, answer: Answer) -> Call:
        method, _, pattern = route.partition(" ")
        outcome = self._outcomes.get((route, sender))
        if outcome is None:
            need = catalogue().routes[route]
            attempt = Attempt(now=self._at, address=ip_address(sender), required=need.permission)
            outcome = self._outcomes[route, sender] = verdict(self._facts, attempt)
        if outcome is Outcome.VALID:
            status, pace = answer(self._random, method)
        else:
            # The verifier answers at once; only what it lets through costs time.
            status, pace = outcome.http_status, 0.02
        path = fill(pattern, self._random)
        return Call(method, path, status, outcome.value, pace, foreign=sender == ELSEWHERE)


def fill(pattern: str, random: Random) -> str:
    """`/v1/payments/{payment}` with an id in place of each name, as a client would send it."""
    path = PARAMETER.sub(lambda match: _id(PREFIXES.get(match[1], match[1]), random), pattern)
    return path.replace("**", f"part-{random.randint(1, 12):02}.csv") if "**" in path else path


def _id(prefix: str, random: Random) -> str:
    if prefix == "currency":
        return random.choice(("eur", "usd", "gbp", "jpy", "sek"))
    return f"{prefix}_{random.getrandbits(80):020x}"
