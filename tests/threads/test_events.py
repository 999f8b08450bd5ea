"""Events that come twice, out of order, forged, late or never, and the drift that nobody would have noticed."""

from __future__ import annotations

import itertools
import json
import threading
import time
from functools import partial

from django.core import mail
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django import app

from rehearsal.api import Rehearsal
from rehearsal.deliveries import signature
from tests import shop
from tests.pages.visitor import Visitor
from tests.quick import knock, play
from tests.races.together import together
from tests.threads.street import (
    THREE_D_SECURE,
    Witness,
    at_the_bank,
    customer_passes,
    open_case,
    refused_by_the_database,
    resume,
    tell,
)
from tests.threads.thread import thread
from tests.webhooks import sender
from todoku.catalog.models import Product
from todoku.engines.models import Execution
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Case, Mail
from todoku.order.models import Order, Status
from todoku.quote.models import ShippingFee, TaxRate
from todoku.reconciliation.run import reconcile_window
from todoku.stock.models import Level
from todoku.webhooks.catch_up import catch_up
from todoku.webhooks.models import StripeEvent


@thread(12, seen="Pinelab-studio/pinelab-vendure-plugins#620 (2025)")
def test_the_same_event_three_times_at_once_settles_once(rehearsal: Rehearsal, crab: Product) -> None:
    """There: one success event was delivered three times at once, and the payment was settled three times.

    Here: a unique row decides which of them is the event; all three are answered with 200.
    """
    order = at_the_bank(rehearsal, crab)
    customer_passes(rehearsal, order)
    event = sender.event(order.intent.stripe_id or "")
    answers = together(*[partial(sender.knock, event)] * 3)
    assert [getattr(answer, "status_code", answer) for answer in answers] == [200] * 3
    assert sorted(sender.used(answer) for answer in answers) == [False, False, True]
    assert play(order).status == Status.COMPLETE
    assert (StripeEvent.objects.count(), Execution.objects.count(), len(shop.charges(rehearsal))) == (1, 2, 1)


