"""The bench carries real orders through the whole shop, and does not believe a figure when an order is missing."""

from __future__ import annotations

import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import meter, report, verdict
from bench.rounds import percentile
from bench.whole_shop import WholeShop

pytestmark = pytest.mark.skipif(not meter.works(), reason="the bench reads /proc")


@dataclass
class Measured:
    """A shop that has been measured for a moment, still open."""

    shop: WholeShop
    opening: report.Opening
    thanked: list[str]

    def wrong(self) -> list[str]:
        return verdict.wrong(verdict.look(self.shop), self.thanked)


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    with WholeShop() as shop:
        opening = report.Opening(0.0, 0.0)
        bench.go_through(shop, opening, [1], 1.0)
        thanked = [number for (number,) in shop.ask("SELECT number FROM order_order")]
        yield Measured(shop, opening, thanked)


def test_a_round_is_measured(measured: Measured, tmp_path: Path) -> None:
    assert measured.opening.wrong == []
    [each] = measured.opening.rounds
    assert each.errors == []
    assert each.checkouts >= 1
    assert measured.opening.orders == len(measured.thanked) >= each.checkouts
    assert set(each.thanked) <= set(measured.thanked)
    for part in ("web", "worker", "database"):
        assert measured.opening.memory[part][1] > 5, part
        assert each.cpu[part] is not None, part
    # The supervisor of the web and both of its workers are counted.
    assert len(measured.shop.parts()["web"]) == 3
    assert each.press_to_complete["p50"] is not None
    assert each.flow["p50"] is not None

    out = tmp_path / "figures.md"
    report.write(out, report.machine("18"), {}, [measured.opening])
    assert "complete: each charged once" in out.read_text()
    assert '"checkouts_per_second"' in out.with_suffix(".json").read_text()


def test_an_order_that_the_shop_does_not_have_is_found(measured: Measured) -> None:
    lost = replace(measured, thanked=[*measured.thanked, "T-NEVER-WAS"]).wrong()
    assert len(lost) == 1 and "1 lost orders" in lost[0] and "T-NEVER-WAS" in lost[0]


def test_an_order_that_stands_still_is_found(measured: Measured) -> None:
    number = measured.thanked[0]
    measured.shop.ask("UPDATE order_order SET status = 'paid' WHERE number = %s", number)
    assert [said for said in measured.wrong() if "not complete" in said and number in said]
    measured.shop.ask("UPDATE order_order SET status = 'complete' WHERE number = %s", number)
    assert measured.wrong() == []


def test_stock_that_went_nowhere_is_found(measured: Measured) -> None:
    measured.shop.ask("UPDATE stock_level SET sold = sold + 1 WHERE sold > 0")
    assert [said for said in measured.wrong() if "came in" in said]
    assert [said for said in measured.wrong() if "but the orders hold" in said]
    measured.shop.ask("UPDATE stock_level SET sold = sold - 1 WHERE sold > 0")
    assert measured.wrong() == []


def test_the_report_of_a_wrong_run_says_so_first(measured: Measured) -> None:
    spoilt = replace(measured.opening, wrong=["1 lost orders"])
    assert "do not count" in report.page(report.machine("18"), {}, [spoilt]).splitlines()[2]


def test_a_charge_without_an_order_is_found(measured: Measured) -> None:
    """Somebody was charged and the shop knows nothing of it: the lost order itself. (Last: it cannot be undone.)"""
    request = urllib.request.Request(
        f"{measured.shop.rehearsal}/v1/payment_intents",
        data=urllib.parse.urlencode(
            {
                "amount": "5400",
                "currency": "jpy",
                "confirm": "true",
                "payment_method": "pm_card_visa",
                "allowed_payment_method_types[]": "card",
            }
        ).encode(),
        headers={"Authorization": "Bearer sk_test_rehearsal", "Idempotency-Key": "nobody-ordered-this"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    found = measured.wrong()
    assert [said for said in found if "charges without an order" in said]
    assert f"{len(measured.thanked) + 1} charges for {len(measured.thanked)} orders" in found


def test_words_of_the_command_line() -> None:
    assert bench.gateways("instant,1s,0.5 s") == [0.0, 1.0, 0.5]
    assert bench.crowds("1,8,32") == [1, 8, 32]
    for wrong in ("0", "x", "", "1,,2", "9999"):
        with pytest.raises(Exception, match="shoppers"):
            bench.crowds(wrong)
    with pytest.raises(Exception, match="gateway"):
        bench.gateways("soon")
    with pytest.raises(Exception, match="round"):
        bench.seconds("nan")


def test_percentiles() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([float(n) for n in range(1, 101)], 95) == 95.0
    assert percentile([7.0], 99) == 7.0
