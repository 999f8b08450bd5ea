"""A hundred plays that wait for a slow Stripe do not hold up the next one."""

from __future__ import annotations

import time

from tests import shop
from tests.crashes.street import StripeAndMail, Workers, wait_for
from todoku.order.models import Order, Status

#: Long enough for a loaded machine to have all hundred waiting at the same time.
SLOW = 10.0


def test_a_hundred_plays_that_wait_for_stripe_do_not_hold_up_the_next(street: StripeAndMail, workers: Workers) -> None:
    crab = shop.sell("KANI", stock=200)
    prepared = []
    for _ in range(101):
        cart = shop.fill_cart((crab, 1))
        prepared.append((cart, shop.agree(cart), shop.type_card(street.rehearsal)))
    last, last_quote, last_card = prepared.pop()

    street.rehearsal.confirm_seconds = SLOW
    for cart, quote, card in prepared:
        shop.press(street.rehearsal, cart, quote, token=card)
    workers.start(concurrency=160)
    at_stripe = street.rehearsal._busy  # the intents that a confirm is at work on
    wait_for(lambda: len(at_stripe) == 100, seconds=SLOW)

    street.rehearsal.confirm_seconds = 0.0
    pressed = time.monotonic()
    shop.press(street.rehearsal, last, last_quote, token=last_card)
    wait_for(lambda: Order.objects.filter(cart=last, status=Status.COMPLETE).exists())
    took = time.monotonic() - pressed
    still_waiting = Order.objects.filter(status=Status.PLACED).count()
    print(f"complete {took:.2f} s after its press, while {still_waiting} waited")
    assert took < 2.5

    wait_for(lambda: Order.objects.filter(status=Status.COMPLETE).count() == 101, seconds=60)
    assert len(street.rehearsal.rows("charges", 1000)) == 101
    assert shop.levels(crab) == (99, 0, 101)
