"""Any number of merchant accounts, API keys and requests, for trying and measuring the product at size.

Accounts with their keys go in by batches, requests by clock hours, each a transaction of its own and complete in
itself: a load that is interrupted leaves less than was asked for, and nothing half-done. What is kept in memory grows
with the number of keys, not with the others.
"""

from array import array
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from django.db import transaction

from keys.access import Step
from keys.demo import calls, names, people, tables, traffic
from keys.demo.biographies import KeyLife, MerchantLife, save
from keys.demo.calls import Call, Habit
from keys.demo.progress import ProgressReport
from keys.demo.rhythms import HOUR, Rhythm, Span, curve
from keys.demo.roles import FURTHER_ROLES, MAIN_ROLES, Role
from keys.demo.story import Loaded
from keys.demo.traffic import Client, Phase
from keys.history import Actor
from keys.models import Merchant
from keys.verification import Facts

BATCH = 5000
DAY = timedelta(days=1)
AGE = 3 * 365 * DAY
ROLES = tuple(dict.fromkeys((*MAIN_ROLES, *FURTHER_ROLES)))
# The r-th busiest key has about 1 / r^1.2 of the requests of the busiest.
SKEW = 1.2
DISABLED_MERCHANTS = 0.04
KEYS_OF_ONE = (1, 2, 3, 4, 5, 6, 7)
KEYS_OF_ONE_WEIGHTS = (6, 5, 4, 3, 2, 1, 1)
DISABLED_KEYS, REVOKED_KEYS = 0.12, 0.08
# Of keys that are refused, this part is used all the same.
FORGOTTEN = 0.1
HABITS = (
    Habit(),
    Habit(rejected=0.004),
    Habit(rejected=0.008, broken=0.002),
    Habit(rejected=0.016, broken=0.002),
    Habit(rejected=0.012, denied=0.01),
    Habit(rejected=0.05, broken=0.04, denied=0.08),
)
HABIT_WEIGHTS = (30, 25, 20, 15, 8, 2)
NETWORK = "203.0.113.0/24"
# Verdicts depend on neither id here, so one sample of calls serves many keys.
NOBODY = UUID(int=0)


def load(
    *, merchants: int, keys: int, requests: int, hours: int, now: datetime, seed: int, report: ProgressReport
) -> Loaded:
    """Add that much to whatever is there. Needs an account to have keys, and a key to have requests."""
    random = Random(seed)  # noqa: S311 - secrets come from keys.keyformat
    builder = _Builder(keys, span=Span.of_hours(hours, until=now), random=random)
    amounts = _keys_of_each(merchants, keys, random)
    with tables.room_for_indexes():
        report.step("Merchant accounts and API keys", merchants)
        for start in range(0, merchants, BATCH):
            stop = min(start + BATCH, merchants)
            with transaction.atomic():
                builder.build([(place / merchants, amounts[place]) for place in range(start, stop)])
            report.advance(stop - start)
        if requests:
            report.step("Requests", requests)
            traffic.load(
                builder.clients, span=builder.span, total=requests, random=random, advance=report.advance
            )
    report.step("Statistics of the tables", 1)
    tables.analyze()
    report.advance(1)
    return Loaded(merchants, keys, requests)


def _keys_of_each(merchants: int, keys: int, random: Random) -> Sequence[int]:
    """How many keys each account has: most none, many a few, where there are enough accounts for that."""
    counts = array("L", bytes(array("L").itemsize * merchants))
    left = keys
    for place in random.sample(range(merchants), min(merchants, keys)):
        counts[place] = min(left, random.choices(KEYS_OF_ONE, KEYS_OF_ONE_WEIGHTS)[0])
        left -= counts[place]
        if not left:
            return counts
    for place in range(merchants):
        counts[place] += left // merchants + (place < left % merchants)
    return counts


