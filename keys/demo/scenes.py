"""Scenes: what is told of one demo key, in days before the load; and how a scene becomes a key with a life.

A scene is data. `play` turns it into the steps of a `KeyLife`, and `client` into the requests made with it: who asks
for what follows from the life itself, so a key disabled five hours ago is refused since then, to the minute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from random import Random

from keys.access import Step
from keys.demo import calls
from keys.demo.biographies import KeyLife, MerchantLife
from keys.demo.calls import Habit
from keys.demo.people import Staff
from keys.demo.rhythms import HOUR, MINUTE, Rhythm, Span, curve
from keys.demo.roles import Role, known
from keys.demo.traffic import Client, Phase
from keys.history import Actor
from keys.models.history import Action
from keys.permissions import Grants
from keys.verification import Facts

DAY = timedelta(days=1)
# Steps younger than this are told to the minute, so that the requests can follow them.
RECENT = 2.0
NO_TROUBLE = Habit()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Some hours in which an integration behaves differently; its retries come on top, by day and by night."""

    from_hours_ago: float
    to_hours_ago: float = 0.0
    habit: Habit | None = None
    retries_per_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Disabled for a while, and enabled again."""

    from_days_ago: float
    hours: float
    because: str
    enabled_because: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """One key. Times are in days before the load; `per_day` is requests in a usual day."""

    role: Role
    age_days: float
    per_day: float = 0.0
    name: str = ""
    description: str | None = None
    permissions: str | None = None
    former_name: str = ""
    former_description: str | None = None
    expires_in_days: float | None = None
    networks: tuple[str, ...] = ()
    pauses: tuple[Pause, ...] = ()
    disabled_days_ago: float | None = None
    disabled_because: str = ""
    revoked_days_ago: float | None = None
    revoked_because: str = ""
    copied_days_ago: tuple[float, ...] = ()
    # The name of an earlier scene of the same merchant account.
    duplicated_from: str = ""
    habit: Habit = NO_TROUBLE
    troubles: tuple[Trouble, ...] = ()
    # No requests in these last hours.
    quiet_hours: int = 0
    # For a key without requests in the span; None says that it was never used.
    last_used_days_ago: float | None = None

    @property
    def final_name(self) -> str:
        return self.name or self.role.names[0]

    @property
    def final_description(self) -> str:
        return self.role.descriptions[0] if self.description is None else self.description


@dataclass(frozen=True, slots=True)
class Stage:
    """Where scenes play: the moment of the load, the people, the chance."""

    span: Span
    staff: Staff
    random: Random

    @property
    def now(self) -> datetime:
        return self.span.end

    def moment(self, days_ago: float) -> datetime:
        """That many days ago: on the minute when recent, and otherwise within working hours of the day."""
        at = self.now - days_ago * DAY
        if days_ago < RECENT:
            return to_the_minute(at)
        return at.replace(hour=self.random.randint(7, 16)) + timedelta(
            seconds=self.random.randrange(3600), microseconds=self.random.randrange(1_000_000)
        )

    def actor(self, step: Step) -> Actor:
        """Somebody who may take this step."""
        return self.random.choice(self.staff.who_may(step))


def to_the_minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def play(scene: Scene, *, stage: Stage, account: MerchantLife, earlier: dict[str, KeyLife]) -> KeyLife:
    """The life of the scene's key. `earlier` are the account's keys so far, by name."""
    at = max(stage.moment(scene.age_days), account.merchant.created_at + 20 * MINUTE)
    life = _birth(scene, at=at, stage=stage, account=account, earlier=earlier)
    for days_ago, step in sorted(_steps(scene, life, stage), key=lambda each: -each[0]):
        # Working hours may put a moment before that of the step before.
        step(max(stage.moment(days_ago), to_the_minute(life.history[-1].at + 2 * MINUTE)))
    if scene.last_used_days_ago is not None:
        life.last_used_at = max(stage.moment(scene.last_used_days_ago), at + HOUR)
    return life


def _birth(
    scene: Scene, *, at: datetime, stage: Stage, account: MerchantLife, earlier: dict[str, KeyLife]
) -> KeyLife:
    name = scene.former_name or scene.final_name
    if scene.duplicated_from:
        return earlier[scene.duplicated_from].duplicate(
            at=at, actor=stage.actor(Step.DUPLICATE_KEY), name=name
        )
    return KeyLife(
        merchant=account.merchant,
        at=at,
        actor=stage.actor(Step.CREATE_KEY),
        name=name,
        description=(
            scene.final_description if scene.former_description is None else scene.former_description
        ),
        mode=scene.role.mode,
        permissions=(
            scene.role.grants if scene.permissions is None else known(Grants.parse(scene.permissions))
        ),
        expires_at=None if scene.expires_in_days is None else stage.moment(-scene.expires_in_days),
        allowed_networks=scene.networks,
    )


Event = tuple[float, Callable[[datetime], None]]


def _steps(scene: Scene, life: KeyLife, stage: Stage) -> list[Event]:
    """What happened to the key after its creation, each with how many days ago, in no order."""
    actor = stage.actor
    steps: list[Event] = [
        (days, lambda at: life.copy(at=at, actor=actor(Step.COPY_KEY))) for days in scene.copied_days_ago
    ]
    if changes := _changes(scene, life):
        changed_days_ago = scene.age_days * stage.random.uniform(0.6, 0.9)
        steps.append(
            (changed_days_ago, lambda at: life.update(at=at, actor=actor(Step.CHANGE_KEY), **changes))
        )
    for pause in scene.pauses:
        enabled_days_ago = pause.from_days_ago - pause.hours / 24
        steps += [
            (pause.from_days_ago, _step(life.disable, actor(Step.DISABLE_KEY), pause.because)),
            (enabled_days_ago, _step(life.enable, actor(Step.ENABLE_KEY), pause.enabled_because)),
        ]
    if scene.disabled_days_ago is not None:
        steps.append(
            (scene.disabled_days_ago, _step(life.disable, actor(Step.DISABLE_KEY), scene.disabled_because))
        )
    if scene.revoked_days_ago is not None:
        steps.append(
            (scene.revoked_days_ago, _step(life.revoke, actor(Step.REVOKE_KEY), scene.revoked_because))
        )
    return steps


def _changes(scene: Scene, life: KeyLife) -> dict[str, str]:
    wanted = {"name": scene.final_name, "description": scene.final_description}
    return {field: value for field, value in wanted.items() if getattr(life.key, field) != value}


def _step(move: Callable[..., None], actor: Actor, reason: str) -> Callable[[datetime], None]:
    return lambda at: move(at=at, actor=actor, reason=reason)


def client(
    scene: Scene, *, life: KeyLife, account: MerchantLife, stage: Stage, utc_offset_hours: int, rhythm: Rhythm
) -> Client:
    """The integration that uses the scene's key during the span."""
    addresses = _addresses(scene, stage.random)
    volumes = list(curve(rhythm, span=stage.span, utc_offset_hours=utc_offset_hours, random=stage.random))
    for place, (_, end) in enumerate(stage.span.clock_hours()):
        hours_ago = (stage.now - end) / HOUR
        if hours_ago < scene.quiet_hours or end <= life.key.created_at:
            volumes[place] = 0.0
        for trouble in scene.troubles:
            if trouble.to_hours_ago <= hours_ago < trouble.from_hours_ago:
                volumes[place] += trouble.retries_per_hour / scene.per_day
    return Client(
        key_id=life.key.pk,
        merchant_id=account.merchant.pk,
        volumes=volumes,
        volume=scene.per_day,
        phases=_phases(scene, life, account, stage, addresses[0]),
        addresses=addresses,
        in_batches=scene.role.in_batches,
    )


