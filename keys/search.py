"""Finding merchant accounts among a million by the beginnings of words, and API keys by what is known of them.

Each account's folded words stand in an indexed table of their own, so that both databases answer with the
same range scan, and no extension is needed. A search reads along the rarest of its words, looks the others
up account by account, and stops at FOUND accounts: it is slow only where each word is common and hardly any
account has all.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from keys.identifiers import API_KEY, MERCHANT, InvalidIdentifier, decode
from keys.keyformat import ALPHABET, MASK_DOTS, SHOWN_LENGTH, scrub
from keys.models.merchant import TERM_MAX, Merchant, MerchantTerm
from keys.naming import fold

FOUND = 200
WORDS = 6
TEXT_MAX = 500
# How far rows are counted to tell which word is rarer.
COUNTED = 20_000
_LAST = "\U0010ffff"


def terms(merchant: Merchant) -> Iterator[str]:
    """The words under which an account is found: of its name and its website, each once."""
    words = f"{merchant.sort_name} {fold(merchant.website)}".split()
    yield from dict.fromkeys(word[:TERM_MAX] for word in words)


def index(merchants: Iterable[Merchant]) -> None:
    """Replace the words of these accounts."""
    merchants = list(merchants)
    rows = [MerchantTerm(merchant=merchant, term=term) for merchant in merchants for term in terms(merchant)]
    MerchantTerm.objects.filter(merchant__in=merchants).delete()
    MerchantTerm.objects.bulk_create(rows, batch_size=5000)


def find(text: str, *, among: QuerySet[Any, Any] | None = None) -> list[UUID]:
    """Ids of at most FOUND + 1 accounts that have, for each word typed, a word that begins with it.

    They come in the order of the rarest word. An account's own id finds it alone. One id more
    than FOUND says that there are more. Words beyond the first WORDS are not looked at. `among`,
    where given, has the ids of the only accounts to look at.
    """
    text = text.strip()[:TEXT_MAX]
    try:
        own = Merchant.objects.filter(pk=decode(MERCHANT, text))
        return list((own if among is None else own.filter(pk__in=among)).values_list("pk", flat=True))
    except InvalidIdentifier:
        pass
    words = list(dict.fromkeys(word[:TERM_MAX] for word in fold(text).split()))[:WORDS]
    if not words:
        return []
    every = MerchantTerm.objects.all() if among is None else MerchantTerm.objects.filter(merchant__in=among)
    rarest, *others = _rarest_first(words, every)
    rows = every.filter(_begins_with(rarest))
    for word in others:
        rows = rows.filter(
            Exists(MerchantTerm.objects.filter(_begins_with(word), merchant=OuterRef("merchant")))
        )
    ids = rows.order_by("term", "merchant_id").values_list("merchant_id", flat=True)
    # An account can have several words that begin alike, so some rows more are read than accounts are wanted.
    limit = 2 * FOUND
    while True:
        read = list(ids[:limit])
        found = list(dict.fromkeys(read))[: FOUND + 1]
        if len(found) > FOUND or len(read) < limit:
            return found
        limit *= 4


def key_like(text: str) -> Q:
    """API keys by name and description, by id, or by the mask: a whole key finds its row as well."""
    try:
        return Q(pk=decode(API_KEY, text))
    except InvalidIdentifier:
        pass
    return _named_like(text) | _described_like(text) | masked_like(text)


def masked_like(text: str) -> Q:
    """API keys that have the mask, or the beginning of one, that `text` ends with; of a whole key, its mask."""
    head, _dots, tail = scrub(text).partition(MASK_DOTS)
    prefix, _, start = head.rpartition("_")
    if prefix not in {"sk_live", "sk_test"}:
        return Q(pk=None)
    return (
        Q(mode=prefix[3:]) & _headed(start[:SHOWN_LENGTH]) & (Q(tail=tail[-SHOWN_LENGTH:]) if tail else Q())
    )


def _headed(start: str) -> Q:
    """Keys whose head begins with `start`.

    Each head that does is named, for which the index serves in whatever order the database sorts. So many begin with
    a single character that they are found without it.
    """
    missing = SHOWN_LENGTH - len(start)
    if missing > 2:
        return Q(head__startswith=start)
    return Q(head__in=[f"{start}{''.join(rest)}" for rest in product(ALPHABET, repeat=missing)])


def _rarest_first(words: list[str], every: QuerySet[MerchantTerm]) -> list[str]:
    if len(words) == 1:
        return words
    return sorted(words, key=lambda word: (_frequency(word, every), -len(word), word))


def _frequency(word: str, every: QuerySet[MerchantTerm]) -> int:
    """How many rows begin with `word`, counted as far as COUNTED."""
    return every.filter(_begins_with(word))[:COUNTED].count()


def _begins_with(word: str) -> Q:
    return Q(term__gte=word, term__lt=word + _LAST)


def _named_like(text: str) -> Q:
    """Keys whose name contains `text` whatever its case, accents and width; punctuation counts as it is typed."""
    folded = fold(text)
    match = Q(folded_name__contains=folded) if folded else Q(pk=None)
    for mark in {character for character in text if unicodedata.category(character)[0] == "P"}:
        match &= Q(name__contains=mark)
    return match


def _described_like(text: str) -> Q:
    """Descriptions are not kept folded, and neither database is sure to know upper from lower case beyond ASCII."""
    variants = {text, text.lower(), text.upper(), text.capitalize(), text.title()}
    match = Q()
    for variant in variants if not text.isascii() else {text}:
        match |= Q(description__icontains=variant)
    return match
