"""Shipping, tax and total, as rules: no database, no Django, only whole yen going in and coming out.

Every price is tax included (総額表示), so the tax is looked for *inside* an amount and never added to it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import NamedTuple

from todoku.money import Yen

# Where it goes ------------------------------------------------------------------------------------------------


class Prefecture(NamedTuple):
    """One of Japan's 47 prefectures: its name, its English name, and the region its parcels are priced by."""

    name_ja: str
    name_en: str
    region: str


#: The 47 prefectures from north to south, in the order of their official codes (JIS X 0401).
PREFECTURES: tuple[Prefecture, ...] = tuple(
    Prefecture(*row)
    for row in (
        ("北海道", "Hokkaido", "hokkaido"),
        ("青森県", "Aomori", "kita_tohoku"),
        ("岩手県", "Iwate", "kita_tohoku"),
        ("宮城県", "Miyagi", "minami_tohoku"),
        ("秋田県", "Akita", "kita_tohoku"),
        ("山形県", "Yamagata", "minami_tohoku"),
        ("福島県", "Fukushima", "minami_tohoku"),
        ("茨城県", "Ibaraki", "kanto"),
        ("栃木県", "Tochigi", "kanto"),
        ("群馬県", "Gunma", "kanto"),
        ("埼玉県", "Saitama", "kanto"),
        ("千葉県", "Chiba", "kanto"),
        ("東京都", "Tokyo", "kanto"),
        ("神奈川県", "Kanagawa", "kanto"),
        ("新潟県", "Niigata", "shinetsu"),
        ("富山県", "Toyama", "hokuriku"),
        ("石川県", "Ishikawa", "hokuriku"),
        ("福井県", "Fukui", "hokuriku"),
        ("山梨県", "Yamanashi", "kanto"),
        ("長野県", "Nagano", "shinetsu"),
        ("岐阜県", "Gifu", "chubu"),
        ("静岡県", "Shizuoka", "chubu"),
        ("愛知県", "Aichi", "chubu"),
        ("三重県", "Mie", "chubu"),
        ("滋賀県", "Shiga", "kansai"),
        ("京都府", "Kyoto", "kansai"),
        ("大阪府", "Osaka", "kansai"),
        ("兵庫県", "Hyogo", "kansai"),
        ("奈良県", "Nara", "kansai"),
        ("和歌山県", "Wakayama", "kansai"),
        ("鳥取県", "Tottori", "chugoku"),
        ("島根県", "Shimane", "chugoku"),
        ("岡山県", "Okayama", "chugoku"),
        ("広島県", "Hiroshima", "chugoku"),
        ("山口県", "Yamaguchi", "chugoku"),
        ("徳島県", "Tokushima", "shikoku"),
        ("香川県", "Kagawa", "shikoku"),
        ("愛媛県", "Ehime", "shikoku"),
        ("高知県", "Kochi", "shikoku"),
        ("福岡県", "Fukuoka", "kyushu"),
        ("佐賀県", "Saga", "kyushu"),
        ("長崎県", "Nagasaki", "kyushu"),
        ("熊本県", "Kumamoto", "kyushu"),
        ("大分県", "Oita", "kyushu"),
        ("宮崎県", "Miyazaki", "kyushu"),
        ("鹿児島県", "Kagoshima", "kyushu"),
        ("沖縄県", "Okinawa", "okinawa"),
    )
)

#: The regions a shipping table is written for, from north to south, as carriers in Japan draw them.
REGIONS: tuple[str, ...] = (
    "hokkaido", "kita_tohoku", "minami_tohoku", "kanto", "shinetsu", "hokuriku",
    "chubu", "kansai", "chugoku", "shikoku", "kyushu", "okinawa",
)  # fmt: skip

_REGION_OF = {prefecture.name_ja: prefecture.region for prefecture in PREFECTURES}


def region_of(prefecture: str) -> str:
    """Tell which shipping region a prefecture, named in Japanese, lies in; KeyError for any other name."""
    return _REGION_OF[prefecture]


# What is sent -------------------------------------------------------------------------------------------------

#: Carriers' size classes: length + width + height of a parcel, in centimetres (宅急便 and ゆうパック).
SIZES: tuple[int, ...] = (60, 80, 100, 120, 140, 160)
#: How a parcel can be kept on its way: 常温, 冷蔵, 冷凍. One parcel travels at one temperature.
TEMPERATURES: tuple[str, ...] = ("ambient", "chilled", "frozen")
#: The tax class of shipping that is charged apart from the goods.
STANDARD = "standard"