def _addresses(scene: Scene, random: Random) -> list[str]:
    """Addresses that are reserved for documentation: inside the key's networks, or one or two of anyone's."""
    if scene.networks:
        network = ip_network(scene.networks[0])
        return [str(network[random.randrange(network.num_addresses)]) for _ in range(2)]
    if random.random() < 0.3:
        return [f"2001:db8:{random.randrange(1 << 16):x}::{random.randrange(1, 1 << 12):x}"]
    return [f"203.0.113.{random.randrange(1, 255)}" for _ in range(random.randint(1, 2))]


def _phases(scene: Scene, life: KeyLife, account: MerchantLife, stage: Stage, address: str) -> list[Phase]:
    """The span cut where a state, the expiry or a trouble begins or ends."""
    starts = {stage.span.start}
    starts |= {entry.at for entry in (*life.history, *account.history) if "status" in entry.after}
    starts |= {life.key.expires_at} if life.key.expires_at else set()
    for trouble in scene.troubles:
        starts |= {
            to_the_minute(stage.now - hours * HOUR)
            for hours in (trouble.from_hours_ago, trouble.to_hours_ago)
        }
    return [
        Phase(
            start,
            calls.sample(
                facts=_facts(life, account, start),
                habit=_habit(scene, stage, start),
                address=address,
                at=start,
                random=stage.random,
            ),
        )
        for start in sorted(starts)
        if stage.span.start <= start < stage.span.end
    ]


def _habit(scene: Scene, stage: Stage, at: datetime) -> Habit:
    hours_ago = (stage.now - at) / HOUR
    for trouble in scene.troubles:
        if trouble.habit and trouble.to_hours_ago + 1 / 60 < hours_ago <= trouble.from_hours_ago + 1 / 60:
            return trouble.habit
    return scene.habit


def _facts(life: KeyLife, account: MerchantLife, at: datetime) -> Facts:
    """What was stored at that moment."""
    key = life.key
    return Facts(
        key_id=key.pk,
        merchant_id=account.merchant.pk,
        key_status=_status(life, at, {Action.KEY_DISABLED, Action.KEY_ENABLED, Action.KEY_REVOKED}),
        merchant_status=_status(account, at, {Action.MERCHANT_DISABLED, Action.MERCHANT_ENABLED}),
        mode=key.mode,
        grants=key.grants,
        expires_at=key.expires_at,
        allowed_networks=key.networks,
    )


def _status(life: KeyLife | MerchantLife, at: datetime, actions: set[Action]) -> str:
    moves = [entry for entry in life.history if entry.action in actions and entry.at <= at]
    return str(moves[-1].after["status"]) if moves else "enabled"
