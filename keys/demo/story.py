"""The standard demo data: some fifty merchant accounts, their keys, and thirty hours of requests."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import NamedTuple

from django.db import transaction

from keys.access import Step
from keys.demo import people, roles, traffic
from keys.demo.biographies import KeyLife, MerchantLife, save
from keys.demo.calls import Habit
from keys.demo.cast import NORTHWIND, PARTS, Part
from keys.demo.improvise import scenes as improvise
from keys.demo.progress import ProgressReport
from keys.demo.rhythms import Rhythm, Span
from keys.demo.scenes import Pause, Scene, Stage, Trouble, client, play
from keys.demo.traffic import Client
from keys.errors import DomainError
from keys.models import Merchant

HOURS = 30
# Of the volumes in the scenes: believable figures, and a load that takes seconds.
SCALE = 0.65
FADED = 0.06

NORTHWIND_SCENES = (
    Scene(
        roles.AGENCY, age_days=310, name="Agency 2025", description="Contract ended",
        copied_days_ago=(309.9, 280), disabled_days_ago=152, disabled_because="Contract ended on the 28th",
        revoked_days_ago=121, revoked_because="They confirmed that nothing uses it any more",
        last_used_days_ago=153,
    ),
    Scene(
        roles.OLD_SHOP, age_days=217, description="Replaced by Checkout backend", copied_days_ago=(216.9,),
        pauses=(Pause(150, 5.2, "Duplicate charges reported", "It was their retry logic, fixed"),),
        disabled_days_ago=20, disabled_because="The new shop takes all payments since Monday",
        last_used_days_ago=21,
    ),
    Scene(
        roles.MARKETPLACE, age_days=130, name="Seller onboarding",
        description="For the marketplace pilot. Not wired up yet",
    ),
    Scene(
        roles.SANDBOX_INTEGRATION, age_days=108, per_day=720, former_name="Test key",
        description="Used by the agency while they build the new site", copied_days_ago=(107.9, 90, 64),
        habit=Habit(rejected=0.041), quiet_hours=9,
    ),
    Scene(
        roles.REPORTING, age_days=103, per_day=1850, description="Read-only, finance data warehouse",
        copied_days_ago=(102.9,), quiet_hours=1,
    ),
    Scene(
        roles.PAYOUTS, age_days=56, per_day=4700, description="Nightly settlement to sellers",
        former_description="Settlement", copied_days_ago=(55.9, 31),
        habit=Habit(
            denied=0.17, rejected=0.01, broken=0.004,
            denied_routes=("GET /v1/payments/{payment}", "GET /v1/payments"),
        ),
    ),
    Scene(
        roles.CHECKOUT, age_days=41, per_day=14000,
        description="Server-to-server payments, EU shop and outlet. Owned by the checkout team, page them first",
        former_name="Checkout (new shop)", copied_days_ago=(40.9, 33, 12),
        pauses=(Pause(33.2, 0.3, "Seen in a support ticket, looks like a test key", "It was one. Sorry"),),
        habit=Habit(rejected=0.006, broken=0.002),
    ),
)  # fmt: skip

# One key in trouble for each of some other accounts.
TROUBLES = {
    "Kestrel Bikes": Scene(
        roles.TILLS, age_days=610, per_day=1300, description="Tills in the shops, through the back office",
        copied_days_ago=(609.9,), disabled_days_ago=5.2 / 24,
        disabled_because="Stolen till in the Leeds shop. Enable again when they have changed it",
        troubles=(Trouble(5.2, retries_per_hour=90),), habit=Habit(rejected=0.008),
    ),
    "Lumen Analytics": Scene(
        roles.REPORTING, age_days=365, per_day=1500, name="Warehouse export",
        description="Agreed for one year, then we look at it again", copied_days_ago=(364.9,),
        expires_in_days=-9.4 / 24,
    ),
    "Harbor & Pine Coffee Roasters": Scene(
        roles.CHECKOUT, age_days=780, per_day=4400, copied_days_ago=(779.9, 300),
        habit=Habit(rejected=0.007),
        troubles=(Trouble(7.5, 5.1, habit=Habit(broken=0.62, rejected=0.01), retries_per_hour=120),),
    ),
    "Meridian Parcel": Scene(
        roles.PAYOUTS, age_days=702, per_day=1100, networks=("203.0.113.40/29", "2001:db8:77::/48"),
        description="Weekly settlement. Only from the two data centres", copied_days_ago=(701.9,),
        habit=Habit(foreign=0.065),
    ),
    "Copperline Energy": Scene(
        roles.SUBSCRIPTIONS, age_days=930, per_day=2600, copied_days_ago=(929.9,),
        description="Monthly bills. Expires with the old contract, the new key is not made yet",
        expires_in_days=2.7, habit=Habit(rejected=0.012),
    ),
    "東京文具店": Scene(
        roles.CHECKOUT, age_days=725, per_day=2500, name="決済サーバー",
        description="オンラインショップの決済",
        copied_days_ago=(724.9,), habit=Habit(rejected=0.003),
    ),
    "مكتبة الأندلس": Scene(
        roles.CHECKOUT, age_days=498, per_day=850, name="خادم الدفع", description="بوابة الدفع للمتجر",
        copied_days_ago=(497.9,), habit=Habit(rejected=0.011),
    ),
    "Greenhouse Collective": Scene(
        roles.OLD_SHOP, age_days=340, per_day=60, name="Import script", description="",
        copied_days_ago=(339.9,), disabled_days_ago=31, disabled_because="Replaced by the ERP sync",
        revoked_days_ago=24, revoked_because="Yearly clean-up of unused keys",
    ),
}  # fmt: skip


class AlreadyLoaded(DomainError):
    """The demo data is in this database."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load has made."""

    merchants: int
    keys: int
    requests: int

    def __str__(self) -> str:
        return f"{self.merchants:,} merchant accounts, {self.keys:,} API keys and {self.requests:,} requests"


