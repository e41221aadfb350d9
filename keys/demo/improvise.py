"""Scenes for merchant accounts whose keys nobody wrote by hand: drawn at random, likely ones more often."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from keys.demo import roles
from keys.demo.calls import Habit
from keys.demo.cast import Part
from keys.demo.roles import Role
from keys.demo.scenes import Pause, Scene

DISABLED_BECAUSE = (
    "Not needed at the moment",
    "Seen in a public repository, waiting for the merchant",
    "Contract with the supplier ended",
    "Asked for by the merchant's security team",
    "Replaced, kept for a month in case something was forgotten",
    "",
)
REVOKED_BECAUSE = (
    "Nobody missed it for a month",
    "Leaked, replaced the same day",
    "Contract ended",
    "Yearly clean-up of unused keys",
)
PAUSES = (
    ("Too many retries, their queue ran wild", "Fixed on their side, tested with Priya"),
    ("Maintenance of their shop", "Maintenance over"),
    ("Unusual countries in the log, asked the merchant", "It was their new data centre"),
    ("Disabled by mistake, meant the test key", "Sorry"),
)
NOTES = (
    "New owner: the payments team",
    "Ask Beatriz before changing anything",
    "Moved to the new data centre in spring",
    "Do not disable during the sales weeks",
    "OPS-2231 explains why refunds are in here",
    "Rotate together with the webhook secret",
    "Shared mailbox: tech@",
    "Two people have it: Ravi and Sanne",
    "Runs from the Frankfurt machines",
    "Was on the old contract, prices changed",
    "Reviewed with the auditors",
    "Temporary, until the new system is there",
    "Call the night desk when this fails",
    "Approved by Henrik",
)


def scenes(part: Part, *, written: Sequence[Scene], random: Random) -> list[Scene]:
    """The keys of `part` besides the written ones: one to seven in all."""
    wanted = random.choices(range(1, 8), (2, 5, 6, 5, 3, 2, 1))[0]
    taken = {scene.role for scene in written}
    cast = [role for role in part.trade.main_roles if role not in taken]
    others = [role for role in roles.FURTHER_ROLES if role not in taken and role not in cast]
    cast += random.sample(others, k=max(0, wanted - len(written) - len(cast)))
    improvised = [_scene(role, part, place, random) for place, role in enumerate(cast)]
    if improvised and len(written) + len(improvised) < 7 and random.random() < 0.25:
        improvised += _rotation(improvised[0], random)
    return improvised


def _scene(role: Role, part: Part, place: int, random: Random) -> Scene:
    age = part.age_days * (random.uniform(0.9, 0.995) if place == 0 else random.uniform(0.06, 0.9))
    name = role.names[0] if random.random() < 0.5 else random.choice(role.names)
    scene = Scene(
        role,
        age_days=age,
        per_day=part.size * role.weight * random.lognormvariate(0, 0.3),
        name=name,
        description=random.choice(role.descriptions),
        networks=_networks(role, random),
        expires_in_days=random.randint(25, 400) if place and random.random() < 0.12 else None,
        copied_days_ago=tuple(age * share for share in _copies(random)),
        habit=_habit(random),
        quiet_hours=random.choice((0, 0, 0, 0, 1, 2, 5)) if place else 0,
    )
    if random.random() < 0.2:
        scene = replace(scene, former_name=random.choice((f"{name} 2", f"{name} (temporary)", "Key 1")))
    if random.random() < 0.2:
        noted = ". ".join(filter(None, (scene.description, random.choice(NOTES))))
        scene = replace(scene, former_description=scene.description, description=noted)
    if age > 14 and random.random() < 0.15:
        because, enabled_because = random.choice(PAUSES)
        hours = random.uniform(0.4, 70)
        pause = Pause(age * random.uniform(0.35, 0.55), hours, because, enabled_because)
        scene = replace(scene, pauses=(pause,))
    if role in part.trade.main_roles:
        return scene
    return _end(scene, age, _chance_of_end(role), random)


def _copies(random: Random) -> list[float]:
    """When it was copied, as shares of its age: mostly at once, sometimes again much later."""
    chances = ((0.9, 1.0), (0.15, 0.97), (0.2, random.uniform(0.6, 0.9)))
    return [share for chance, share in chances if random.random() < chance]


def _habit(random: Random) -> Habit:
    """Nought to two per cent fail: most of that is customers' cards."""
    if random.random() < 0.25:
        return Habit()
    return Habit(rejected=random.uniform(0, 0.016), broken=random.choice((0.0, 0.0, 0.002, 0.004)))


def _networks(role: Role, random: Random) -> tuple[str, ...]:
    if role not in {roles.TILLS, roles.ERP, roles.PAYOUTS, roles.ACCOUNTING} or random.random() < 0.5:
        return ()
    return (f"203.0.113.{8 * random.randrange(32)}/29",)


def _chance_of_end(role: Role) -> tuple[float, float]:
    """How likely the key is disabled by now, and how likely revoked besides."""
    if role is roles.OLD_SHOP:
        return 0.95, 0.35
    if role is roles.AGENCY:
        return 0.85, 0.75
    return 0.14, 0.4


def _end(scene: Scene, age: float, chances: tuple[float, float], random: Random) -> Scene:
    if random.random() >= chances[0]:
        if random.random() < 0.06:
            # Made, and then forgotten.
            return replace(scene, per_day=0.0, copied_days_ago=())
        return scene
    disabled = max(2.1, age * random.uniform(0.05, 0.3))
    scene = replace(
        scene,
        per_day=0.0,
        disabled_days_ago=disabled,
        disabled_because=random.choice(DISABLED_BECAUSE),
        last_used_days_ago=disabled + random.uniform(0.2, 3),
        expires_in_days=None,
    )
    if random.random() >= chances[1]:
        return scene
    return replace(
        scene,
        revoked_days_ago=disabled * random.uniform(0.2, 0.9),
        revoked_because=random.choice(REVOKED_BECAUSE),
    )


def _rotation(main: Scene, random: Random) -> list[Scene]:
    """A duplicate of the main key, which takes over little by little."""
    if main.age_days < 30 or main.per_day < 300:
        return []
    name = f"{main.final_name} ({random.choice(('new', 'copy', 'next'))})"
    return [
        Scene(
            main.role,
            age_days=main.age_days * random.uniform(0.02, 0.2),
            per_day=main.per_day * 0.15,
            name=name,
            description=main.final_description,
            networks=main.networks,
            duplicated_from=main.final_name,
            copied_days_ago=(main.age_days * 0.02,),
            habit=Habit(rejected=0.006),
        )
    ]
