"""Shipping, tax and total, as rules."""

from __future__ import annotations

import csv
from datetime import date
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todoku.quote import rules
from todoku.quote.rules import DatedRate, NoTaxRate, NotServed, Parcel, PricedLine, PricedParcel, TaxBucket

DEMO = Path(__file__).parents[2] / "demo"


def line(
    unit_price: int = 4800,
    quantity: int = 1,
    percent: int = 8,
    temperature: str = "chilled",
    parcel_size: int = 80,
    product_id: int = 1,
) -> PricedLine:
    return PricedLine(
        product_id=product_id,
        sku=f"SKU-{product_id}",
        name_ja="毛がに",
        name_en="Crab",
        unit_price=unit_price,
        quantity=quantity,
        percent=percent,
        tax_class="reduced" if percent == 8 else "standard",
        temperature=temperature,
        parcel_size=parcel_size,
    )


def demo_fees() -> dict[tuple[str, int, str], int]:
    with (DEMO / "shipping.csv").open(encoding="utf-8", newline="") as file:
        return {(row["region"], int(row["size"]), row["temperature"]): int(row["fee"]) for row in csv.DictReader(file)}


def steep_fees() -> dict[tuple[str, int, str], int]:
    return {
        (region, size, temperature): size * 10
        for region in rules.REGIONS
        for size in rules.SIZES
        for temperature in rules.TEMPERATURES
    }


