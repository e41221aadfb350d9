"""Names of businesses in any number, put together from the words of a dozen languages."""

from collections.abc import Callable, Sequence
from random import Random

from keys.naming import fold

FIRST = (
    "Blue Red Green Golden Silver Copper Amber Ivory Scarlet Velvet Paper Stone Iron Glass Wooden Wild Quiet Bright "
    "Little Grand Royal Old New North South East West Upper Lower River Harbor Lake Ocean Island Valley Meadow Forest "
    "Orchard Garden Hill Mountain Prairie Canyon Desert Coastal Sunny Misty Stormy Winter Summer Autumn Spring Sunday "
    "Monday Morning Midnight Evening Lucky Happy Honest Humble Noble Swift Steady Clever Curious Wandering Hidden "
    "Open Second Third First Union Liberty Central Metro Urban Village Corner Crossroads Northern Southern Pacific "
    "Atlantic Baltic Nordic Alpine Celtic Maple Cedar Willow Birch Oak Pine Juniper Clover Saffron Cobalt Indigo"
).split()
NOUNS = (
    "Heron Fox Kestrel Otter Badger Hare Falcon Raven Swan Owl Bear Wolf Lynx Salmon Bee Beetle Finch Sparrow Lantern "
    "Anchor Compass Bell Feather Thimble Needle Anvil Hammer Barrel Kettle Teapot Ladder Bridge Gate Tower Mill Barn "
    "Lighthouse Harbour Cove Creek Brook Meadow Grove Orchard Acorn Fern Thistle Clover Daisy Poppy Rose Lily Ivy "
    "Ember Spark Comet Moon Star Sun Cloud Rain Snow Tide Wave Pebble Stone Crown Arrow Sail Rudder Wheel Button"
).split()
TRADES = (
    "Coffee Roasters Bakery Books Bikes Outfitters Kitchen Foods Market Pharmacy Optics Florist Furniture Lighting "
    "Ceramics Textiles Clothing Shoes Jewellery Toys Games Records Instruments Theatre Cinema Tickets Travel Hotels "
    "Hostel Campsites Tours Rentals Cars Parcel Logistics Energy Solar Water Telecom Hosting Software Analytics "
    "Studio Press Prints Stationery Garden Nursery Vets Dental Physio Fitness Yoga Swim Club Academy School Museum "
    "Brewery Winery Cider Tea Chocolate Cheese Butchers Fishmongers Grocers Farm Supplies Tools Hardware Electrics "
    "Plumbing Cleaning Laundry Tailors Barbers Salon Spa Events Catering Pizza Noodles Tacos Sushi Burgers Ice Cream"
).split()
SURNAMES = (
    "Adams Baker Carter Dawson Ellis Foster Grant Hughes Irving Jenkins Keller Lawson Mason Norris Osborne Parker "
    "Quinn Reid Shaw Turner Underwood Vaughan Walsh Yates Okafor Mensah Diallo Nkosi Abebe Haddad Khoury Rahimi "
    "Sharma Patel Iyer Khan Chen Nakamura Tanaka Nguyễn Santos Reyes O’Connor Ó’Briain MacLeod Fitzgerald"
).split()
SUFFIXES = ("", "", "", "", "", "", " Ltd", " Inc", " & Co", " Group", " Online", " Direct", " Collective")

