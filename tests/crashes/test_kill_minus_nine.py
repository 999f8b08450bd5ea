"""kill -9 of the worker at every boundary: afterwards the order is complete, with exactly one charge.

A first worker is recorded passing every boundary of a play: both sides of each commit, of each write outside a
transaction, of each call to Stripe, of each turn of the talk with the mail server, and of the queue's own two
statements. Then, for each boundary, a new order is played by a worker that kills itself there; at last one more
worker comes, finds them all, and carries them through.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import shop
from tests.crashes.street import StripeAndMail, Workers, wait_for
from todoku.catalog.models import Product
from todoku.engines.models import Execution
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Case, Mail
from todoku.order.models import MyPageEntry, Order, Status

PAID_STEPS = ["TakeStock", "TakePayment", "RecordOrder", "CloseCart", "PublishToMyPage", "SendMail"]


@dataclass
class Bought:
    """One order under test, of one product of its own."""

    order: Order
    product: Product
    label: str
    index: int


def _order(street: StripeAndMail, index: int, label: str, card: str) -> Bought:
    product = shop.sell(f"KANI-{index}")
    return Bought(shop.order_one(street.rehearsal, product, number=card), product, label, index)


def _record(street: StripeAndMail, workers: Workers, card: str) -> list[str]:
    """Play one order undisturbed and name every boundary it passed."""
    paper = workers.paper()
    bought = _order(street, 1000, "undisturbed", card)
    pid = workers.start(paper=paper)
    wait_for(lambda: "after the job is finished" in paper.read_text())
    workers.kill(pid)
    _check(street, bought, card, [])
    return paper.read_text().splitlines()


def _kill_at(street: StripeAndMail, workers: Workers, index: int, labels: list[str], card: str) -> Bought:
    """Play one order with a worker that dies at this boundary."""
    bought = _order(street, index, labels[index], card)
    paper = workers.paper()
    assert workers.wait(workers.start(kill_at=index, paper=paper)) == -9, labels[index]
    assert paper.read_text().splitlines() == labels[: index + 1]
    return bought


def _rescue(workers: Workers, orders: list[Bought]) -> None:
    """One more worker, that takes the dead for dead after a second; wait until it has played everything."""
    pid = workers.start(concurrency=4, dead_after=1.0)
    ids = [bought.order.pk for bought in orders]
    wait_for(lambda: not Execution.objects.filter(order__in=ids, status="RUNNING").exists() and not shop.waiting_jobs())
    workers.kill(pid)


def _check(street: StripeAndMail, bought: Bought, card: str, labels: list[str]) -> None:
    where = f"killed at {bought.index}: {bought.label}"
    order = Order.objects.select_related("cart", "intent").get(pk=bought.order.pk)
    charges = [
        charge["status"]
        for charge in street.rehearsal.rows("charges", 1000)
        if charge["payment_intent"] == order.intent.stripe_id
    ]
    letters = [m for m in street.mailbox.list(1000) if order.number in m["subject"]]
    ledger = Counter(order.ledger.values_list("step", flat=True))
    assert not Case.objects.filter(order=order).exists(), where
    [execution] = Execution.objects.filter(order=order)
    assert execution.status == "SUCCEEDED", where
    if card == shop.DECLINED:
        assert order.status == Status.NOT_PAID, where
        assert order.setback == {"outcome": "declined", "reason": "declined"}, where
        assert shop.levels(bought.product) == (10, 0, 0), where
        assert charges == ["failed"], where  # the bank was asked exactly once
        assert ledger == Counter(["TakeStock", "ReturnStock"]), where
        assert (order.cart.closed_at, order.cart.lines.count()) == (None, 1), where
        assert not Delivery.objects.filter(order=order).exists(), where
        assert letters == [], where
        return
    assert order.status == Status.COMPLETE, where
    assert charges == ["succeeded"], where
    assert shop.levels(bought.product) == (9, 0, 1), where
    assert Delivery.objects.filter(order=order).count() == 1, where
    assert MyPageEntry.objects.filter(order=order).count() == 1, where
    assert order.cart.closed_at is not None, where
    assert ledger == Counter(PAID_STEPS), where
    mail = Mail.objects.get(order=order)
    assert mail.sent_at is not None, where
    assert {letter["message_id"] for letter in letters} == {mail.message_id}, where
    assert len(letters) == (2 if bought.index in _sent_twice(labels) else 1), where


def _sent_twice(labels: list[str]) -> range:
    """The boundaries between the mail server's yes and the shop's note of it: only there a mail goes out again."""
    if not labels:
        return range(0)
    taken = labels.index("after SMTP data")
    return range(taken, labels.index("after commit of insert flows_done", taken))


@pytest.mark.parametrize("card", [shop.VISA, shop.DECLINED], ids=["paid", "declined"])
def test_a_worker_killed_at_any_boundary_loses_nothing(street: StripeAndMail, workers: Workers, card: str) -> None:
    labels = _record(street, workers, card)
    print(f"{len(labels)} boundaries: {', '.join(labels)}")

    # The first boundary comes last: a job that nobody has taken would be taken by the next worker.
    orders = [_kill_at(street, workers, index, labels, card) for index in [*range(1, len(labels)), 0]]
    _rescue(workers, orders)

    for bought in orders:
        _check(street, bought, card, labels)


@pytest.mark.timeout(3600)
@pytest.mark.skipif("TODOKU_CRASHES" not in os.environ, reason="slow: TODOKU_CRASHES=3 pytest tests/crashes")
@pytest.mark.parametrize("card", [shop.VISA, shop.DECLINED], ids=["paid", "declined"])
def test_the_worker_that_takes_over_is_killed_too(street: StripeAndMail, workers: Workers, card: str) -> None:
    """Each boundary of the first worker with some of the second's (``TODOKU_CRASHES`` says how many), drawn anew."""
    labels = _record(street, workers, card)
    for index in [*range(1, len(labels)), 0]:
        for second in random.sample(range(len(labels)), int(os.environ["TODOKU_CRASHES"])):
            bought = _kill_at(street, workers, index, labels, card)
            paper = workers.paper()
            pid = workers.start(kill_at=second, paper=paper, dead_after=0.6)
            print(f"killed at {index}, then at {second} of {labels}")
            wait_for(lambda paper=paper, second=second: _over(paper, second))  # type: ignore[misc]
            workers.kill(pid)
            _rescue(workers, [bought])
            order = Order.objects.select_related("intent").get(pk=bought.order.pk)
            charges = [
                charge["status"]
                for charge in street.rehearsal.rows("charges", 10_000)
                if charge["payment_intent"] == order.intent.stripe_id
            ]
            if card == shop.DECLINED:
                assert (order.status, charges) == (Status.NOT_PAID, ["failed"])
                assert shop.levels(bought.product) == (10, 0, 0)
            else:
                assert (order.status, charges) == (Status.COMPLETE, ["succeeded"])
                assert shop.levels(bought.product) == (9, 0, 1)
                assert Counter(order.ledger.values_list("step", flat=True)) == Counter(PAID_STEPS)
            # The next order is of a new product of this name.
            Product.objects.filter(pk=bought.product.pk).update(sku=f"{bought.product.sku}-{order.pk}")


def _over(paper: Path, last: int) -> bool:
    """The second worker has come to its last boundary, or to the end of the play before it."""
    passed = paper.read_text().splitlines()
    return len(passed) > last or "after the job is finished" in passed
