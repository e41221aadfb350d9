"""Finding merchant accounts: by the beginnings of words, whatever is typed, at the cost of its rarest word."""

import re
import string

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import search
from keys.errors import InvalidField
from keys.identifiers import API_KEY, encode, new_id
from keys.keyformat import MASK_DOTS
from keys.merchants import clean_merchant_name
from keys.models import ApiKey, Merchant, MerchantTerm
from keys.naming import fold
from tests.database import undone
from tests.factories import ApiKeyFactory, MerchantFactory

pytestmark = pytest.mark.django_db


def populate(*names: str, website: str = "") -> list[Merchant]:
    """Accounts with these names, without a history: searching looks at none."""
    merchants = [Merchant(name=name, sort_name=fold(name), website=website) for name in names]
    Merchant.objects.bulk_create(merchants)
    search.index(merchants)
    return merchants


def found(text: str) -> set[str]:
    return set(Merchant.objects.filter(pk__in=search.find(text)).values_list("name", flat=True))


SHOPS = (
    "Northwind Traders",
    "North Star Coffee",
    "Café Müller & Söhne GmbH",
    "Łódź Bikes",
    "株式会社ガス",
    "हिन्दी दुकान",
    "🚀",
    "—",
    "100% Cotton_Shop",
    'O\'Neill "Quotes" \\ Co',
    "Straße 24/7",
)

TYPED = {
    "northwind": {"Northwind Traders"},
    "NORTH": {"Northwind Traders", "North Star Coffee"},
    "north t": {"Northwind Traders"},
    "t north": {"Northwind Traders"},
    "coffee north": {"North Star Coffee"},
    "north star coffee": {"North Star Coffee"},
    "orthwind": set(),
    "north wind": set(),
    "north north": {"Northwind Traders", "North Star Coffee"},
    "cafe muller": {"Café Müller & Söhne GmbH"},
    "Cafe\u0301 MÜLLER, (gmbh)": {"Café Müller & Söhne GmbH"},
    "ｍüｌｌｅｒ": {"Café Müller & Söhne GmbH"},
    "lodz": {"Łódź Bikes"},
    "株式": {"株式会社ガス"},
    "हिन्दी": {"हिन्दी दुकान"},
    "हन": set(),
    "🚀": {"🚀"},
    "🔥": set(),
    "—": {"—"},
    "…": set(),
    "%": set(),
    "100%": {"100% Cotton_Shop"},
    "1_0": set(),
    "_": set(),
    "cotton_shop": {"100% Cotton_Shop"},
    "o'neill": {'O\'Neill "Quotes" \\ Co'},
    '"quotes"': {'O\'Neill "Quotes" \\ Co'},
    "\\": set(),
    "STRASSE 24": {"Straße 24/7"},
    "7": {"Straße 24/7"},
    "": set(),
    "   ": set(),
    "!?.": set(),
}


@pytest.mark.parametrize(("typed", "expected"), TYPED.items())
def test_an_account_is_found_by_the_beginnings_of_its_words(typed, expected):
    populate(*SHOPS)
    assert found(typed) == expected


HOSTILE = {
    "nul": "north\x00wind",
    "lone surrogate": "north\ud800",
    "only surrogates": "\ud800\udfff",
    "noncharacter": "north\U0010ffff",
    "right-to-left override": "\u202enorth",
    "very long word": "north" + "x" * 1_000_000,
    "very many words": "north " * 200_000,
    "very many different words": " ".join(f"north{number}" for number in range(100_000)),
    "combining marks": "north" + "\u0301" * 100_000,
    "like pattern": "nor%",
    "sql": "'; DROP TABLE keys_merchantterm; --",
    "format": "%s %(x)s {0}",
    "regular expression": "^n.*$",
    "forged id": "mch_" + "z" * 26,
    "another type's id": encode(API_KEY, new_id()),
    "id in capitals": "MCH_01H455VB4PEX5VSKNK084SN02Q",
}


