"""The merchant accounts of the standard demo data."""

from collections.abc import Sequence
from dataclasses import dataclass

from keys.demo import roles
from keys.demo.rhythms import Rhythm
from keys.demo.roles import Role


@dataclass(frozen=True, slots=True)
class Trade:
    """What a merchant does: the integration that it surely has, and the rhythm of its customers."""

    main_roles: Sequence[Role]
    rhythm: Rhythm = Rhythm.SHOP


SHOP = Trade((roles.CHECKOUT,))
STORES = Trade((roles.CHECKOUT, roles.TILLS))
FOOD = Trade((roles.APP, roles.TILLS), Rhythm.FOOD)
STAYS = Trade((roles.BOOKING,))
MEMBERS = Trade((roles.SUBSCRIPTIONS,))
MARKET = Trade((roles.CHECKOUT, roles.PAYOUTS))
GIVING = Trade((roles.DONATIONS,))
OFFICE = Trade((roles.INVOICES,), Rhythm.OFFICE)


@dataclass(frozen=True, slots=True)
class Part:
    """One merchant account. `size` is about its requests a day; `age_days` how long ago it was created."""

    name: str
    website: str
    trade: Trade
    utc_offset_hours: int
    size: int
    age_days: int
    # What it was called before somebody corrected it.
    former_name: str = ""
    # Why it is disabled, and since how many days; or why it was, for some days, and is no more.
    disabled_because: str = ""
    disabled_days_ago: float = 0.0
    enabled_again_because: str = ""


NORTHWIND = Part("Northwind Outfitters", "northwind.example", SHOP, 0, 16000, 1004)

PARTS = (
    NORTHWIND,
    Part("Åkerlund & Söner Bygghandel", "akerlund-soner.example", STORES, 1, 1400, 918),
    Part("Café Métropole", "cafe-metropole.example", FOOD, 1, 1900, 655, former_name="Cafe Metropole"),
    Part("Księgarnia Pod Żółwiem", "podzolwiem.example", SHOP, 1, 700, 388),
    Part("東京文具店", "tokyo-bungu.example", SHOP, 9, 2600, 731),
    Part("مكتبة الأندلس", "maktabat-alandalus.example", SHOP, 3, 900, 502),
    Part(
        "The Royal Huddersfield & Calder Valley Co-operative Society of Independent Grocers, "
        "Bakers and Market Gardeners",
        "huddersfield-calder-valley-grocers-bakers-and-market-gardeners.example",
        STORES, 0, 1100, 1066,
    ),
    Part("Bäckerei Grünwald GmbH", "baeckerei-gruenwald.example", FOOD, 1, 2200, 840),
    Part("Müller & Töchter Fahrradmanufaktur", "mueller-toechter.example", SHOP, 1, 800, 467),
    Part("El Señor Tostado", "senortostado.example", FOOD, -6, 1500, 221),
    Part("Panadería La Espiga Dorada", "espigadorada.example", FOOD, -6, 1200, 613),
    Part("Cerâmica São Bento", "ceramicasaobento.example", SHOP, -3, 650, 345),
    Part("Ó Briain Knitwear", "obriain.example", SHOP, 0, 900, 902),
    Part("Blue Heron Kayaks", "blueheronkayaks.example", STAYS, -8, 700, 276),
    Part("Harbor & Pine Coffee Roasters", "harborandpine.example", SHOP, -5, 4200, 788),
    Part("Lumen Analytics", "lumen-analytics.example", MEMBERS, -8, 3600, 590, former_name="Lumen Metrics"),
    Part("Kestrel Bikes", "kestrelbikes.example", STORES, 0, 2400, 955),
    Part("Fjordheim Hytteutleie", "fjordheim.example", STAYS, 1, 1300, 411),
    Part("Pâtisserie Duchêne", "patisserie-duchene.example", FOOD, 1, 1000, 158),
    Part("Trattoria da Giulia", "dagiulia.example", FOOD, 1, 600, 98),
    Part("Şirin Halı Evi", "sirinhali.example", SHOP, 3, 500, 702),
    Part("Ελαιώνας Καλαμάτας", "elaionas.example", SHOP, 2, 480, 533),
    Part("Студія Калина", "studiokalyna.example", SHOP, 2, 750, 305),
    Part("Nguyễn & Con Phở", "nguyenpho.example", FOOD, 7, 2100, 689),
    Part("Chai & Chapter Books", "chaiandchapter.example", SHOP, 5, 1700, 744),
    Part("Kopi Senja", "kopisenja.example", FOOD, 7, 2800, 452),
    Part("Lụa Hồ Gươm", "luahoguom.example", SHOP, 7, 420, 187),
    Part("서울 도자기 공방", "seoul-dojagi.example", SHOP, 9, 820, 263),
    Part("Te Awa Wool", "teawa.example", SHOP, 12, 560, 877),
    Part("Wattle & Fern", "wattleandfern.example", SHOP, 10, 1500, 640),
    Part("Umoja Crafts Collective", "umojacrafts.example", MARKET, 3, 1300, 519),
    Part("Adéwálé Textiles", "adewale.example", SHOP, 1, 940, 373),
    Part("Maison Kouassi", "maisonkouassi.example", SHOP, 0, 380, 129),
    Part("Cartão Verde Mobilidade", "cartaoverde.example", MEMBERS, 0, 2900, 806),
    Part("Kaamos Tours Oy", "kaamostours.example", STAYS, 2, 620, 1019),
    Part("Þórsmörk Trekking", "thorsmork.example", STAYS, 0, 540, 432),
    Part("Dvořák Hudební Nástroje", "dvorak-nastroje.example", SHOP, 1, 360, 566),
    Part(
        "Szőke Tisza Fürdő", "szoketisza.example", STAYS, 1, 300, 240,
        disabled_because="Closed for the winter. The owner asked for it by telephone, call 4417",
        disabled_days_ago=12.0,
    ),
    Part("Meridian Parcel", "meridianparcel.example", MARKET, -5, 5200, 983),
    Part(
        "Tidepool Swim School", "tidepoolswim.example", MEMBERS, -8, 430, 320,
        disabled_because="Ownership changed, new documents missing", disabled_days_ago=96.0,
        enabled_again_because="Documents checked and filed",
    ),
    Part("Paper Lantern Stationery", "paperlantern.example", SHOP, -5, 780, 471),
    Part("Copperline Energy", "copperline.example", MEMBERS, -6, 3900, 1043),
    Part("Greenhouse Collective", "greenhouse-collective.example", MARKET, 1, 1600, 356),
    Part("Orchard Street Dental", "orchardstreetdental.example", OFFICE, -5, 240, 211),
    Part(
        "Second Chapter Books", "secondchapter.example", SHOP, 0, 520, 624,
        disabled_because="Chargebacks above 2 % for the second month. Risk is talking to them",
        disabled_days_ago=0.6,
    ),
    Part("Helix Fitness Clubs", "helixfitness.example", MEMBERS, 1, 2700, 697, former_name="Helix Fitness"),
    Part("Brightwater Theatre", "brightwatertheatre.example", SHOP, 0, 1100, 404),
    Part("Stichting Warme Maaltijd", "warmemaaltijd.example", GIVING, 1, 880, 572),
    Part(
        "Velvet Fox Vintage", "velvetfox.example", SHOP, 0, 310, 283,
        disabled_because="Account taken over, see the report of the same day. Keep disabled",
        disabled_days_ago=41.0,
    ),
    Part("Sunday Market Online", "sundaymarket.example", MARKET, -3, 1900, 61),
)  # fmt: skip
