"""`python -m bench.gateway.spooling LINES SEED`: writes a spool file of so many requests, and prints its path.

It does not yet have the name by which a drain knows a spool file; whoever wants it drained renames it.

They were made within the last minute, with keys of the installation: the r-th busiest makes about 1 / r^1.2 of the
requests of the busiest. Most succeed, some are denied. The lines are the product's own.
"""

import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from random import Random

import django

django.setup()

from django.utils import timezone  # noqa: E402

from keys import spool  # noqa: E402
from keys.demo.calls import fill  # noqa: E402
from keys.identifiers import new_id  # noqa: E402
from keys.models import ApiKey  # noqa: E402
from keys.outcomes import Outcome  # noqa: E402
from keys.permissions import catalogue  # noqa: E402
from keys.spool import Record  # noqa: E402

SKEW = 1.2
SECONDS = 60
DENIED = 0.02


def records(count: int, random: Random) -> Iterator[Record]:
    keys = list(ApiKey.objects.filter(status="enabled").order_by("id").values_list("id", "merchant_id"))
    random.shuffle(keys)
    chosen = random.choices(
        keys, cum_weights=list(accumulate(rank**-SKEW for rank in range(1, len(keys) + 1))), k=count
    )
    calls = [fill(route, random).split(" ") for route in catalogue().routes for _ in range(20)]
    began = timezone.now() - timedelta(seconds=SECONDS)
    for place, (key_id, merchant_id) in enumerate(chosen):
        at = began + timedelta(seconds=SECONDS * place / count)
        method, path = random.choice(calls)
        outcome = Outcome.PERMISSION_DENIED if random.random() < DENIED else Outcome.VALID
        yield Record(
            id=new_id(at),
            key_id=key_id,
            merchant_id=merchant_id,
            at=at,
            method=method,
            path=path,
            status=outcome.http_status,
            outcome=outcome.value,
            duration_us=random.randint(20, 90),
            address=f"203.0.113.{random.randrange(256)}",
        )


def write(count: int, seed: int) -> Path:
    folder = spool.directory()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f"{new_id()}.new"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        # None of the fixed seed's numbers guards anything.
        for record in records(count, Random(seed)):  # noqa: S311
            file.write(spool.line(record))
    return draft


if __name__ == "__main__":
    print(write(int(sys.argv[1]), int(sys.argv[2])))  # noqa: T201