@dataclass(frozen=True, slots=True)
class PricedLine:
    """So many of one product, with all that its price, its parcel and its tax depend on (unit price in yen)."""

    product_id: int
    sku: str
    name_ja: str
    name_en: str
    unit_price: int
    quantity: int
    percent: int
    tax_class: str
    temperature: str
    parcel_size: int

    @property
    def amount(self) -> int:
        """The line's total in yen, tax included."""
        return self.unit_price * self.quantity


@dataclass(frozen=True, slots=True)
class Parcel:
    """One box at one temperature, of one of the carriers' size classes (cm)."""

    temperature: str
    size: int


@dataclass(frozen=True, slots=True)
class PricedParcel:
    """One box and what sending it costs: the fee, and the remote-island surcharge (yen, tax included)."""

    temperature: str
    size: int
    fee: int
    remote: int


class NotServed(Exception):
    """The shipping table has no fee for this parcel, so the shop does not send it there."""

    def __init__(self, region: str, size: int, temperature: str) -> None:
        super().__init__(f"no shipping fee for {temperature} parcels of size {size} to {region}")
        self.region = region
        self.size = size
        self.temperature = temperature


class NoTaxRate(Exception):
    """No consumption-tax rate of this class has begun by this day."""

    def __init__(self, tax_class: str, day: date) -> None:
        super().__init__(f"no {tax_class} tax rate on {day.isoformat()}")
        self.tax_class = tax_class
        self.day = day


def _volume(size: int) -> int:
    # A box of size s holds at most a cube of side s/3. The 1/27 is the same for all, so it is left out and
    # volumes stay whole numbers.
    return size**3


