"""`python -m bench.gateway.switch`: disables keys on demand, as the console would, in a process of its own.

Reads a key's id on each line of its input, and answers with the moments at which the commit began and at which it had
returned, in nanoseconds of the system's one clock.
"""

import json
import sys
import time

import django

django.setup()

from django.db import transaction  # noqa: E402

from keys import lifecycle  # noqa: E402
from keys.history import Actor  # noqa: E402
from keys.identifiers import API_KEY, decode  # noqa: E402
from keys.models import ApiKey  # noqa: E402


def disable(key_id: str) -> dict[str, int]:
    key = ApiKey.objects.get(pk=decode(API_KEY, key_id))
    with transaction.atomic():
        lifecycle.disable(key=key, actor=Actor.command("bench"), reason="Measured")
        began_ns = time.monotonic_ns()
    return {"began_ns": began_ns, "returned_ns": time.monotonic_ns()}


if __name__ == "__main__":
    # The first use of a connection takes longer than any other.
    ApiKey.objects.exists()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(disable(line.strip())) + "\n")
        sys.stdout.flush()
