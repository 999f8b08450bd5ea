"""Money taken, and no order: what happens when something breaks between the charge and the parcel."""

from __future__ import annotations

from datetime import timedelta

from django.core import mail
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop
from tests.pages.visitor import Visitor
from tests.quick import knock, play, play_once
from tests.threads.street import (
    THREE_D_SECURE,
    at_the_bank,
    customer_passes,
    lost_after_the_charge,
    open_case,
    refunds,
    refused_by_the_database,
    resume,
    shelf,
    tell,
)
from tests.threads.thread import thread
from todoku.catalog.models import Product
from todoku.engines.poller import look_again
from todoku.fulfilment.models import Delivery
from todoku.order import links
from todoku.order.models import MyPageEntry, Order, Status
from todoku.order.place import Refused
from todoku.payment.models import Attempt, Outcome
from todoku.ringing.ring import ring_new
from todoku.stock.check import short


@thread(1, seen="saleor/saleor#14733 (2023)")
def test_what_sells_out_while_the_customer_pays_was_held_for_them(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the goods were gone when the paid checkout was completed, and it could never become an order.

    Here: they are held before the money is asked for, and a shelf that others empty does not matter.
    """
    shelf(crab, 1)
    order = at_the_bank(rehearsal, crab)
    rival = shop.fill_cart((crab, 1))
    assert shop.press(rehearsal, rival, shop.agree(rival)) == Refused("sold_out", short(rival.lines.all()))
    assert shop.levels(crab) == (0, 1, 0)
    customer_passes(rehearsal, order)
    assert knock(order).status == Status.COMPLETE
    assert shop.levels(crab) == (0, 0, 1)


@thread(2, seen="saleor/saleor-docs#990 (2023)")
def test_the_customer_never_returns_from_the_bank_and_no_event_comes(rehearsal: Rehearsal, crab: Product) -> None:
    """There: support listed paid checkouts by hand, because completion hung on the browser's way back.

    Here: the regular look alone brings the order home.
    """
    order = at_the_bank(rehearsal, crab)
    customer_passes(rehearsal, order)
    Order.objects.update(next_look_at=timezone.now() - timedelta(seconds=1))
    assert look_again() == 1
    assert play(order).status == Status.COMPLETE


@thread(3, seen="saleor/saleor#13626 (2023)")
def test_a_late_payment_for_goods_that_are_gone_is_a_state_with_an_owner(rehearsal: Rehearsal, crab: Product) -> None:
    """There: "insufficient stock" after the payment was an error that nobody caught.

    Here: the order stays paid, a case names what is missing, nothing is refunded, and Resume finishes it.
    """
    order = play(shop.order_at_konbini(rehearsal, crab))
    rehearsal.expire_voucher(order.intent.stripe_id)
    Order.objects.filter(pk=order.pk).update(pay_by=timezone.now())
    order = knock(order)
    shelf(crab, 0)
    rehearsal.report_late(order.intent.stripe_id)

    order = knock(order)
    assert (order.status, shop.levels(crab)) == (Status.PAID, (0, 0, 0))
    assert open_case(order).code == "paid_unallocated"
    shelf(crab, 1)
    assert resume(order).status == Status.COMPLETE
    assert (shop.levels(crab), refunds(rehearsal)) == ((0, 0, 1), 0)


@thread(5, seen="medusajs/medusa#12481 (2025)")
def test_a_failed_3d_secure_leaves_an_order_that_can_still_be_paid(rehearsal: Rehearsal, crab: Product) -> None:
    """There: after a failed authentication the cart could never be completed again, although money was taken.

    Here: the flow is played again from the top, and another card pays the very same order.
    """
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    shop.press(rehearsal, cart, quote, THREE_D_SECURE)
    order = play(Order.objects.get())
    customer_passes(rehearsal, order, passed=False)
    order = knock(order)
    assert (order.status, shop.levels(crab)) == (Status.NOT_PAID, (10, 0, 0))
    shop.press(rehearsal, cart, quote)
    order = play(order)
    assert (order.status, order.attempts, len(shop.charges(rehearsal))) == (Status.COMPLETE, 2, 1)


@thread(6, seen="medusajs/medusa PR #12263, #11832, #15527 (2025-2026)")
def test_a_step_that_fails_after_the_payment_refunds_nothing(rehearsal: Rehearsal, crab: Product) -> None:
    """There: a failing run refunded the payment as "compensation", once even the one that a rival run had made.

    Here: no machine refunds. The order stops, and goes forward when a person resumes it.
    """
    order = shop.order_one(rehearsal, crab)
    with refused_by_the_database("fulfilment_delivery"):
        order = play(order)
        assert (order.status, refunds(rehearsal)) == (Status.PAID, 0)
    assert resume(order).status == Status.COMPLETE
    assert (len(shop.charges(rehearsal)), refunds(rehearsal)) == (1, 0)


@thread(7, seen="medusajs/medusa#16825 (2026)")
def test_nothing_is_published_before_every_line_is_held(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the order was created in parallel with a reservation that failed, and stood there as an orphan.

    Here: one short line holds nothing, publishes nothing and asks nobody for money.
    """
    urchin = shop.sell("UNI", stock=1)
    cart = shop.fill_cart((crab, 2), (urchin, 1))
    shop.press(rehearsal, cart, shop.agree(cart))
    shelf(urchin, 0)
    order = play(Order.objects.get())
    assert (order.status, shop.levels(crab), shop.levels(urchin)) == (Status.NOT_PAID, (10, 0, 0), (0, 0, 0))
    assert not MyPageEntry.objects.exists()
    assert not Delivery.objects.exists()
    assert not shop.charges(rehearsal)


@thread(8, seen="mercurjs/mercur#909 (2026)")
def test_an_event_after_the_end_does_nothing_even_if_a_row_has_gone_missing(
    rehearsal: Rehearsal, crab: Product
) -> None:
    """There: a link row was missing, so the webhook completed again, deleted rows and refunded the payment.

    Here: whether it is done stands in the ledger, in the effect's own transaction; the event changes nothing.
    """
    order = play(shop.order_one(rehearsal, crab))
    MyPageEntry.objects.all().delete()
    ledger = order.ledger.count()
    order = tell(order)
    assert (order.status, order.ledger.count(), order.lines.count()) == (Status.COMPLETE, ledger, 1)
    assert (shop.levels(crab), refunds(rehearsal)) == ((9, 0, 1), 0)


@thread(9, 24, seen="mercurjs/mercur#195 (2025); openfoodfoundation/openfoodnetwork#5874, #6912, #8109 (2020-2021)")
def test_the_worker_dies_after_the_charge_and_another_finishes(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the charge went through, the order stayed a cart.

    Here: the order was there before the charge; whoever plays it next looks at Stripe and goes on.
    """
    order = lost_after_the_charge(rehearsal, shop.order_one(rehearsal, crab))
    assert order.status == Status.PLACED
    assert len(shop.charges(rehearsal)) == 1
    rehearsal.faults.clear()
    assert play(order).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1


@thread(11, seen="vendurehq/vendure#3235 (2024)")
def test_a_paid_order_that_does_not_go_on_rings_a_person(rehearsal: Rehearsal, crab: Product) -> None:
    """There: paid orders went unnoticed, because they never became "placed".

    Here: the failure itself opens a case and orders the bell, in one transaction.
    """
    order = shop.order_one(rehearsal, crab)
    with refused_by_the_database("fulfilment_delivery"):
        order = play(order)
    case = open_case(order)
    assert case.step == "RecordOrder"
    ring_new()
    [letter] = mail.outbox
    assert order.number in letter.subject
    assert "北野" not in letter.body


@thread(23, seen="openedx-unsupported/ecommerce#140 (2015)")
def test_what_stripe_said_is_kept_although_the_order_cannot_be_recorded(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the payment had to be recorded apart, on purpose, so that it survives a failed order.

    Here: the attempt and its charge are committed before anything is concluded from them.
    """
    order = shop.order_one(rehearsal, crab)
    with refused_by_the_database("order_order", "UPDATE", "NEW.status = 'paid'"):
        order = play(order)
    attempt = Attempt.objects.get(order=order)
    [charge] = shop.charges(rehearsal)
    assert (order.status, attempt.outcome, attempt.charge) == (Status.PLACED, Outcome.PAID, charge["id"])
    assert resume(order).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1


@thread(38, seen="EC-CUBE/ec-cube#7032 (2026), #6837")
def test_a_commit_that_fails_after_the_charge_gives_no_stock_back(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the rollback took the payment's reference with it, and the pending capture counted as a failure.

    Here: the reference was committed before the call, the goods stay held, and the next play finds the money.
    """
    order = shop.order_one(rehearsal, crab)
    with refused_by_the_database("flows_done", when="NEW.step = 'TakePayment'"):
        order = play_once(order)
    assert order.intent.stripe_id
    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    assert play(order).status == Status.COMPLETE
    assert (shop.levels(crab), len(shop.charges(rehearsal))) == ((9, 0, 1), 1)


@thread(15, seen="pretix/pretix#1230 (2019)")
def test_a_rush_with_a_stripe_that_fails_leaves_nobody_pending(rehearsal: Rehearsal, crab: Product) -> None:
    """There: 13,000 tickets in two hours left some five in a hundred payments pending; no test had failed like it.

    Here: lost answers, 429 and 409 among nine orders at once, and every one arrives, charged once.
    """
    orders = [shop.order_one(rehearsal, crab) for _ in range(9)]
    for number, kind in enumerate(("drop_after", "rate_limit", "drop_before", "conflict", "malformed")):
        rehearsal.faults.set(Fault(kind, path="*/confirm", times=1, skip=number))  # type: ignore[arg-type]
    shop.work_off()
    assert set(Order.objects.values_list("status", flat=True)) == {Status.COMPLETE}
    assert (len(orders), len(shop.charges(rehearsal)), shop.levels(crab)) == (9, 9, (1, 0, 9))


@thread(27, seen="PrestaShop/PrestaShop#25530 (2021)")
def test_the_customer_closes_the_window_at_the_bank_after_paying(visitor: Visitor, crab: Product) -> None:
    """There: whoever closed the window after a redirect had paid, and there was no order and no error.

    Here: Stripe's event plays the flow, and the order waits on my page.
    """
    visitor.press(visitor.to_confirm(), number=THREE_D_SECURE)
    order = play(Order.objects.get())
    customer_passes(visitor.rehearsal, order)
    assert tell(order).status == Status.COMPLETE
    assert order.number in visitor.read("/mypage/")


@thread(28, seen="bigcommerce/checkout-sdk-js#1690 (2022)")
def test_the_order_is_committed_before_the_confirm_and_the_intent_names_its_cart(
    rehearsal: Rehearsal, crab: Product
) -> None:
    """There: they had to learn to create the order before the confirm and to put its id into the intent.

    Here: when the confirm reaches Stripe, another connection already finds the order; the intent names our rows.
    """
    found: list[tuple[str, bool]] = []

    def look(request: object, _: object) -> None:
        if str(getattr(request, "path", "")).endswith("/confirm"):
            # The step's own thread: a connection that sees only what is committed.
            found.extend(Order.objects.values_list("status", "intent__ready"))
            found.append(("asked", Attempt.objects.get().asked_at is not None))

    rehearsal.observers.append(look)
    order = play(shop.order_one(rehearsal, crab))
    assert found == [("placed", True), ("asked", True)]
    [payment] = shop.stripe_payments(rehearsal)
    assert payment["metadata"]["todoku_intent"] == str(order.intent_id)
    assert payment["metadata"]["todoku_cart"] == str(order.cart_id)


@thread(31, seen="craftcms/commerce-stripe#337 (2025)")
def test_the_return_fails_and_the_event_finishes_it(visitor: Visitor, crab: Product) -> None:
    """There: when the browser's return request failed, there was nothing else that could complete the order.

    Here: the return meets a Stripe that does not answer; the event that comes later completes it.
    """
    page = visitor.press(visitor.to_confirm(), number=THREE_D_SECURE).headers["Location"]
    order = play(Order.objects.get())
    customer_passes(visitor.rehearsal, order)
    visitor.rehearsal.faults.set(Fault("drop_before", method="GET", path="/v1/payment_intents/*", times=3))
    assert visitor.client.get(page + "back/").headers["Location"] == page
    assert play_once(order).status == Status.PLACED
    assert visitor.client.get(page + "status/").json()["state"] != "thanks"
    visitor.rehearsal.faults.clear()
    assert tell(order).status == Status.COMPLETE


@thread(17, seen="fossasia/eventyay#3884 (2026)")
def test_no_page_says_thank_you_before_stripe_has_the_money(visitor: Visitor, crab: Product) -> None:
    """There: the API answered "201 confirmed" although the order was not paid.

    Here: what the page and its script are told is read from the order: checking, not paid, and only then thanks.
    """
    page = visitor.press(visitor.to_confirm(), number=shop.DECLINED).headers["Location"]
    said = [visitor.client.get(page + "status/").json()["state"]]
    play(Order.objects.get())
    said.append(visitor.client.get(page + "status/").json()["state"])
    assert "order-thanks" not in visitor.read(page)
    assert visitor.client.get("/mypage/").status_code == 200
    visitor.press(visitor.shown_quote())
    play(Order.objects.get())
    said.append(visitor.client.get(page + "status/").json()["state"])
    assert said == ["checking", "not_paid", "thanks"]
    assert page == links.path(Order.objects.get())