# Trades, surnames or proper names, and what follows: each language in its own order.
GERMAN = (
    "Bäckerei Metzgerei Gärtnerei Buchhandlung Apotheke Brauerei Weingut Fahrradwerkstatt Möbelhaus Hofladen".split(),
    "Grünwald Müller Schröder Köhler Weiß Schäfer Jäger Krüger Böhm Lindner Huber Vogel Brandt Seidel".split(),
    ("", "", " GmbH", " OHG", " & Söhne", " & Töchter"),
)
FRENCH = (
    "Boulangerie Pâtisserie Librairie Épicerie Fromagerie Maison Atelier Cave Pharmacie Café".split(),
    "Duchêne Lefèvre Moreau Bélanger Côté Garnier Rousseau Lemaître Beaumont Kouassi Traoré Benoît".split(),
    ("", "", " et Fils", " SARL", " Frères"),
)
SPANISH = (
    "Panadería Librería Zapatería Taquería Ferretería Joyería Bodega Farmacia Heladería Cafetería".split(),
    "García Muñoz Peña Ibáñez Castillo Núñez Rojas Vásquez Domínguez Quiñones Guzmán Ríos".split(),
    ("", "", " Hermanos", " S.L.", " e Hijos"),
)
PORTUGUESE = (
    "Padaria Livraria Cerâmica Confeitaria Papelaria Mercearia Oficina Pousada Farmácia Cervejaria".split(),
    "Gonçalves Araújo São Bento Conceição Magalhães Simões Brandão Esteves Leitão Falcão".split(),
    ("", "", " Lda", " & Filhos"),
)
ITALIAN = (
    "Trattoria Gelateria Libreria Cantina Pasticceria Bottega Farmacia Osteria Ceramiche Calzature".split(),
    "Bianchi Esposito Niccolò Rizzo Conti Ferrara Moretti Fontana Caruso Marchetti".split(),
    ("", "", " S.r.l.", " & Figli"),
)
NORDIC = (
    "Bokhandel Konditori Blomster Cykler Fisketorv Hyttutleie Bageri Keramikk Trevare Urmakeri".split(),
    "Åkerlund Söderström Lindqvist Bjørnstad Østergaard Håkansson Nygård Sjöberg Mäkinen Hämäläinen".split(),
    ("", "", " AB", " AS", " ApS", " Oy"),
)
POLISH = (
    "Księgarnia Piekarnia Cukiernia Apteka Kwiaciarnia Rowery Meble Herbaciarnia Pracownia Winiarnia".split(),
    "Wójcik Kowalczyk Zieliński Dąbrowska Żuraw Łukasik Jabłoński Sikora Wróbel Gołąb".split(),
    ("", "", " sp. z o.o."),
)
TURKISH = (
    "Halı Fırın Kitabevi Eczane Baharat Kuyumcu Lokanta Çiçekçi Mobilya Seramik".split(),
    "Yılmaz Şirin Öztürk Güneş Çelik Aydoğan Işık Koç Doğan Ünal".split(),
    ("", "", " A.Ş.", " Ltd. Şti."),
)
JAPANESE = (
    "東京 京都 大阪 札幌 金沢 横浜 福岡 神戸".split(),
    "文具店 書店 珈琲 茶舗 陶芸 自転車 菓子店 花店".split(),
    ("", "", "本店"),
)
KOREAN = (
    "서울 부산 제주 전주 강릉".split(),
    "서점 커피 도자기 꽃집 자전거 문구".split(),
    ("", ""),
)
ARABIC = (
    "مكتبة مخبز عطور مقهى صيدلية".split(),
    "الأندلس الياسمين النور الشام الواحة".split(),
    ("", ""),
)
GREEK = (
    "Βιβλιοπωλείο Φούρνος Καφενείο Ελαιώνας Ταβέρνα".split(),
    "Παπαδόπουλος Νικολάου Καλαμάτας Αιγαίο Δελφοί".split(),
    ("", ""),
)
CYRILLIC = (
    "Студія Книгарня Пекарня Майстерня Кав’ярня".split(),
    "Калина Шевченко Світанок Карпати Мрія".split(),
    ("", ""),
)

Language = tuple[Sequence[str], Sequence[str], Sequence[str]]
Pattern = Callable[[Random], str]


def _of(language: Language) -> Pattern:
    return lambda random: "{} {}{}".format(*(random.choice(words) for words in language))


def _two_names(random: Random) -> str:
    return f"{random.choice(SURNAMES)} & {random.choice(SURNAMES)} {random.choice(TRADES)}"


def _named_trade(random: Random) -> str:
    return f"{random.choice(SURNAMES)} {random.choice(TRADES)}{random.choice(SUFFIXES)}"


def _image(random: Random) -> str:
    return f"{random.choice(FIRST)} {random.choice(NOUNS)} {random.choice(TRADES)}{random.choice(SUFFIXES)}"


def _pair(random: Random) -> str:
    return f"{random.choice(NOUNS)} & {random.choice(NOUNS)}{random.choice(SUFFIXES)}"


def _plain(random: Random) -> str:
    return f"{random.choice(FIRST)} {random.choice(TRADES)}{random.choice(SUFFIXES)}"


ENGLISH: tuple[Pattern, ...] = (_image, _image, _image, _named_trade, _named_trade, _two_names, _pair, _plain)
OTHERS: tuple[Pattern, ...] = tuple(
    map(_of, (GERMAN, FRENCH, SPANISH, PORTUGUESE, ITALIAN, NORDIC, POLISH, TURKISH))
)
OTHER_SCRIPTS: tuple[Pattern, ...] = tuple(map(_of, (JAPANESE, KOREAN, ARABIC, GREEK, CYRILLIC)))
PATTERNS: tuple[Pattern, ...] = ENGLISH * 4 + OTHERS * 2 + OTHER_SCRIPTS

# Letters that folding keeps but a host name of today's registrars would not.
_ASCII = str.maketrans({"ø": "o", "ł": "l", "ı": "i", "æ": "ae", "þ": "th", "ð": "d", "đ": "d", "œ": "oe"})


def business(random: Random) -> tuple[str, str]:
    """A name, and the website that goes with it; neither need be unique, as among real businesses."""
    name = random.choice(PATTERNS)(random)
    words = [word for word in fold(name).translate(_ASCII).split() if word.isascii()]
    if not words:
        return name, f"shop-{random.randrange(36**5):05}.example"
    return name, f"{random.choice(('-', ''))}".join(words[:3]) + ".example"
