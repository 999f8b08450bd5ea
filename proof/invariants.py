"""What must be true of the shop whatever happens (I1 to I15): asked of its database and of the rehearsal Stripe.

``on_the_way`` may be asked at any moment between two transactions, ``at_rest`` when nothing is left to do. Both
answer with sentences, one for each promise that is broken; none is good.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.mail import EmailMessage
from django.db import connection

from rehearsal.api import Rehearsal

PAID = ("paid", "recorded", "complete")
#: Stripe's words for a payment that was made or may still come without anybody asking anew.
NOT_FAILED = ("succeeded", "processing")
#: Stripe's words for a payment that its customer or the bank can still make.
PAYABLE_BY_OTHERS = ("requires_action", "processing")
_SECRET = re.compile(r"(?:pi|seti)_\w+_secret_\w+|(?<!\d)(?:4\d{15}|5\d{15}|35\d{14}|3[47]\d{13})(?!\d)")


def _rows(statement: str) -> list[tuple[Any, ...]]:
    if connection.connection is None:
        connection.connect()
    assert connection.connection is not None
    return list(connection.connection.execute(statement).fetchall())


def _intents(rehearsal: Rehearsal) -> dict[str, dict[str, Any]]:
    return rehearsal.store.table("payment_intents").rows


_ORDERS = """
    SELECT o.number, o.status, o.total, i.stripe_id, o.recorded_at IS NOT NULL,
           EXISTS (SELECT FROM stock_reservation r
                    WHERE r.order_id = o.id AND r.attempt = o.attempts AND r.state = 'returned')
      FROM order_order o JOIN payment_intent i ON i.id = o.intent_id ORDER BY o.id
"""


def on_the_way(rehearsal: Rehearsal) -> list[str]:
    """The cheap ones: I5 (cancel first), I6 (paid only if Stripe says so), I15 (no "failed" of a payment made)."""
    broken = []
    intents = _intents(rehearsal)
    for number, status, total, stripe_id, recorded, returned in _rows(_ORDERS):
        intent = intents.get(stripe_id)
        truth = intent["status"] if intent else "nothing"
        if (status in PAID or recorded) and truth != "succeeded":
            broken.append(f"I6 order {number} is {status} and Stripe calls its payment {truth}")
        if intent and truth == "succeeded" and intent["amount_received"] != total:
            broken.append(f"I3 order {number} is over {total} yen and {intent['amount_received']} were paid")
        if status in ("not_paid", "canceled") and truth in NOT_FAILED:
            broken.append(f"I15 the page of order {number} says {status} and Stripe says {truth}")
        if returned and not recorded and truth in PAYABLE_BY_OTHERS:
            broken.append(f"I5 the goods of order {number} went back while its payment was {truth}")
    return broken


def watched() -> list[str]:
    """What the watchers in the simulator's database have seen at a commit (I3, I4, I11)."""
    return [row[0] for row in _rows("SELECT what FROM sim.broken ORDER BY id")]