@thread(63, seen="woocommerce-gateway-stripe#902, PR #905 (2019); stripe_official#79; adyen-shopware6#451; tutor#2360")
def test_an_old_failure_does_not_overturn_a_paid_order(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the failure of the first card arrived after the second had paid, and the order became "failed".

    Here: an event only knocks; the order is paid because Stripe says so when it is asked.
    """
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    for number in (shop.DECLINED, shop.VISA):
        shop.press(rehearsal, cart, quote, number)
        order = play(Order.objects.get())
    assert order.status == Status.COMPLETE
    for late in ("payment_intent.payment_failed", "payment_intent.canceled"):
        order = tell(order, late)
    assert (order.status, shop.levels(crab), order.setback) == (Status.COMPLETE, (9, 0, 1), None)


@thread(64, seen="solidusio/solidus_stripe#189 (2023)")
def test_the_order_of_the_events_does_not_matter_nor_do_their_times(rehearsal: Rehearsal, crab: Product) -> None:
    """There: Stripe gives no order of delivery, and "created" is no truth either.

    Here: in each of the six orders, with times that run backwards, three events lead to the same end.
    """
    kinds = ("payment_intent.requires_action", "payment_intent.succeeded", "charge.succeeded")
    ends = set()
    for turn, order_of_events in enumerate(itertools.permutations(kinds)):
        order = at_the_bank(rehearsal, crab)
        customer_passes(rehearsal, order)
        for place, kind in enumerate(order_of_events):
            event = sender.event(
                order.intent.stripe_id or "", f"evt_{turn}_{place}", kind, created=2_000_000_000 - place
            )
            if kind.startswith("charge"):
                event["data"]["object"] = {"id": "ch_x", "object": "charge", "payment_intent": order.intent.stripe_id}
            assert sender.knock(event).status_code == 200
            order = play(order)
        ends.add((order.status, order.ledger.count(), order.attempts))
    assert ends == {(Status.COMPLETE, 6, 1)}
    assert (len(shop.charges(rehearsal)), shop.levels(crab)) == (6, (4, 0, 6))


@thread(65, seen="woocommerce/woocommerce-gateway-stripe#3326, #3342, PR #3333")
def test_two_endpoints_tell_one_fact_and_a_wrong_secret_is_not_silent(rehearsal: Rehearsal, crab: Product) -> None:
    """There: two endpoints with one URL processed everything twice, and a missing secret failed without a word.

    Here: two events about one fact are two looks at one payment; what we cannot verify is refused, so Stripe tells.
    """
    order = at_the_bank(rehearsal, crab)
    customer_passes(rehearsal, order)
    event = sender.event(order.intent.stripe_id or "", "evt_wrong")
    assert sender.knock(event, secret="whsec_another").status_code == 400
    assert sender.knock(event, sign=False).status_code == 400
    assert not StripeEvent.objects.exists()
    assert Order.objects.get().status == Status.PLACED
    for id in ("evt_of_the_first", "evt_of_the_second"):
        order = tell(order, id=id)
    assert (order.status, order.ledger.count(), Mail.objects.count()) == (Status.COMPLETE, 6, 1)


@thread(66, seen="woocommerce/woocommerce-gateway-stripe#542, #890, #2536, #3414 (2018-2024)")
def test_the_return_and_the_events_at_once_send_one_mail(visitor: Visitor, crab: Product) -> None:
    """There: six years of repairing the lock between redirect and webhook; customers got two mails.

    Here: the return twice and four events, all at once, are one play at a time and one mail.
    """
    page = visitor.press(visitor.to_confirm(), number=THREE_D_SECURE).headers["Location"]
    order = play(Order.objects.get())
    customer_passes(visitor.rehearsal, order)
    pi = order.intent.stripe_id or ""
    together(
        *[partial(Client().get, page + "back/")] * 2,
        *(partial(sender.knock, sender.event(pi, f"evt_{number}")) for number in range(4)),
        *[partial(play, order)] * 2,
    )
    order = play(order)
    assert (order.status, len(mail.outbox), len(shop.charges(visitor.rehearsal))) == (Status.COMPLETE, 1, 1)


@thread(67, seen="medusajs/medusa#16398 (2026); smartstore/Smartstore#1308")
def test_failed_and_canceled_at_stripe_end_the_waiting_and_are_not_paid(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the events "failed" and "canceled" were ignored, or a failed 3-D Secure was taken for paid.

    Here: the one is not paid, the other canceled, both with the goods back; neither ships.
    """
    failed, canceled = at_the_bank(rehearsal, crab), at_the_bank(rehearsal, crab)
    customer_passes(rehearsal, failed, passed=False)
    answer = rehearsal.handle(
        "POST",
        f"/v1/payment_intents/{canceled.intent.stripe_id}/cancel",
        {"Authorization": "Bearer sk_test_rehearsal", "Idempotency-Key": "a person in the dashboard"},
    )
    assert answer.status == 200
    assert tell(failed, "payment_intent.payment_failed").status == Status.NOT_PAID
    assert tell(canceled, "payment_intent.canceled").status == Status.CANCELED
    assert (shop.levels(crab), shop.charges(rehearsal)) == ((10, 0, 0), [])


@thread(29, 41, seen="coopcycle/coopcycle-web#3688, #3656 (2023); Shopify community 341703, announcement 910066 (2020)")
def test_paid_at_stripe_and_unknown_to_the_shop_is_found_without_the_customer(
    rehearsal: Rehearsal, crab: Product
) -> None:
    """There: orders were paid in Stripe but unknown to the shop; only customers noticed.

    Here: no event, no return, no look; the comparison finds it and plays it.
    """
    order = at_the_bank(rehearsal, crab)
    customer_passes(rehearsal, order)
    Order.objects.update(next_look_at=None)
    assert reconcile_window().outcomes
    assert play(order).status == Status.COMPLETE
    assert not reconcile_window().outcomes


@thread(30, seen="OriginProtocol/dshop#319 (2020)")
def test_a_comparison_always_runs_and_a_healthy_shop_is_quiet(rehearsal: Rehearsal, crab: Product) -> None:
    """There: a script that was run once found missing orders in several shops.

    Here: it is one of the workers' periodic tasks, a payment that no order knows becomes a case, and all else is quiet.
    """
    periodic = {task.task.name for task in app.periodic_registry.periodic_tasks.values()}
    assert any("reconcile" in name for name in periodic), periodic
    play(shop.order_one(rehearsal, crab))
    assert not reconcile_window().outcomes
    cart = shop.fill_cart((crab, 1))
    intent = shop.prepare(shop.ask.quote(cart))
    answer = rehearsal.handle(
        "POST",
        f"/v1/payment_intents/{intent.stripe_id}/confirm",
        {
            "Authorization": "Bearer sk_test_rehearsal",
            "Content-Type": "application/x-www-form-urlencoded",
            "Idempotency-Key": "somebody else",
        },
        "payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.test%2F",
    )
    assert answer.status == 200, answer.body
    assert reconcile_window().needs_a_person
    assert Case.objects.filter(closed_at=None, about__contains=intent.stripe_id or "x").exists()


@thread(40, seen="Payum/PayumBundle#575 (2025)")
def test_a_session_that_completes_at_stripe_only_is_caught_up_from_stripes_list(
    rehearsal: Rehearsal, crab: Product
) -> None:
    """There: some sessions completed at Stripe and never in the shop.

    Here: events that never arrived are fetched from Stripe's own list, and knock as if they had.
    """
    order = at_the_bank(rehearsal, crab)
    catch_up()
    play(order)
    customer_passes(rehearsal, order)
    Order.objects.update(next_look_at=None)
    assert not StripeEvent.objects.filter(type="payment_intent.succeeded").exists()
    catch_up(timezone.now())
    assert play(order).status == Status.COMPLETE


@thread(22, seen="openedx-unsupported/ecommerce#1931, #1953, #1995 (2018)")
def test_resume_works_with_what_was_frozen_whatever_has_changed_since(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the command that finished stuck orders broke on expired vouchers and changed filters.

    Here: price, name, shipping and tax change and the product is withdrawn; the order ends as it was agreed.
    """
    order = shop.order_one(rehearsal, crab, 2)
    with refused_by_the_database("fulfilment_delivery"):
        play(order)
    case = open_case(order)
    assert (case.order, case.step, case.execution is not None) == (order, "RecordOrder", True)
    agreed = case.order.total if case.order else 0
    Product.objects.update(price=1, name_ja="別物", on_sale=False)
    ShippingFee.objects.all().delete()
    TaxRate.objects.all().delete()
    order = resume(order)
    line = order.lines.get()
    assert (order.status, order.total, line.name_ja, line.unit_price) == (Status.COMPLETE, agreed, "毛がに", 4800)
    assert f"{agreed:,}円" in mail.outbox[0].body
    assert knock(order).status == Status.COMPLETE


@thread(32, seen="unchainedshop/unchained#276 (2020)")
def test_an_event_that_cannot_be_stored_is_not_acknowledged_and_comes_again(
    rehearsal: Rehearsal, crab: Product
) -> None:
    """There: a webhook failed, the customer was charged, and only a comparison of exports could have told.

    Here: the answer is 5xx, so Stripe sends it again, and then the order arrives.
    """
    order = at_the_bank(rehearsal, crab)
    customer_passes(rehearsal, order)
    event = sender.event(order.intent.stripe_id or "")
    with refused_by_the_database(StripeEvent._meta.db_table):
        client = Client(raise_request_exception=False)
        assert _send(client, event) >= 500
    assert Order.objects.get().status == Status.PLACED
    assert _send(Client(), event) == 200
    assert play(order).status == Status.COMPLETE


def _send(client: Client, event: object) -> int:

    body = json.dumps(event).encode()
    signed = signature(body, sender.SECRET, int(time.time()))
    answer = client.post(sender.DOOR, body, content_type="application/json", HTTP_STRIPE_SIGNATURE=signed)
    return int(answer.status_code)


@thread(33, seen="duncanmcclean/statamic-cargo#191 (2026)")
def test_an_event_before_the_order_exists_is_kept_and_not_needed(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the webhook came before the order, was answered 200 and was never sent again.

    Here: it is stored; the order's own play asks Stripe itself and needs no event at all.
    """
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    [payment] = shop.stripe_payments(rehearsal)
    answer = sender.knock(sender.event(payment["id"]))
    assert (answer.status_code, StripeEvent.objects.count()) == (200, 1)
    shop.press(rehearsal, cart, quote)
    assert play(Order.objects.get()).status == Status.COMPLETE


@thread(34, seen="polarsource/polar#10728 (2026), #4791")
def test_an_event_overtakes_the_commit_of_the_press(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the webhook came before the commit, and "coming" could not be told from "dropped".

    Here: an event in the middle of the press is taken, and the play that the press committed finds the truth.
    """
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    [payment] = shop.stripe_payments(rehearsal)
    answers: list[int] = []

    def stripe_sends() -> None:
        answers.append(sender.knock(sender.event(payment["id"])).status_code)
        connections.close_all()

    with transaction.atomic():
        shop.press(rehearsal, cart, quote)
        stripe = threading.Thread(target=stripe_sends)
        stripe.start()
        stripe.join(20)
    assert answers == [200]
    assert play(Order.objects.get()).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1


@thread(39, seen="payloadcms/payload#15902 (2026)")
def test_nobody_is_believed_who_says_that_it_was_paid(rehearsal: Rehearsal, crab: Product, witness: Witness) -> None:
    """There: an order was confirmed without a look whether the intent had succeeded.

    Here: a signed "succeeded" about an unpaid intent makes the flow look, and the order goes on waiting.
    """
    order = at_the_bank(rehearsal, crab)
    looks = len(witness.seen)
    order = tell(order)
    assert len(witness.seen) > looks
    assert (order.status, Level.objects.get().reserved) == (Status.PLACED, 1)
    assert not Delivery.objects.exists()
    assert Execution.objects.count() == 2