class _Builder:
    """Makes accounts and keys, and remembers who will make requests."""

    def __init__(self, keys: int, *, span: Span, random: Random) -> None:
        self.span = span
        self.clients: list[Client] = []
        self._keys = keys
        self._random = random
        self._staff = people.hire()
        self._curves: dict[tuple[Rhythm, int], tuple[float, ...]] = {}
        self._phases: dict[tuple[Role, str, str, Habit], tuple[Phase, ...]] = {}

    def build(self, accounts: Sequence[tuple[float, int]]) -> None:
        """Make one account for each: how far it is on the way from the oldest to the newest, and how many keys."""
        lives = []
        key_lives: list[KeyLife] = []
        for age, keys in accounts:
            life = self._account(age)
            lives.append(life)
            key_lives += self._keys_of(life.merchant, keys)
        save(lives, key_lives)

    @property
    def _latest(self) -> datetime:
        """Nothing changes while requests are made, so that each has one possible answer."""
        return self.span.start - DAY

    def _account(self, age: float) -> MerchantLife:
        name, website = names.business(self._random)
        at = self._latest - AGE + age * (AGE - DAY)
        life = MerchantLife(name=name, website=website, at=at, actor=self._actor(Step.CREATE_MERCHANT))
        if self._random.random() < DISABLED_MERCHANTS:
            disabled_at, actor = self._between(at, self._latest), self._actor(Step.DISABLE_MERCHANT)
            life.disable(at=disabled_at, actor=actor, reason="Documents missing")
        return life

    def _keys_of(self, merchant: Merchant, count: int) -> list[KeyLife]:
        lives = []
        cast = self._random.sample(ROLES, min(count, len(ROLES)))
        offset = self._random.randint(-8, 10) if count else 0
        for place in range(count):
            role = cast[place % len(ROLES)]
            number = place // len(ROLES)
            name = f"{role.names[0]} {number + 1}" if number else self._random.choice(role.names)
            life = self._key(role, merchant, name)
            lives.append(life)
            self._employ(life, role, offset)
        return lives

    def _key(self, role: Role, merchant: Merchant, name: str) -> KeyLife:
        random = self._random
        at = self._between(merchant.created_at, self._latest)
        life = KeyLife(
            merchant=merchant,
            at=at,
            actor=self._actor(Step.CREATE_KEY),
            name=name,
            description=random.choice(role.descriptions),
            mode=role.mode,
            permissions=role.grants,
            allowed_networks=(NETWORK,) if random.random() < 0.1 else (),
            expires_at=self.span.end + random.randint(1, 400) * DAY if random.random() < 0.1 else None,
        )
        if random.random() < 0.7:
            copied_at = at + timedelta(seconds=random.randint(20, 900))
            life.copy(at=copied_at, actor=self._actor(Step.COPY_KEY))
        chance = random.random()
        if chance < DISABLED_KEYS + REVOKED_KEYS:
            disabled_at = self._between(life.history[-1].at, self._latest)
            actor = self._actor(Step.DISABLE_KEY)
            life.disable(at=disabled_at, actor=actor, reason="Not needed at the moment")
            if chance < REVOKED_KEYS:
                at = self._between(disabled_at, self._latest)
                life.revoke(at=at, actor=self._actor(Step.REVOKE_KEY), reason="Nobody missed it")
        return life

    def _employ(self, life: KeyLife, role: Role, utc_offset_hours: int) -> None:
        """Give the key an integration that uses it, or a time when it was used last, or neither."""
        random, key = self._random, life.key
        refused = not (key.is_enabled and key.merchant.is_enabled)
        if refused and random.random() >= FORGOTTEN:
            ended = life.history[-1].at
            life.last_used_at = self._between(key.created_at, ended) if random.random() < 0.9 else None
            return
        rank = 1 + random.random() * self._keys
        self.clients.append(
            Client(
                key_id=key.pk,
                merchant_id=key.merchant_id,
                volumes=self._volumes(role.rhythm, utc_offset_hours),
                volume=rank**-SKEW * (0.01 if refused else 1.0),
                phases=self._phases_of(role, key.status, key.merchant.status),
                addresses=tuple(f"203.0.113.{random.randint(1, 254)}" for _ in range(random.randint(1, 3))),
                in_batches=role.in_batches,
            )
        )

    def _volumes(self, rhythm: Rhythm, utc_offset_hours: int) -> tuple[float, ...]:
        place = (rhythm, utc_offset_hours)
        if place not in self._curves:
            self._curves[place] = curve(
                rhythm, span=self.span, utc_offset_hours=utc_offset_hours, random=self._random
            )
        return self._curves[place]

    def _phases_of(self, role: Role, key_status: str, merchant_status: str) -> tuple[Phase, ...]:
        habit = self._random.choices(HABITS, HABIT_WEIGHTS)[0]
        place = (role, key_status, merchant_status, habit)
        if place not in self._phases:
            self._phases[place] = (
                Phase(self.span.start, self._calls(role, key_status, merchant_status, habit)),
            )
        return self._phases[place]

    def _calls(self, role: Role, key_status: str, merchant_status: str, habit: Habit) -> tuple[Call, ...]:
        facts = Facts(
            key_id=NOBODY,
            merchant_id=NOBODY,
            key_status=key_status,
            merchant_status=merchant_status,
            mode=role.mode,
            grants=role.grants,
            expires_at=None,
            allowed_networks=(),
        )
        return calls.sample(
            facts=facts,
            habit=habit,
            address="203.0.113.7",
            at=self.span.start,
            random=self._random,
        )

    def _between(self, start: datetime, end: datetime) -> datetime:
        return start + max(end - start, HOUR) * self._random.random()

    def _actor(self, step: Step) -> Actor:
        return self._random.choice(self._staff.who_may(step))
