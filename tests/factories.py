"""What tests are made of: people, merchant accounts, API keys and requests, made as the product makes them.

Accounts and keys go through the domain functions, so that each has its history, its search words and a
genuine secret, and so that no factory can make a row that the database's guards would refuse.

    key = ApiKeyFactory(name="Checkout", permissions={"payments": "write"}, disabled=True)
    key.secret.reveal()                     # the plain text: verifies at /v1/whoami
    MerchantFactory(name="Café", disabled=True, created_at=last_week)
    use(key, succeeded=3, failed=1)         # requests of a minute ago, with rollups and last use
"""

from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import cache

import factory
import time_machine
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from keys import invitations, lifecycle, merchants, people, teams
from keys.gateway.ingest import ingest
from keys.history import Actor
from keys.identifiers import new_id
from keys.models import Acknowledgement, ApiKey, Invitation, Merchant, User, Verifier
from keys.models.access import PlatformRole, TeamRole
from keys.models.history import ActorKind
from keys.outcomes import Outcome
from keys.spool import Record

PASSWORD = "correct horse battery staple"
ADDRESS = "203.0.113.7"


@cache
def hashed(password: str) -> str:
    """Hashing is slow on purpose; once a process is enough for tests."""
    return make_password(password)


class UserFactory(factory.django.DjangoModelFactory):
    """A person who can sign in with PASSWORD. Trait `operator`: staff and superuser.

    `role` is one on the platform; `team=(merchant, role)` puts them into a team.
    """

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda number: f"person{number}")
    first_name = factory.Sequence(lambda number: f"Person{number}")
    last_name = "Lovelace"
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.com")
    password = factory.LazyFunction(lambda: hashed(PASSWORD))

    class Params:
        operator = factory.Trait(is_staff=True, is_superuser=True)

    @factory.post_generation
    def role(self, create, role, **_):
        if role:
            people.give_role(self, PlatformRole(role))

    @factory.post_generation
    def team(self, create, team, **_):
        if team:
            merchant, role = team
            teams.add(user=self, merchant=merchant, role=TeamRole(role))


class ActorFactory(factory.Factory):
    """A person who acts, from an address, in a request."""

    class Meta:
        model = Actor

    user = factory.SubFactory(UserFactory)
    name = factory.LazyAttribute(lambda actor: actor.user.display_name if actor.user else "Nobody")
    kind = ActorKind.PERSON
    address = ADDRESS
    user_agent = "Mozilla/5.0"
    request_id = factory.Sequence(lambda number: f"request-{number}")


def at_moment(moment: datetime | None):
    """A context in which it is `moment`; None leaves the clock alone."""
    return nullcontext() if moment is None else time_machine.travel(moment, tick=False)


class MerchantFactory(factory.Factory):
    """An Enabled account, or a Disabled one (`disabled=True`), made now or at `created_at`."""

    class Meta:
        model = Merchant

    name = factory.Sequence(lambda number: f"Merchant {number}")
    website = ""
    actor = factory.LazyFunction(lambda: Actor.command("factory"))
    created_at = None
    disabled = False

    @classmethod
    def _create(cls, model_class, *, created_at, disabled, actor, **given):
        with at_moment(created_at):
            merchant = merchants.create(actor=actor, **given)
        return merchants.disable(merchant=merchant, actor=actor) if disabled else merchant

    @classmethod
    def _build(cls, model_class, **given):
        raise NotImplementedError("a merchant account exists only in the database")