#: Each statement names what is wrong; no row is good. What is compared with Stripe is compared below.
_AT_REST: tuple[tuple[str, str], ...] = (
    (
        "I3 the amounts of an order, its lines, its quote and its intent differ",
        """SELECT o.number FROM order_order o JOIN quote_quote q ON q.id = o.quote_id
             JOIN payment_intent i ON i.id = o.intent_id
            WHERE o.total <> q.total OR i.amount <> o.total OR o.total <> o.goods_total + o.shipping OR o.goods_total <>
                  (SELECT sum(l.unit_price * l.quantity) FROM order_orderline l WHERE l.order_id = o.id)""",
    ),
    (
        "I4 stock does not add up",
        """SELECT l.product_id, l.on_hand, l.reserved, l.sold FROM stock_level l, LATERAL (
                  SELECT COALESCE(sum(m.on_hand), 0) AS on_hand, COALESCE(sum(m.reserved), 0) AS reserved,
                         COALESCE(sum(m.sold), 0) AS sold FROM stock_movement m WHERE m.product_id = l.product_id) told
            WHERE l.on_hand <> told.on_hand OR l.reserved <> told.reserved OR l.sold <> told.sold
               OR l.on_hand < 0 OR l.reserved < 0 OR l.sold <> (
                  SELECT COALESCE(sum(line.quantity), 0) FROM order_orderline line
                    JOIN order_order o ON o.id = line.order_id
                   WHERE line.product_id = l.product_id AND o.recorded_at IS NOT NULL)""",
    ),
    (
        "I5 goods are held for nobody who still waits",
        """SELECT o.number, o.status FROM stock_reservation r JOIN order_order o ON o.id = r.order_id
            WHERE r.state = 'held'""",
    ),
    (
        "I6 a parcel for an order that is not recorded",
        """SELECT o.number FROM fulfilment_delivery s JOIN order_order o ON o.id = s.order_id
            WHERE o.recorded_at IS NULL""",
    ),
    (
        "I7 a cart is closed without a recorded order, or open with one",
        """SELECT c.id FROM cart_cart c WHERE (c.closed_at IS NOT NULL) <>
                  EXISTS (SELECT FROM order_order o WHERE o.cart_id = c.id AND o.recorded_at IS NOT NULL)""",
    ),
    (
        "I8 a complete order without its one my-page entry, its one mail, or its parcels",
        """SELECT o.number FROM order_order o WHERE o.status = 'complete' AND (
                  (SELECT count(*) FROM order_mypageentry e WHERE e.order_id = o.id) <> 1
               OR (SELECT count(*) FROM notify_mail m WHERE m.order_id = o.id AND m.kind = 'order_complete'
                      AND m.sent_at IS NOT NULL) <> 1
               OR (SELECT count(*) FROM fulfilment_delivery s WHERE s.order_id = o.id)
                  <> jsonb_array_length(o.parcels))""",
    ),
    (
        "I8 a my-page entry of an order that is not paid",
        """SELECT o.number FROM order_mypageentry e JOIN order_order o ON o.id = e.order_id
            WHERE o.recorded_at IS NULL""",
    ),
    (
        "I9 a failed play whose case is open, or was never opened",
        """SELECT o.number, e.number, e.error FROM engines_execution e JOIN order_order o ON o.id = e.order_id
            WHERE e.status = 'FAILED' AND NOT EXISTS (
                  SELECT FROM notify_case c WHERE c.order_id = o.id AND c.execution_id IS NOT NULL
                     AND c.closed_at IS NOT NULL AND c.failed_at >= e.stopped_at)""",
    ),
    (
        "I9 a case for which nobody was rung",
        """SELECT c.code, c.about FROM notify_case c WHERE c.closed_at IS NULL AND c.rung_at IS NULL""",
    ),
    (
        "I12 something is left to do",
        """SELECT 'job', status::text, task_name FROM procrastinate_jobs
                   WHERE status IN ('todo', 'doing') OR (status = 'failed' AND queue_name IN ('plays', 'bell'))
           UNION ALL SELECT 'play', status, position FROM engines_execution WHERE status = 'RUNNING'
           UNION ALL SELECT 'look', number, status FROM order_order WHERE next_look_at IS NOT NULL
           UNION ALL SELECT 'mail', kind, '' FROM notify_mail WHERE next_try_at IS NOT NULL
           UNION ALL SELECT 'ring', code, step FROM ringing_ring WHERE sent_at IS NULL AND dropped_at IS NULL
           UNION ALL SELECT 'order', number, status FROM order_order
                      WHERE status NOT IN ('complete', 'canceled', 'not_paid')""",
    ),
    (
        "I2 a paid order without exactly one paid attempt, or an unpaid one with one",
        """SELECT o.number, o.status FROM order_order o WHERE (o.status IN ('paid', 'recorded', 'complete'))::int <>
                  (SELECT count(*) FROM payment_attempt a WHERE a.order_id = o.id AND a.outcome = 'paid')""",
    ),
    (
        "I1 the ledger of a complete order is not whole",
        """SELECT o.number FROM order_order o WHERE o.status = 'complete' AND
                  (SELECT count(DISTINCT d.step) FROM flows_done d WHERE d.order_id = o.id AND d.step IN
                     ('TakePayment', 'RecordOrder', 'CloseCart', 'PublishToMyPage', 'SendMail')) <> 5""",
    ),
    (
        "I8 a shopper with a voucher that is worth nothing now was not told so",
        """SELECT o.number FROM order_order o JOIN payment_attempt a ON a.order_id = o.id AND a.number = o.attempts
             JOIN payment_voucher v ON v.attempt_id = a.id
            WHERE o.status = 'canceled' AND NOT EXISTS (SELECT FROM notify_mail m WHERE m.order_id = o.id
                  AND m.kind IN ('konbini_expired', 'konbini_canceled'))""",
    ),
)


