"""Ways in which a shop and Stripe can drift apart, each planted by hand into a healthy order."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

from django.db import connection
from django.db.models import F, Model
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from todoku.catalog.models import Product
from todoku.flows.models import Done
from todoku.fulfilment.models import Delivery
from todoku.gateways import stripe as gateway
from todoku.notify.models import Mail
from todoku.order.models import MyPageEntry, Order, OrderLine, WriteOff
from todoku.payment.models import Intent
from todoku.refund.models import Refund
from todoku.stock.models import Level, Movement, Reservation
from todoku.webhooks.models import StripeEvent

#: Each order that a plant needs: made at the press and played until it rests.
MAKE: dict[str, Callable[[Rehearsal, Product], Order]] = {
    "complete": lambda rehearsal, crab: shop.order_one(rehearsal, crab),
    "not_paid": lambda rehearsal, crab: shop.order_one(rehearsal, crab, number=shop.DECLINED),
    "waiting": lambda rehearsal, crab: shop.order_at_konbini(rehearsal, crab),
}


def long_ago(hours: float = 25) -> object:
    return timezone.now() - timedelta(hours=hours)


def on(thing: Model, **facts: object) -> None:
    """Change a row behind everybody's back."""
    type(thing)._base_manager.filter(pk=thing.pk).update(**facts)


def pay(rehearsal: Rehearsal, stripe_id: str) -> None:
    """Pay a PaymentIntent without the shop."""
    gateway.for_worker().confirm(
        stripe_id, key=str(uuid.uuid4()), confirmation_token=shop.type_card(rehearsal), return_url="https://x.test/"
    )


def at_stripe(rehearsal: Rehearsal, stripe_id: str, **facts: object) -> None:
    """Change what Stripe itself says of a PaymentIntent."""
    table = rehearsal.store.table("payment_intents")
    table.put(stripe_id, {**table.rows[stripe_id], **facts})


def charge_of(order: Order) -> str:
    return str(order.payment_attempts.get(outcome="paid").charge)


# --- our own side: planted into a transaction that is rolled back -------------------------------------------------


def _first_hold(order: Order, **more: object) -> None:
    line = order.lines.get()
    facts = {"order": order, "attempt": 9, "product_id": line.product_id, "quantity": line.quantity, **more}
    Reservation.objects.create(**facts)  # type: ignore[misc]


def _held_twice(order: Order) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX one_held_reservation")
    _first_hold(order)


def _event(order: Order) -> None:
    event = StripeEvent.objects.create(
        event_id="evt_lost", type="payment_intent.succeeded", object_id=order.intent.stripe_id, livemode=False
    )
    on(order, placed_at=long_ago(2))
    on(event, received_at=long_ago(1))


def _paid_again(order: Order) -> None:
    other = Order.objects.filter(status="complete").exclude(pk=order.pk).first()
    assert other is not None
    on(order, cart=other.cart, cart_version=99)


def _refund_row(order: Order, **facts: object) -> Refund:
    """A refund of ours, planted as a row."""
    from tests.refund import desk

    now = timezone.now()
    return Refund.objects.create(
        **{
            "order": order, "number": 1, "token": uuid.uuid4(), "amount": 500, "other": 500, "reason": "goodwill",
            "note": "planted", "requested_by": desk.person(), "approved_by": desk.person(), "approved_at": now,
            "asked_at": now, "asked_with": "0" * 64, **facts,
        }
    )  # fmt: skip


def _refund_overdue(order: Order) -> None:
    _refund_row(order, state="asked", next_look_at=long_ago(1))


def _refund_missing(order: Order) -> None:
    _refund_row(order, state="succeeded", stripe_id="re_gone", finished_at=timezone.now(), asked_at=long_ago(1))