class ApiKeyFactory(factory.Factory):
    """A genuine key, Enabled and in live mode; its PlaintextKey is the attribute `secret`.

    Traits: `disabled` and `revoked` (by way of the life cycle), `expired` (made two days ago, good until an
    hour ago), `test_mode`.
    """

    class Meta:
        model = ApiKey

    merchant = factory.SubFactory(MerchantFactory)
    name = factory.Sequence(lambda number: f"Key {number}")
    description = ""
    mode = "live"
    permissions = {"payments": "write", "refunds": "read"}
    expires_at = None
    allowed_networks = ()
    duplicated_from = None
    actor = factory.LazyFunction(lambda: Actor.command("factory"))
    created_at = None
    state = "enabled"

    class Params:
        disabled = factory.Trait(state="disabled")
        revoked = factory.Trait(state="revoked")
        test_mode = factory.Trait(mode="test")
        expired = factory.Trait(
            created_at=factory.LazyFunction(lambda: timezone.now() - timedelta(days=2)),
            expires_at=factory.LazyFunction(lambda: timezone.now() - timedelta(hours=1)),
        )

    @classmethod
    def _create(cls, model_class, *, created_at, state, actor, **given):
        with at_moment(created_at):
            key, secret = lifecycle.create(actor=actor, key_id=new_id(created_at), **given)
        if state in {"disabled", "revoked"}:
            key = lifecycle.disable(key=key, actor=actor)
        if state == "revoked":
            key = lifecycle.revoke(key=key, actor=actor)
        key.secret = secret
        return key

    @classmethod
    def _build(cls, model_class, **given):
        raise NotImplementedError("an API key exists only in the database")


class InvitationFactory(factory.Factory):
    """A waiting invitation to the platform, or to the team of `merchant`; its token in plain text is in `token`."""

    class Meta:
        model = Invitation

    email = factory.Sequence(lambda number: f"invited{number}@example.com")
    merchant = None
    role = factory.LazyAttribute(
        lambda given: TeamRole.DEVELOPER if given.merchant else PlatformRole.OPERATOR
    )
    actor = factory.LazyFunction(lambda: Actor.command("factory"))
    created_at = None

    @classmethod
    def _create(cls, model_class, *, created_at, **given):
        with at_moment(created_at):
            invitation, token = invitations.invite(**given)
        invitation.token = token.reveal()
        return invitation


class RecordFactory(factory.Factory):
    """One finished request with `key`, not yet in the database: hand a list of them to `ingest`."""

    class Meta:
        model = Record

    class Params:
        key = None

    key_id = factory.LazyAttribute(lambda record: record.key.pk)
    merchant_id = factory.LazyAttribute(lambda record: record.key.merchant_id)
    at = factory.LazyFunction(timezone.now)
    method = "GET"
    path = "/v1/payments"
    status = 200
    outcome = Outcome.VALID.value
    duration_us = 1_500
    address = ADDRESS
    request_id = factory.Sequence(lambda number: f"request-{number}")
    id = factory.LazyAttribute(lambda record: new_id(record.at))


def use(
    key: ApiKey, *, succeeded: int = 0, failed: int = 0, at: datetime | None = None, **given
) -> list[Record]:
    """Record requests with `key` at one moment, a minute ago unless `at` is given; failed ones answer 500."""
    at = at or timezone.now() - timedelta(minutes=1)
    records = [RecordFactory(key=key, at=at, **given) for _ in range(succeeded)]
    records += [RecordFactory(key=key, at=at, **{"status": 500} | given) for _ in range(failed)]
    ingest(records)
    return records


class VerifierFactory(factory.django.DjangoModelFactory):
    """A process that keeps facts in memory: running for an hour, last heard of just now, with a lease of 2 s."""

    class Meta:
        model = Verifier

    host = "web-1"
    process = factory.Sequence(lambda number: 4711 + number)
    lease_ms = 2_000
    seen_at = factory.LazyFunction(timezone.now)
    started_at = factory.LazyAttribute(lambda verifier: verifier.seen_at - timedelta(hours=1))
    stopped_at = None


class AcknowledgementFactory(factory.django.DjangoModelFactory):
    """`verifier` has applied `change`, `delay_ms` after it."""

    class Meta:
        model = Acknowledgement

    class Params:
        delay_ms = 40

    verifier = factory.SubFactory(VerifierFactory)
    at = factory.LazyAttribute(lambda answer: answer.change.at + timedelta(milliseconds=answer.delay_ms))
