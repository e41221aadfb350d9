"""`python -m bench.gateway.keyring`: the installation's keys in plain text, inside the product's own process.

Prints a JSON list on a line for each usable key (one that any address may use, with a route of the catalogue that it
may ask for), then for each disabled one: status, secret, key id, merchant account's id, method, path. Made for a pipe.
"""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import django

django.setup()

from django.db.models import Q  # noqa: E402
from django.utils import timezone  # noqa: E402

from keys import vault  # noqa: E402
from keys.demo.calls import fill, routes  # noqa: E402
from keys.identifiers import MERCHANT, encode  # noqa: E402
from keys.models import ApiKey  # noqa: E402

# Keys that expire while they are measured are of no use.
DAY = timedelta(days=1)


def keys(status: str) -> Iterator[list[str]]:
    random = Random(1)  # noqa: S311 - it picks routes
    lasting = Q(expires_at=None) | Q(expires_at__gt=timezone.now() + DAY)
    found = ApiKey.objects.filter(lasting, status=status, merchant__status="enabled", allowed_networks="")
    for key in found.order_by("id").iterator(chunk_size=5000):
        secret = vault.unseal(key.secret_ciphertext, digest=bytes(key.digest)).reveal()
        method, _, pattern = random.choice(routes(key.grants)[0]).partition(" ")
        path = fill(pattern, random)
        yield [status, secret, key.public_id, encode(MERCHANT, key.merchant_id), method, path]


if __name__ == "__main__":
    for status in ("enabled", "disabled"):
        sys.stdout.writelines(f"{json.dumps(row)}\n" for row in keys(status))