#: code: (which order, how), for what one database transaction can plant and take back.
OURS: dict[str, tuple[str, Callable[[Order], object]]] = {
    "paid_and_stuck": ("complete", lambda o: on(o, status="recorded", recorded_at=long_ago())),
    "failed_without_case": ("waiting", lambda o: o.executions.update(status="FAILED")),
    "asked_too_long": ("waiting", lambda o: o.payment_attempts.update(outcome="asked", asked_at=long_ago())),
    "no_next_look": ("waiting", lambda o: on(o, next_look_at=None)),
    "overdue_look": ("waiting", lambda o: on(o, next_look_at=long_ago(1))),
    "order_without_play": ("waiting", lambda o: (o.executions.all().delete(), on(o, placed_at=long_ago()))),
    "withdrawn_alive": (
        "waiting",
        lambda o: (o.payment_attempts.get().voucher.delete(), on(o, withdrawn_at=long_ago())),
    ),
    "attempt_paid_order_not": ("not_paid", lambda o: o.payment_attempts.update(outcome="paid")),
    "event_without_knock": ("waiting", _event),
    "play_lost": ("waiting", lambda o: o.executions.update(status="RUNNING", started_at=long_ago(1))),
    "play_too_long": ("waiting", lambda o: _long_play(o)),
    "ledger_paid_order_not": (
        "waiting",
        lambda o: Done.objects.create(
            order=o, step="TakePayment", answer={"outcome": "paid"}, began_at=o.placed_at, ended_at=o.placed_at
        ),
    ),
    "paid_without_ledger": ("complete", lambda o: o.ledger.filter(step="TakePayment").delete()),
    "paid_attempt_not_paid": ("complete", lambda o: o.payment_attempts.update(outcome="declined")),
    "order_without_attempt": ("not_paid", lambda o: o.payment_attempts.all().delete()),
    "order_without_stripe_id": ("not_paid", lambda o: on(o.intent, stripe_id=None)),
    "lines_differ": ("complete", lambda o: o.lines.update(unit_price=F("unit_price") + 1)),
    "quote_differs": ("complete", lambda o: on(o.quote, total=F("total") + 1, shipping=F("shipping") + 1)),
    "recorded_without_slip": ("complete", lambda o: Delivery.objects.filter(order=o).delete()),
    "slip_without_record": (
        "not_paid",
        lambda o: Delivery.objects.create(order=o, number=1, temperature="chilled", size=80, contents=[]),
    ),
    "complete_without_my_page": ("complete", lambda o: MyPageEntry.objects.filter(order=o).delete()),
    "complete_without_mail": ("complete", lambda o: Mail.objects.filter(order=o).update(sent_at=None)),
    "recorded_with_open_cart": ("complete", lambda o: on(o.cart, closed_at=None)),
    "cart_closed_without_order": ("not_paid", lambda o: on(o.cart, closed_at=timezone.now())),
    "held_by_dead_order": ("not_paid", lambda o: o.reservations.update(state="held")),
    "held_after_sale": ("complete", lambda o: o.reservations.update(state="held")),
    "placed_without_hold": ("waiting", lambda o: o.reservations.update(state="returned")),
    "hold_differs": ("waiting", lambda o: o.reservations.update(quantity=2)),
    "held_twice": ("waiting", _held_twice),
    "sold_differs": ("complete", lambda o: Movement.objects.filter(order=o, kind="sold").update(sold=2)),
    "sold_without_record": ("waiting", lambda o: Movement.objects.filter(order=o, kind="taken").update(sold=1)),
    "on_hand_off": ("complete", lambda o: Level.objects.update(on_hand=F("on_hand") - 1)),
    "reserved_off": ("complete", lambda o: Level.objects.update(reserved=F("reserved") + 1)),
    "sold_off": ("complete", lambda o: Level.objects.update(sold=F("sold") + 1)),
    "reserved_not_held": ("waiting", lambda o: o.reservations.update(quantity=3)),
    "sold_less_than_recorded": ("complete", lambda o: OrderLine.objects.filter(order=o).update(quantity=50)),
    "charged_twice": ("complete", _paid_again),
    "refund_overdue": ("complete", _refund_overdue),
    "refund_missing": ("complete", _refund_missing),
}