def at_rest(rehearsal: Rehearsal, *, but: Iterable[str] = ()) -> list[str]:
    """All that can be asked when nothing is left to do; ``but`` names promises (I12 …) that are not asked now."""
    skipped = tuple(but)
    broken = [] if "I6" in skipped else on_the_way(rehearsal)
    for promise, statement in _AT_REST:
        if promise.partition(" ")[0] not in skipped:
            wrong = _rows(statement)
            if wrong:
                broken.append(f"{promise}: {wrong[:5]}")
    broken += _with_stripe(rehearsal)
    return broken


def _with_stripe(rehearsal: Rehearsal) -> list[str]:
    """I1, I2, I3, I10, I14: the shop's orders and Stripe's money, both ways."""
    broken = []
    intents = _intents(rehearsal)
    orders = _rows(_ORDERS)
    by_intent = {stripe_id: (number, status, total) for number, status, total, stripe_id, *_ in orders}
    for intent in intents.values():
        order = by_intent.get(intent["id"])
        if intent["status"] == "succeeded" and (order is None or order[1] != "complete"):
            broken.append(f"I1 {intent['id']} has succeeded and its order is {order}")
        if intent["status"] in ("processing", "requires_action", "requires_capture") and order is not None:
            broken.append(f"I12 the payment of order {order[0]} is still {intent['status']}")
        if intent["currency"] != "jpy":
            broken.append(f"I3 {intent['id']} is in {intent['currency']}")
        if intent["status"] not in ("succeeded", "canceled") and order is not None and order[1] == "canceled":
            broken.append(f"I1 order {order[0]} is canceled and its payment is {intent['status']}")
    for number, status, _total, stripe_id, *_ in orders:
        if status in PAID and intents.get(stripe_id, {}).get("status") != "succeeded":
            broken.append(f"I1 order {number} is {status} without a payment")
    taken: dict[str, int] = {}
    for charge in rehearsal.store.table("charges").rows.values():
        if charge["status"] == "succeeded":
            taken[charge["payment_intent"]] = taken.get(charge["payment_intent"], 0) + 1
    broken += [f"I2 {intent} has {number} charges" for intent, number in taken.items() if number > 1]
    charged = sum(
        row["amount"] for row in rehearsal.store.table("charges").rows.values() if row["status"] == "succeeded"
    )
    owed = sum(total for _number, status, total, *_ in orders if status in PAID)
    refunds = rehearsal.store.table("refunds").rows
    if charged != owed:
        broken.append(f"I14 {charged} yen were charged and the paid orders are over {owed}")
    if refunds:
        broken.append(f"I10 a machine has refunded {len(refunds)} times")
    return broken


def said(lines: Iterable[str], mails: Sequence[EmailMessage], people: Sequence[tuple[str, str]]) -> list[str]:
    """I13: no log line, case or mail tells a secret, a card's number, or one shopper's name to another.

    ``people`` are names and mail addresses. A customer's mail may hold its reader's own; a log line, a case and a
    mail to the operators nobody's.
    """
    broken = []
    cases = [f"{why} {technical}" for why, technical in _rows("SELECT why, technical FROM notify_case")]
    for text in (*lines, *cases):
        if found := _SECRET.search(text):
            broken.append(f"I13 a log line or case tells a secret: {found[0][:12]}… in {text[:120]!r}")
        for name, email in people:
            if name in text or email in text:
                broken.append(f"I13 a log line or case tells who the shopper is: {text[:160]!r}")
    for mail in mails:
        text = f"{mail.subject}\n{mail.body}"
        if found := _SECRET.search(text):
            broken.append(f"I13 a mail tells a secret: {found[0][:12]}…")
        to_customer = "Message-ID" in mail.extra_headers
        owner = next((name for name, email in people if email in mail.to), None)
        for name, email in people:
            if (name in text or email in text) and (not to_customer or (owner is not None and name != owner)):
                broken.append(f"I13 a mail to {'another' if to_customer else 'the operators'} names {name}")
    return sorted(set(broken))
