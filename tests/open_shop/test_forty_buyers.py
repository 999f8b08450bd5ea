"""Three boxes of sea urchin, forty buyers at once: over real HTTP, on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from tests.open_shop.conftest import OpenShop
from tests.open_shop.visitor import Visitor

URCHIN = "UNI-EZOBAFUN-100"
BUYERS = 40


def test_exactly_three_are_sold_and_thirty_seven_are_told_before_any_charge(open_shop: OpenShop) -> None:
    assert open_shop.stock(URCHIN) == (3, 0, 0)
    charged = {charge["id"] for charge in open_shop.charges()}
    together = Barrier(BUYERS)

    def buy(number: int) -> str:
        visitor = Visitor(open_shop, f"buyer-{number}@example.com")
        confirm = visitor.go_to_confirm(URCHIN)
        assert confirm.url.endswith("/checkout/confirm/"), confirm.url
        together.wait(120)
        return visitor.press(confirm).url

    with ThreadPoolExecutor(BUYERS) as crowd:
        seen = list(crowd.map(buy, range(BUYERS)))
    open_shop.wait_for(
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM engines_execution WHERE status = 'RUNNING')", seconds=60
    )

    assert open_shop.stock(URCHIN) == (0, 0, 3)
    orders = dict(
        open_shop.ask(
            "SELECT status, count(*) FROM order_order WHERE email LIKE 'buyer-%%@example.com' GROUP BY status"
        )
    )
    assert orders.pop("complete") == 3
    # Whoever came too late was told either at the press (back to the cart) or by the flow (sold out).
    told_at_the_press = sum(url.endswith("/cart/") for url in seen)
    assert orders.pop("not_paid", 0) + told_at_the_press == BUYERS - 3
    assert orders == {}
    new = [charge for charge in open_shop.charges() if charge["id"] not in charged]
    assert len(new) == 3
    assert {row[0] for row in open_shop.ask(
        "SELECT setback->>'outcome' FROM order_order WHERE status = 'not_paid' AND email LIKE 'buyer-%%'"
    )} <= {"sold_out"}
    # Nobody who was told "sold out" was ever asked for money at Stripe.
    asked = open_shop.ask(
        "SELECT count(*) FROM payment_attempt a JOIN order_order o ON o.id = a.order_id"
        " WHERE o.email LIKE 'buyer-%%@example.com' AND a.asked_at IS NOT NULL"
    )
    assert asked == [(3,)]