lines = st.lists(
    st.builds(
        line,
        unit_price=st.integers(1, 9_999_999),
        quantity=st.integers(1, 99),
        percent=st.sampled_from([0, 8, 10]),
        temperature=st.sampled_from(rules.TEMPERATURES),
        parcel_size=st.sampled_from(rules.SIZES),
        product_id=st.integers(1, 50),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda line: line.product_id,
)


# Where it goes


def test_there_are_47_prefectures_in_12_regions() -> None:
    assert len({prefecture.name_ja for prefecture in rules.PREFECTURES}) == 47
    assert len({prefecture.name_en for prefecture in rules.PREFECTURES}) == 47
    assert {prefecture.region for prefecture in rules.PREFECTURES} == set(rules.REGIONS)
    assert len(rules.REGIONS) == 12


def test_a_prefecture_lies_in_its_region() -> None:
    assert rules.region_of("北海道") == "hokkaido"
    assert rules.region_of("山梨県") == "kanto"
    assert rules.region_of("沖縄県") == "okinawa"


@pytest.mark.parametrize("wrong", ["", "東京", "Tokyo", "北海道 "])
def test_another_name_is_no_prefecture(wrong: str) -> None:
    with pytest.raises(KeyError):
        rules.region_of(wrong)


# Parcels


def test_two_small_goods_travel_in_one_larger_parcel() -> None:
    # 2 x 60 has twice the volume of 60 (2 x 216,000 = 432,000), and 80 (512,000) holds it.
    assert rules.parcels([line(quantity=2, parcel_size=60)]) == [Parcel("chilled", 80)]


def test_each_temperature_travels_apart() -> None:
    packed = rules.parcels(
        [
            line(temperature="frozen", product_id=1),
            line(temperature="ambient", product_id=2),
            line(temperature="chilled", product_id=3),
        ]
    )
    assert packed == [Parcel("ambient", 80), Parcel("chilled", 80), Parcel("frozen", 80)]


def test_what_does_not_fit_into_160_goes_into_another_parcel() -> None:
    assert rules.parcels([line(quantity=2, parcel_size=160)]) == [Parcel("chilled", 160)] * 2
    assert rules.parcels([line(quantity=9, parcel_size=80)]) == [Parcel("chilled", 160), Parcel("chilled", 80)]


def test_goods_never_travel_in_a_box_smaller_than_their_own() -> None:
    # By volume alone 140 + 120 would be a 160 and an 80: but neither of the two goes into an 80.
    both = [line(parcel_size=140, product_id=1), line(parcel_size=120, product_id=2)]
    assert rules.parcels(both) == [Parcel("chilled", 140), Parcel("chilled", 120)]


@given(lines)
def test_parcels_hold_all_the_goods_and_the_largest_of_them(goods: list[PricedLine]) -> None:
    packed = rules.parcels(goods)
    for temperature in {line.temperature for line in goods}:
        boxes = [parcel.size for parcel in packed if parcel.temperature == temperature]
        inside = [line for line in goods if line.temperature == temperature]
        assert sum(size**3 for size in boxes) >= sum(line.parcel_size**3 * line.quantity for line in inside)
        assert max(boxes) >= max(line.parcel_size for line in inside)
        assert len(boxes) <= sum(line.quantity for line in inside)
    assert {parcel.temperature for parcel in packed} == {line.temperature for line in goods}


# Shipping


def shipping_of(
    goods: list[PricedLine],
    fees: dict[tuple[str, int, str], int] | None = None,
    region: str = "hokkaido",
    postal_code: str = "0600001",
    islands: dict[str, int] | None = None,
    free_above: int | None = None,
) -> rules.Shipping:
    return rules.shipping(
        rules.parcels(goods),
        region,
        postal_code,
        sum(line.amount for line in goods),
        steep_fees() if fees is None else fees,
        islands or {},
        free_above,
    )


def test_shipping_is_the_sum_of_the_parcels_fees() -> None:
    sent = shipping_of([line(product_id=1), line(temperature="ambient", parcel_size=60, product_id=2)])
    assert sent.parcels == (PricedParcel("ambient", 60, 600, 0), PricedParcel("chilled", 80, 800, 0))
    assert sent.total == 1400


def test_the_longest_prefix_of_a_remote_island_wins_and_counts_for_each_parcel() -> None:
    islands = {"097": 100, "09701": 660, "098": 5000}
    sent = shipping_of([line(quantity=2, parcel_size=160)], postal_code="0970101", islands=islands)
    assert [parcel.remote for parcel in sent.parcels] == [660, 660]
    assert sent.total == 2 * (1600 + 660)


def test_free_shipping_begins_at_the_threshold_itself() -> None:
    assert shipping_of([line(unit_price=9_999)], free_above=10_000).total == 800
    assert shipping_of([line(unit_price=10_000)], free_above=10_000).total == 0
    assert shipping_of([line(unit_price=1)], free_above=0).total == 0


def test_free_shipping_leaves_the_remote_islands_surcharge() -> None:
    sent = shipping_of([line(unit_price=20_000)], islands={"06": 660}, free_above=10_000)
    assert sent.parcels == (PricedParcel("chilled", 80, 0, 660),)
    assert sent.total == 660


@pytest.mark.parametrize("free_above", [None, 0])
def test_an_empty_place_in_the_table_means_that_the_shop_does_not_send_there(free_above: int | None) -> None:
    with pytest.raises(NotServed) as refused:
        shipping_of([line()], fees={("hokkaido", 60, "chilled"): 500}, free_above=free_above)
    assert (refused.value.region, refused.value.size, refused.value.temperature) == ("hokkaido", 80, "chilled")


@given(lines, st.data())
def test_adding_goods_never_makes_shipping_cheaper_below_the_free_threshold(
    goods: list[PricedLine], data: st.DataObject
) -> None:
    more = data.draw(
        st.builds(
            line,
            quantity=st.integers(1, 5),
            temperature=st.sampled_from(rules.TEMPERATURES),
            parcel_size=st.sampled_from(rules.SIZES),
            product_id=st.just(99),
        )
    )
    for fees in (demo_fees(), steep_fees()):
        for region in ("hokkaido", "okinawa"):
            assert shipping_of([*goods, more], fees, region).total >= shipping_of(goods, fees, region).total


def test_the_demo_table_grows_with_the_size_and_one_large_parcel_never_costs_more_than_two() -> None:
    fees = demo_fees()
    for region in rules.REGIONS:
        for temperature in rules.TEMPERATURES:
            row = [fees[region, size, temperature] for size in rules.SIZES]
            assert all(smaller <= larger for smaller, larger in pairwise(row))
            assert row[5] <= row[4] + row[3]


# Tax


def test_the_crab_to_hokkaido_is_4800_and_600_and_its_tax_355_and_54() -> None:
    priced = rules.price([line()], "hokkaido", "0600001", demo_fees(), {}, 15_000, shipping_percent=10)
    assert (priced.goods_total, priced.shipping, priced.total) == (4800, 600, 5400)
    assert priced.taxes == (TaxBucket(10, 600, 54), TaxBucket(8, 4800, 355))
    assert priced.parcels == (PricedParcel("chilled", 80, 600, 0),)


def test_tax_is_rounded_once_per_rate_and_never_per_line() -> None:
    # Three goods of 115 yen: 10 yen of tax in each alone (30), but 31 in the three together.
    three = [line(unit_price=115, percent=10, product_id=n) for n in range(3)]
    assert rules.tax_inside(115, 10) * 3 == 30
    assert rules.taxes(three, 0, 10) == [TaxBucket(10, 345, 31)]


def test_a_rate_of_zero_has_a_bucket_of_its_own_without_tax() -> None:
    buckets = rules.taxes([line(percent=0, product_id=1), line(percent=8, product_id=2)], 600, 10)
    assert buckets == [TaxBucket(10, 600, 54), TaxBucket(8, 4800, 355), TaxBucket(0, 4800, 0)]


def test_no_shipping_makes_no_bucket() -> None:
    assert rules.taxes([line()], 0, 10) == [TaxBucket(8, 4800, 355)]


@given(lines, st.integers(0, 100_000), st.sampled_from([0, 8, 10]))
def test_the_buckets_sum_to_the_total_and_hold_no_more_tax_than_their_rate(
    goods: list[PricedLine], shipping: int, percent: int
) -> None:
    buckets = rules.taxes(goods, shipping, percent)
    assert sum(bucket.base for bucket in buckets) == sum(line.amount for line in goods) + shipping
    assert len({bucket.percent for bucket in buckets}) == len(buckets)
    for bucket in buckets:
        assert 0 <= bucket.tax <= bucket.base
        # Rounded down, by less than one yen.
        assert 0 <= bucket.base * bucket.percent - bucket.tax * (100 + bucket.percent) < 100 + bucket.percent


RATES = [
    DatedRate("standard", date(2014, 4, 1), 8),
    DatedRate("reduced", date(2019, 10, 1), 8),
    DatedRate("standard", date(2019, 10, 1), 10),
    DatedRate("reduced", date(2027, 4, 1), 0),
]


def test_the_latest_rate_that_has_begun_holds() -> None:
    assert rules.rate_on(RATES, "standard", date(2019, 9, 30)) == 8
    assert rules.rate_on(RATES, "standard", date(2019, 10, 1)) == 10
    assert rules.rate_on(RATES, "reduced", date(2027, 3, 31)) == 8
    assert rules.rate_on(RATES, "reduced", date(2027, 4, 1)) == 0


def test_no_rate_that_has_begun_is_an_error_and_not_zero() -> None:
    with pytest.raises(NoTaxRate):
        rules.rate_on(RATES, "reduced", date(2019, 9, 30))


# The fingerprint


@given(lines, st.randoms())
def test_the_order_of_the_lines_does_not_change_the_fingerprint(goods: list[PricedLine], random: Random) -> None:
    def seen(goods: list[PricedLine]) -> str:
        return rules.price(goods, "kanto", "1000001", demo_fees(), {}, None, 10).fingerprint

    shuffled = list(goods)
    random.shuffle(shuffled)
    assert seen(goods) == seen(shuffled)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("unit_price", 4801),
        ("quantity", 2),
        ("percent", 10),
        ("name_ja", "かに"),
        ("name_en", "Crabs"),
        ("sku", "X"),
    ],
)
def test_whatever_the_shopper_is_shown_changes_the_fingerprint(field: str, value: object) -> None:
    from dataclasses import replace

    shown = rules.fingerprint([line()], [], 600, [], 5400)
    assert rules.fingerprint([replace(line(), **{field: value})], [], 600, [], 5400) != shown  # type: ignore[arg-type]


def test_shipping_parcels_tax_and_total_change_the_fingerprint() -> None:
    seen = {
        rules.fingerprint([line()], [], 600, [], 5400),
        rules.fingerprint([line()], [PricedParcel("chilled", 80, 600, 0)], 600, [], 5400),
        rules.fingerprint([line()], [], 601, [], 5400),
        rules.fingerprint([line()], [], 600, [TaxBucket(8, 4800, 355)], 5400),
        rules.fingerprint([line()], [], 600, [], 5401),
    }
    assert len(seen) == 5