def parcels(lines: Iterable[PricedLine]) -> list[Parcel]:
    """Put the goods into parcels: each temperature apart, largest goods first, the next box when one is full.

    Goods combine by volume into the smallest size that holds them; a box holds at most size 160's volume, and
    goods never travel in a box smaller than their own size.

    The boxes are filled one after the other ("next fit, decreasing") and an earlier box is not opened again.
    Cleverer packings sometimes need *fewer* boxes when something is *added*, and a shopper who adds a jar
    must not see the shipping fall for no reason; this one never does that.
    """
    packed: list[Parcel] = []
    units: dict[str, Counter[int]] = {}
    for line in lines:
        units.setdefault(line.temperature, Counter())[line.parcel_size] += line.quantity
    for temperature in sorted(units, key=TEMPERATURES.index):
        filled = 0
        boxes: list[int] = []
        for size in sorted(units[temperature], reverse=True):
            each, left = _volume(size), units[temperature][size]
            while left:
                fitting = min(left, (_volume(SIZES[-1]) - filled) // each)
                filled += fitting * each
                left -= fitting
                if left:
                    boxes.append(filled)
                    filled = 0
        boxes.append(filled)
        packed += [
            Parcel(temperature, next(size for size in SIZES if _volume(size) >= volume)) for volume in boxes if volume
        ]
    return packed


@dataclass(frozen=True, slots=True)
class Shipping:
    """What sending everything costs: the priced parcels and their total in yen, tax included."""

    parcels: tuple[PricedParcel, ...]
    total: Yen


def surcharge(postal_code: str, islands: Mapping[str, int]) -> int:
    """Find the remote-island surcharge (離島, yen per parcel) for a postal code: the longest prefix wins."""
    for length in range(len(postal_code), 0, -1):
        fee = islands.get(postal_code[:length])
        if fee is not None:
            return fee
    return 0


def shipping(
    packed: Iterable[Parcel],
    region: str,
    postal_code: str,
    goods_total: int,
    fees: Mapping[tuple[str, int, str], int],
    islands: Mapping[str, int],
    free_above: int | None,
) -> Shipping:
    """Price the parcels: the table's fee for each, plus the remote-island surcharge for each (yen, tax included).

    ``fees`` is keyed by (region, size, temperature). From ``free_above`` yen of goods on, the fee is waived,
    cool transport included. The remote-island surcharge stays even then: the carrier's ferry or air relay costs
    more than the goods' margin, differs from island to island, and Japanese shops' free shipping customarily
    leaves it out (離島は別途). Raises NotServed where the table has no fee, free or not: an empty place in the
    table means that the shop does not send there.
    """
    free = free_above is not None and goods_total >= free_above
    remote = surcharge(postal_code, islands)
    priced: list[PricedParcel] = []
    for parcel in packed:
        fee = fees.get((region, parcel.size, parcel.temperature))
        if fee is None:
            raise NotServed(region, parcel.size, parcel.temperature)
        priced.append(PricedParcel(parcel.temperature, parcel.size, 0 if free else fee, remote))
    return Shipping(tuple(priced), Yen(sum(parcel.fee + parcel.remote for parcel in priced)))


# What the state gets ------------------------------------------------------------------------------------------


class DatedRate(NamedTuple):
    """The percentage of one tax class from one day on."""

    tax_class: str
    starts_on: date
    percent: int


@dataclass(frozen=True, slots=True)
class TaxBucket:
    """All that is taxed at one percentage: its tax-included sum and the tax inside it, in yen."""

    percent: int
    base: int
    tax: int


def rate_on(rates: Iterable[DatedRate], tax_class: str, day: date) -> int:
    """Find a tax class's percentage on a day (JST): that of the latest rate that starts on or before it.

    Raises NoTaxRate when none has started.
    """
    begun = [rate for rate in rates if rate.tax_class == tax_class and rate.starts_on <= day]
    if not begun:
        raise NoTaxRate(tax_class, day)
    return max(begun, key=lambda rate: rate.starts_on).percent


def tax_inside(base: int, percent: int) -> int:
    """Take the tax out of a tax-included sum, in yen, rounded down: base x percent / (100 + percent)."""
    return base * percent // (100 + percent)


def taxes(lines: Iterable[PricedLine], shipping: int, shipping_percent: int) -> list[TaxBucket]:
    """Compute the tax once per percentage, on the sum of all that is taxed at it; the highest rate first.

    A qualified invoice rounds once per rate, never per line (消費税法施行令70条の10, 消費税法基本通達1-8-15);
    which way is the shop's choice, and this shop rounds down. Shipping that is charged apart from the goods is
    a service of its own and goes into the standard rate's bucket, even when the goods are food at the reduced
    rate.
    """
    bases: Counter[int] = Counter()
    for line in lines:
        bases[line.percent] += line.amount
    if shipping:
        bases[shipping_percent] += shipping
    return [
        TaxBucket(percent, bases[percent], tax_inside(bases[percent], percent))
        for percent in sorted(bases, reverse=True)
    ]


# What the shopper sees ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Priced:
    """A whole cart, priced: everything that a quote freezes, in yen."""

    lines: tuple[PricedLine, ...]
    parcels: tuple[PricedParcel, ...]
    taxes: tuple[TaxBucket, ...]
    goods_total: int
    shipping: int
    total: int
    #: What the shopper agrees to besides: how it can be paid, delivery, returns.
    terms: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The hash of all that the shopper is shown of it."""
        return fingerprint(self.lines, self.parcels, self.shipping, self.taxes, self.total, self.terms)

    @property
    def terms_hash(self) -> str:
        """The hash of the terms alone, which tells whether it is they that have changed."""
        return hashlib.sha256(json.dumps(self.terms, ensure_ascii=False).encode()).hexdigest()


def price(
    lines: Sequence[PricedLine],
    region: str,
    postal_code: str,
    fees: Mapping[tuple[str, int, str], int],
    islands: Mapping[str, int],
    free_above: int | None,
    shipping_percent: int,
    terms: Sequence[str] = (),
) -> Priced:
    """Price a whole cart for one address: goods, shipping, tax and total in yen; raises NotServed."""
    goods_total = sum(line.amount for line in lines)
    sent = shipping(parcels(lines), region, postal_code, goods_total, fees, islands, free_above)
    return Priced(
        lines=tuple(lines),
        parcels=sent.parcels,
        taxes=tuple(taxes(lines, sent.total, shipping_percent)),
        goods_total=goods_total,
        shipping=sent.total,
        total=goods_total + sent.total,
        terms=tuple(terms),
    )


def fingerprint(
    lines: Iterable[PricedLine],
    parcels: Iterable[PricedParcel],
    shipping: int,
    taxes: Iterable[TaxBucket],
    total: int,
    terms: Iterable[str] = (),
) -> str:
    """Hash all that the shopper is shown: another hash means that something changed since they looked (SHA-256).

    Who gets the parcel and where is not in it: a change of the details is a new version of the cart, and every
    version has a quote of its own.
    """
    shown = [
        [asdict(line) for line in sorted(lines, key=lambda line: line.sku)],
        [asdict(parcel) for parcel in parcels],
        shipping,
        [asdict(bucket) for bucket in taxes],
        total,
        list(terms),
    ]
    return hashlib.sha256(json.dumps(shown, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