@pytest.mark.parametrize("typed", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_finds_what_its_words_find_and_harms_nothing(typed):
    populate(*SHOPS)
    with CaptureQueriesContext(connection) as queries:
        assert found(typed) <= {"Northwind Traders", "North Star Coffee"}
    assert len(queries) <= search.WORDS + 2
    assert Merchant.objects.count() == len(SHOPS)
    assert MerchantTerm.objects.exists()


def test_an_account_is_found_by_its_id_alone():
    one, other = populate("Northwind", "Northwind")
    assert search.find(f" {one.public_id} ") == [one.pk]
    assert search.find(f"{one.public_id} {other.public_id}") == []


def test_an_account_is_found_by_its_website():
    populate("Northwind", website="shop.northwind.example/de")
    assert found("example shop") == found("shop.north") == {"Northwind"}


def test_indexing_again_replaces_the_words_of_these_accounts_alone():
    one, _ = populate("Northwind Traders", "Northwind Coffee")
    one.sort_name = "contoso"
    search.index([one])
    search.index(iter([one]))
    assert found("north") == {"Northwind Coffee"}
    assert set(MerchantTerm.objects.filter(merchant=one).values_list("term", flat=True)) == {"contoso"}
    one.sort_name = ""
    search.index([one])
    assert not MerchantTerm.objects.filter(merchant=one).exists()


def test_a_very_long_word_is_found_by_its_beginning_and_by_itself():
    name = "x" * 110
    populate(name)
    assert found("x" * 40) == found(name) == found(name + "yyy") == {name}
    assert found("x" * 40 + "y") == set()


def test_words_beyond_the_limit_are_not_looked_at():
    populate("a b c d e f")
    assert found("a b c d e f zzz") == {"a b c d e f"}
    assert found("a b c d e zzz") == set()


def test_text_beyond_the_limit_is_not_looked_at():
    populate("north")
    assert found("north" + " " * search.TEXT_MAX + "zzz") == {"north"}
    assert found("north" + " " * (search.TEXT_MAX - 10) + "zzz") == set()


@pytest.mark.parametrize("typed", ["shop", "sh op", "s"])
def test_no_more_are_told_than_one_above_the_limit(typed, monkeypatch):
    monkeypatch.setattr(search, "FOUND", 5)
    populate(*(f"Shop Open {number}" for number in range(5)))
    assert len(search.find(typed)) == 5
    populate("Shop Open")
    assert len(search.find(typed)) == 6
    populate(*(f"Shop Open {number}" for number in range(40)))
    ids = search.find(typed)
    assert len(set(ids)) == len(ids) == 6


@pytest.mark.parametrize("typed", ["a", "a z"])
def test_accounts_with_many_words_that_begin_alike_hide_no_other(typed, monkeypatch):
    """Each account fills many rows of the index, and counts once."""
    monkeypatch.setattr(search, "FOUND", 5)
    wordy = " ".join(f"a{letter}" for letter in string.ascii_lowercase) + " z"
    populate(*[wordy] * 5)
    assert len(search.find(typed)) == 5
    populate("azure zoo")
    assert len(search.find(typed)) == 6


def test_the_word_itself_comes_before_longer_ones():
    populate("shopping", "shop", "shops")
    names = dict(Merchant.objects.values_list("pk", "name"))
    assert [names[pk] for pk in search.find("shop")] == ["shop", "shopping", "shops"]


words = st.text("abc", min_size=1, max_size=3)


@settings(max_examples=30)
@given(
    st.lists(st.lists(words, min_size=1, max_size=4), max_size=12),
    st.lists(words, max_size=4),
    st.integers(1, 8),
)
def test_a_search_finds_what_a_plain_reading_finds(names, typed, limit):
    def matches(name: list[str]) -> bool:
        return all(any(word.startswith(beginning) for word in name) for beginning in typed)

    with undone(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "FOUND", limit)
        merchants = populate(*(" ".join(name) for name in names))
        expected = {each.pk for each, name in zip(merchants, names, strict=True) if typed and matches(name)}
        told = search.find(" ".join(typed))
        assert len(set(told)) == len(told) == min(len(expected), limit + 1)
        assert set(told) <= expected


@settings(max_examples=30)
@given(st.text(max_size=60), st.text(max_size=60))
def test_an_account_is_found_by_its_own_name_and_no_text_breaks_the_search(name, typed):
    try:
        name = clean_merchant_name(name)
    except InvalidField:
        return
    with undone():
        (merchant,) = populate(name)
        assert search.find(name) == [merchant.pk]
        assert search.find(typed) in ([], [merchant.pk])


@pytest.mark.parametrize("typed", ["shop", "shop open", "shop open example 7"])
def test_each_query_of_a_search_is_a_range_of_the_index(typed):
    populate(*(f"Firm{number} Trading{number % 50}" for number in range(1_500)))
    populate(*(f"Shop Open {number}" for number in range(20)), website="shop.example")
    with CaptureQueriesContext(connection) as queries:
        search.find(typed)
    assert len(queries) == 1 + (len(typed.split()) if " " in typed else 0)
    for query in queries:
        plan = plan_of(query["sql"])
        assert "merchant_by_term" in plan
        if connection.vendor == "sqlite":
            assert not re.search(r"SCAN (?!\(?subquery)", plan), plan
            assert "TEMP B-TREE" not in plan
            assert "(term>? AND term<?)" in plan
        else:
            assert "Seq Scan" not in plan
            assert re.search(r"Index Cond: \(\(\(?term\)?(::text)? >= ", plan), plan


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE keys_merchantterm")
        cursor.execute(f"{'EXPLAIN QUERY PLAN' if connection.vendor == 'sqlite' else 'EXPLAIN'} {sql}")
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def test_what_the_domain_makes_can_be_found():
    merchant = MerchantFactory(name="Northwind Traders", website="https://northwind.example")
    assert search.find("north trad exam") == [merchant.pk]


@pytest.mark.django_db
@pytest.mark.parametrize("length", range(5))
def test_a_key_is_found_by_however_much_is_known_of_its_mask(length: int) -> None:
    key = ApiKeyFactory()
    for tail in ("", f"{MASK_DOTS}{key.tail}"):
        match = search.masked_like(f"sk_live_{key.head[:length]}{tail}")
        assert list(ApiKey.objects.filter(match)) == [key]
    assert not ApiKey.objects.filter(search.masked_like(f"sk_test_{key.head[:length]}")).exists()
    other = key.head[: length - 1] + ("0" if key.head[length - 1] != "0" else "1")
    assert not length or not ApiKey.objects.filter(search.masked_like(f"sk_live_{other}")).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("start", ["zz", "zzz", "zzzz"])
def test_a_part_of_a_mask_is_looked_up_rather_than_looked_for(start: str) -> None:
    found = ApiKey.objects.filter(search.masked_like(f"sk_live_{start}")).values("pk")
    with undone(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        assert "apikey_by_mask" in found.explain()