def load(*, now: datetime, seed: int, report: ProgressReport, scale: float = 1.0) -> Loaded:
    """Make the standard demo data, all of it or, when anything goes wrong, nothing; raises AlreadyLoaded.

    `scale` is of the usual number of requests.
    """
    with transaction.atomic():
        # Of two loads at once, the second waits here and then finds what the first one made.
        staff = people.hire()
        if is_loaded():
            raise AlreadyLoaded("The demo data is in this database already; nothing was loaded.")
        random = Random(seed)  # noqa: S311 - secrets come from keys.keyformat
        stage = Stage(Span.of_hours(HOURS, until=now), staff, random)
        accounts = [open_account(part, stage) for part in PARTS]
        lives = [life for account in accounts for life in tell(account, stage)]
        account_lives = [account.life for account in accounts]
        people.welcome(account_lives, now=now)
        save(account_lives, [told.life for told in lives])
        clients = [_client(told, stage) for told in lives if told.scene.per_day]
        total = round(scale * SCALE * sum(client.volume * sum(client.volumes) for client in clients))
        report.step("Requests", total)
        traffic.load(clients, span=stage.span, total=total, random=random, advance=report.advance)
        people.form_teams(account_lives)
    return Loaded(len(accounts), len(lives), total)


def is_loaded() -> bool:
    return Merchant.objects.filter(website=NORTHWIND.website, created_by__in=people.present()).exists()


class Account(NamedTuple):
    part: Part
    life: MerchantLife


class Told(NamedTuple):
    """A key, and the scene that was played to make it."""

    account: Account
    scene: Scene
    life: KeyLife


def open_account(part: Part, stage: Stage) -> Account:
    at = stage.moment(part.age_days)
    life = MerchantLife(
        name=part.former_name or part.name,
        website=part.website,
        at=at,
        actor=stage.actor(Step.CREATE_MERCHANT),
    )
    if part.former_name:
        life.update(
            at=stage.moment(part.age_days * 0.6), actor=stage.actor(Step.CHANGE_MERCHANT), name=part.name
        )
    if part.disabled_because:
        at = stage.moment(part.disabled_days_ago)
        life.disable(at=at, actor=stage.actor(Step.DISABLE_MERCHANT), reason=part.disabled_because)
    if part.enabled_again_because:
        at = stage.moment(part.disabled_days_ago * 0.9)
        life.enable(at=at, actor=stage.actor(Step.ENABLE_MERCHANT), reason=part.enabled_again_because)
    return Account(part, life)


def tell(account: Account, stage: Stage) -> Iterator[Told]:
    """The keys of one account, in the order in which their scenes need each other."""
    part, account_life = account
    scenes: list[Scene] = list(NORTHWIND_SCENES)
    if part is not NORTHWIND:
        written = [TROUBLES[part.name]] if part.name in TROUBLES else []
        scenes = [*written, *improvise(part, written=written, random=stage.random)]
    if part.disabled_days_ago > 1 and not part.enabled_again_because:
        # Of an account that was disabled days ago, only forgotten jobs still call.
        scenes = [replace(scene, per_day=scene.per_day * FADED) for scene in scenes]
    earlier: dict[str, KeyLife] = {}
    for scene in scenes:
        life = play(scene, stage=stage, account=account_life, earlier=earlier)
        earlier[life.key.name] = life
        yield Told(account, scene, life)


def _client(told: Told, stage: Stage) -> Client:
    part, role = told.account.part, told.scene.role
    return client(
        told.scene,
        life=told.life,
        account=told.account.life,
        stage=stage,
        utc_offset_hours=part.utc_offset_hours,
        rhythm=part.trade.rhythm if role.rhythm is Rhythm.SHOP else role.rhythm,
    )
