"""Finding merchant accounts among a million by the beginnings of words.

Each account's folded words stand in an indexed table of their own, so that both databases answer with the same range
scan, and no extension is needed. A search looks at a bounded number of rows whatever is typed: at most SCANNED
rows of the rarest word, and it keeps at most FOUND accounts.
"""

from collections.abc import Iterable, Iterator
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from keys.identifiers import MERCHANT, InvalidIdentifier, decode
from keys.models.merchant import TERM_MAX, Merchant, MerchantTerm
from keys.naming import fold

FOUND = 200
SCANNED = 20_000
WORDS = 6
_LAST = "\U0010ffff"


def terms(merchant: Merchant) -> Iterator[str]:
    """The words under which an account is found: of its name and its website, each once."""
    words = f"{merchant.sort_name} {fold(merchant.website)}".split()
    return (word for word in dict.fromkeys(word[:TERM_MAX] for word in words))


def index(merchants: Iterable[Merchant]) -> None:
    """Replace the words of these accounts."""
    rows = [MerchantTerm(merchant=merchant, term=term) for merchant in merchants for term in terms(merchant)]
    MerchantTerm.objects.filter(merchant__in={row.merchant_id for row in rows}).delete()
    MerchantTerm.objects.bulk_create(rows, batch_size=5000)


def find(text: str) -> list[UUID]:
    """Ids of at most FOUND + 1 accounts that have, for each word typed, a word that begins with it.

    An account's own id finds it alone. One id more than FOUND says that there are more.
    """
    try:
        return [decode(MERCHANT, text.strip())]
    except InvalidIdentifier:
        pass
    words = [word[:TERM_MAX] for word in dict.fromkeys(fold(text).split())][:WORDS]
    if not words:
        return []
    rarest, *others = sorted(words, key=lambda word: (_frequency(word), word)) if len(words) > 1 else words
    scanned = MerchantTerm.objects.filter(_begins_with(rarest)).order_by("term", "merchant_id")
    if not others:
        # An account can have several words that begin alike.
        return list(dict.fromkeys(scanned.values_list("merchant_id", flat=True)[: 2 * FOUND]))[: FOUND + 1]
    candidates = MerchantTerm.objects.filter(pk__in=scanned.values("pk")[:SCANNED])
    for word in others:
        candidates = candidates.filter(
            Exists(MerchantTerm.objects.filter(_begins_with(word), merchant=OuterRef("merchant")))
        )
    return list(dict.fromkeys(candidates.values_list("merchant_id", flat=True)[: 2 * FOUND]))[: FOUND + 1]


def _frequency(word: str) -> int:
    """How many rows begin with `word`, counted no further than a scan would go."""
    return MerchantTerm.objects.filter(_begins_with(word)).order_by()[: SCANNED + 1].count()


def _begins_with(word: str) -> Q:
    return Q(term__gte=word, term__lt=word + _LAST)