def _long_play(order: Order) -> None:
    order.executions.update(status="RUNNING", started_at=long_ago(3))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (task_name, queue_name, lock, args, status, priority)"
            " VALUES ('todoku.play', 'plays', %s, '{}', 'todo', 0)",
            [f"order-{order.pk}"],
        )


# --- Stripe's side: planted for good, each into an order of its own ----------------------------------------------


def _left_behind(rehearsal: Rehearsal, order: Order) -> Intent:
    """An intent of a cart that nobody finishes, beside the order."""
    line = order.lines.get()
    return shop.agree(shop.fill_cart((line.product, 1))).cart.intents.get()


def _paid_without_order(rehearsal: Rehearsal, order: Order) -> str:
    intent = _left_behind(rehearsal, order)
    assert intent.stripe_id
    pay(rehearsal, intent.stripe_id)
    return intent.stripe_id


def _unknown(rehearsal: Rehearsal, order: Order) -> str:
    payment = gateway.for_worker().create(
        key="unknown", amount=5400, metadata={"todoku_intent": str(uuid.uuid4())}, methods=("card",)
    )
    pay(rehearsal, payment.id)
    return payment.id


def _answer_lost(rehearsal: Rehearsal, order: Order) -> str:
    intent = _left_behind(rehearsal, order)
    on(intent, stripe_id=None, ready=False, created_at=long_ago(), changed_at=long_ago())
    return str(intent.stripe_id)


def _canceled_here(rehearsal: Rehearsal, order: Order) -> str:
    intent = _left_behind(rehearsal, order)
    on(intent, canceled_at=timezone.now())
    return str(intent.stripe_id)


def _missing(rehearsal: Rehearsal, order: Order) -> str:
    on(order.intent, stripe_id="pi_gone", created_at=long_ago(1))
    return "pi_gone"


def _id(order: Order) -> str:
    assert order.intent.stripe_id
    return order.intent.stripe_id


def _paid_not_known(rehearsal: Rehearsal, order: Order) -> str:
    pay(rehearsal, _id(order))
    return _id(order)


def _voucher_paid(rehearsal: Rehearsal, order: Order) -> str:
    rehearsal.pay_at_till(_id(order))
    on(order, next_look_at=long_ago(1))
    return _id(order)


def _canceled_not_known(rehearsal: Rehearsal, order: Order) -> str:
    gateway.for_worker().cancel(_id(order), key=str(uuid.uuid4()))
    return _id(order)


def _waiting_not_known(rehearsal: Rehearsal, order: Order) -> str:
    at_stripe(rehearsal, _id(order), status="processing")
    return _id(order)


def _complete_not_paid(rehearsal: Rehearsal, order: Order) -> str:
    intent = _left_behind(rehearsal, order)
    on(intent, stripe_id=None)
    on(order.intent, stripe_id=intent.stripe_id)
    return str(intent.stripe_id)


def _dearer(rehearsal: Rehearsal, order: Order) -> str:
    on(order, total=F("total") + 100, shipping=F("shipping") + 100)
    return _id(order)


def _changed(rehearsal: Rehearsal, order: Order) -> str:
    gateway.for_worker().update(_id(order), key=str(uuid.uuid4()), amount=9999, metadata={}, methods=("card",))
    return _id(order)


def _says(**facts: object) -> Callable[[Rehearsal, Order], str]:
    def plant(rehearsal: Rehearsal, order: Order) -> str:
        at_stripe(rehearsal, _id(order), **facts)
        return _id(order)

    return plant


def _canceled(rehearsal: Rehearsal, order: Order) -> str:
    on(order, status="canceled")
    return _id(order)


def _refund(amount: int | None, then: str = "") -> Callable[[Rehearsal, Order], str]:
    def plant(rehearsal: Rehearsal, order: Order) -> str:
        refund = rehearsal.refund_by_hand(charge_of(order), amount)
        if then:
            rehearsal.move_refund(refund["id"], then)
        return str(refund["id"])

    return plant


