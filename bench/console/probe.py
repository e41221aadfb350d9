"""Chooses whose pages are measured, inside the product's own process: `python -m bench.console.probe WORD` prints JSON.

The small data set and the big one are asked for pages of the same length: a merchant account with the same number of
keys, all of them busy, and the busiest key.
"""

import json
import sys
from typing import Any
from uuid import UUID

import django

django.setup()

from django.db.models import Count, Sum  # noqa: E402

from keys.console.keyset import cursor_for  # noqa: E402
from keys.console.tables import MerchantTable  # noqa: E402
from keys.models import ApiKey, Merchant, MerchantTerm, UsageHour  # noqa: E402

KEYS_ON_THE_TAB = 4
CANDIDATES = 500
# Enough for a full page and a next one.
MATCHES = 60


def subjects(word: str) -> dict[str, Any]:
    merchants = list(
        ApiKey.objects.filter(merchant__status="enabled")
        .order_by()
        .values("merchant")
        .annotate(keys=Count("pk"))
        .filter(keys=KEYS_ON_THE_TAB)
        .values_list("merchant", flat=True)[:CANDIDATES]
    )
    enabled = ApiKey.objects.filter(status="enabled", merchant__status="enabled")
    return {
        "merchant": Merchant.objects.get(pk=_busiest(merchants)).public_id,
        "key": ApiKey.objects.get(pk=_busiest(enabled.values_list("pk", flat=True))).public_id,
        "cursor": middle_cursor(),
        "word": word or common_word(),
    }


def _busiest(subjects: Any) -> UUID:
    usage = UsageHour.objects.filter(subject_id__in=subjects).order_by().values_list("subject_id")
    busiest: UUID = usage.annotate(total=Sum("succeeded")).order_by("-total")[0][0]
    return busiest


def middle_cursor() -> str:
    """The cursor of the row in the middle of the grid, in the order that it has by itself."""
    ordering = next(iter(MerchantTable.orderings.values()))
    rows = Merchant.objects.order_by(*ordering.clauses())
    return cursor_for(rows[rows.count() // 2], ordering)


def common_word() -> str:
    """The word that is nearest to MATCHES accounts."""
    words = MerchantTerm.objects.order_by().values_list("term").annotate(accounts=Count("pk"))
    return str(min(words, key=lambda each: (abs(each[1] - MATCHES), each[0]))[0])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(subjects(sys.argv[1] if len(sys.argv) > 1 else "")))