def _own_refund(then: str, **facts: object) -> Callable[[Rehearsal, Order], str]:
    def plant(rehearsal: Rehearsal, order: Order) -> str:
        made = rehearsal.refund_by_hand(charge_of(order), 500)
        if then:
            rehearsal.move_refund(made["id"], then)
        _refund_row(
            order, **{"state": "succeeded", "stripe_id": made["id"], "finished_at": timezone.now(), **facts}
        )
        return str(made["id"])

    return plant


def _refund_to_konbini(rehearsal: Rehearsal, order: Order) -> str:
    rehearsal.pay_at_till(_id(order))
    from todoku.engines import engine

    engine.play("checkout", order, knock="webhook")
    shop.work_off()
    return str(rehearsal.refund_by_hand(charge_of(order))["id"])


def _dispute(lost: bool) -> Callable[[Rehearsal, Order], str]:
    def plant(rehearsal: Rehearsal, order: Order) -> str:
        dispute = rehearsal.dispute(charge_of(order))
        if lost:
            rehearsal.decide_dispute(dispute["id"], won=False)
        return str(dispute["id"])

    return plant


#: code: (which order, how; returns what the finding is about).
def _paid_after_write_off(_: Rehearsal, order: Order) -> str:
    on(order, status="written_off")
    WriteOff.objects.create(order=order, who="owner", why="refunded by hand", kept=100, goods_back=False)
    return str(order.intent.stripe_id)


THEIRS: dict[str, tuple[str, Callable[[Rehearsal, Order], str]]] = {
    "paid_without_order": ("complete", _paid_without_order),
    "paid_after_write_off": ("complete", _paid_after_write_off),
    "unknown_intent": ("complete", _unknown),
    "answer_lost": ("complete", _answer_lost),
    "canceled_here_open_there": ("complete", _canceled_here),
    "missing_at_stripe": ("complete", _missing),
    "paid_not_known": ("not_paid", _paid_not_known),
    "voucher_paid": ("waiting", _voucher_paid),
    "canceled_not_known": ("not_paid", _canceled_not_known),
    "waiting_not_known": ("not_paid", _waiting_not_known),
    "complete_not_paid": ("complete", _complete_not_paid),
    "amount_paid_differs": ("complete", _dearer),
    "amount_received_differs": ("complete", _says(amount_received=5000)),
    "intent_amount_changed": ("not_paid", _changed),
    "currency_differs": ("complete", _says(currency="usd")),
    "livemode_differs": ("complete", _says(livemode=True)),
    "canceled_but_payable": ("not_paid", _canceled),
    "voucher_open_order_canceled": ("waiting", _canceled),
    "refunded_whole": ("complete", _refund(None)),
    "refunded_part": ("complete", _refund(500)),
    "refund_waits": ("waiting", _refund_to_konbini),
    "refund_failed": ("complete", _refund(None, "fails")),
    "refund_not_known": ("complete", _own_refund("fails")),
    "refund_differs": ("complete", _own_refund("", amount=400)),
    "dispute_opened": ("complete", _dispute(lost=False)),
    "dispute_lost": ("complete", _dispute(lost=True)),
}

#: What a plant brings along besides, because one wrong thing makes another wrong.
ALSO: dict[str, set[str]] = {
    "held_by_dead_order": {"reserved_not_held"},
    "held_after_sale": {"reserved_not_held"},
    "placed_without_hold": {"reserved_not_held"},
    "hold_differs": {"reserved_not_held"},
    "held_twice": {"reserved_not_held"},
    "reserved_off": {"reserved_not_held"},
    "reserved_not_held": {"hold_differs"},
    "sold_differs": {"sold_off"},
    "sold_without_record": {"sold_off"},
    "sold_less_than_recorded": {"sold_differs", "lines_differ"},
    "charged_twice": {"cart_closed_without_order"},
    # The money that Stripe took under the id that the shop has forgotten.
    "missing_at_stripe": {"paid_without_order"},
    "complete_not_paid": {"paid_without_order"},
    "voucher_paid": {"overdue_look"},
    "amount_paid_differs": {"quote_differs"},
    "voucher_open_order_canceled": {"held_by_dead_order"},
}
