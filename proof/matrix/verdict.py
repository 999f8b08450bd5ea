"""How a journey has ended: done, nothing charged, or mended by a person; and whether everything adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Sum

from proof.matrix.cells import Cell
from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests import shop
from todoku.catalog.models import Product
from todoku.engines.models import Execution
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Case, Mail
from todoku.order.models import MyPageEntry, Order, Status
from todoku.stock.models import Movement, Reservation

DONE, NOTHING, MENDED = "done", "nothing charged and stock back", "case open, Resume finished it"
STEPS = {"TakeStock", "TakePayment", "RecordOrder", "CloseCart", "PublishToMyPage", "SendMail"}
#: The kinds that strike the mail between the server's yes and our note of it.
_MAY_SEND_AGAIN = frozenset("begjkl")


@dataclass
class Verdict:
    """One journey's end."""

    end: str
    wrong: list[str] = field(default_factory=list)
    resumed: int = 0
    seconds: float = 0.0


def judge(rehearsal: Rehearsal, mailbox: Mailbox, product: Product, stock: int, cells: Sequence[Cell]) -> Verdict:
    """Look at everything that the journey has left, at Stripe, in the mailbox and in the database."""
    orders = list(Order.objects.filter(lines__product=product).select_related("intent", "cart"))
    charges = [charge for charge in rehearsal.rows("charges", 1000) if charge["status"] == "succeeded"]
    cases = Case.objects.filter(order__in=orders)
    paid = [order for order in orders if order.status == Status.COMPLETE]
    end = (MENDED if cases.exists() else DONE) if paid else NOTHING
    wrong = [
        *_money(rehearsal, orders, charges),
        *_stock(product, stock, orders),
        *_rest(orders),
        *(found for order in paid for found in _complete(order, mailbox, cells)),
        *(found for order in orders if order not in paid for found in _unpaid(order, rehearsal)),
        *(f"case {case.code} is still open" for case in cases.filter(closed_at=None)),
        *(f"case {case.code} never rang" for case in cases.filter(rung_at=None)),
    ]
    if not orders and charges:
        wrong.append("money without an order")
    return Verdict(end, wrong)


def _money(rehearsal: Rehearsal, orders: Sequence[Order], charges: Sequence[dict[str, object]]) -> list[str]:
    wrong = []
    by_intent = Counter(str(charge["payment_intent"]) for charge in charges)
    for order in orders:
        mine = [charge for charge in charges if charge["payment_intent"] == order.intent.stripe_id]
        if len(mine) > 1:
            wrong.append(f"{len(mine)} charges for one order")
        paid = order.status in (Status.PAID, Status.RECORDED, Status.COMPLETE)
        if paid != bool(mine):
            wrong.append(f"the order is {order.status}, and there are {len(mine)} charges")
        if any(charge["amount"] != order.total for charge in mine):
            wrong.append(f"charged {[charge['amount'] for charge in mine]} for {order.total}")
        by_intent.pop(order.intent.stripe_id or "", None)
    if by_intent:
        wrong.append(f"charges that belong to no order: {dict(by_intent)}")
    if rehearsal.rows("refunds"):
        wrong.append("a machine has refunded")
    return wrong


def _stock(product: Product, stock: int, orders: Sequence[Order]) -> list[str]:
    on_hand, reserved, sold = shop.levels(product)
    delivered = sum(order.recorded_at is not None for order in orders)
    wrong = []
    if on_hand + reserved + sold != stock or min(on_hand, reserved, sold) < 0:
        wrong.append(f"the stock does not add up: {on_hand} + {reserved} + {sold} of {stock}")
    if (reserved, sold) != (0, delivered):
        wrong.append(f"{reserved} reserved and {sold} sold at rest, with {delivered} recorded orders")
    moved = Movement.objects.filter(product=product).aggregate(Sum("on_hand"), Sum("reserved"), Sum("sold"))
    if (moved["on_hand__sum"], moved["reserved__sum"], moved["sold__sum"]) != (on_hand, reserved, sold):
        wrong.append(f"the movements tell {moved}")
    if Reservation.objects.filter(product=product, state=Reservation.State.HELD).exists():
        wrong.append("a reservation is held at rest")
    return wrong


def _rest(orders: Sequence[Order]) -> list[str]:
    wrong = []
    if len(orders) > 1:
        wrong.append(f"{len(orders)} orders of one cart")
    if shop.waiting_jobs():
        wrong.append(f"{shop.waiting_jobs()} jobs are left")
    wrong += [
        f"{execution} is {execution.status}"
        for execution in Execution.objects.filter(order__in=orders, status="RUNNING")
    ]
    wrong += [
        f"the order rests as {order.status}"
        for order in orders
        if order.status in (Status.PLACED, Status.PAID, Status.RECORDED)
    ]
    return wrong


def _complete(order: Order, mailbox: Mailbox, cells: Sequence[Cell]) -> list[str]:
    wrong = []
    ledger = Counter(order.ledger.values_list("step", flat=True))
    if ledger != Counter(STEPS):
        wrong.append(f"the ledger says {dict(ledger)}")
    if order.cart.closed_at is None:
        wrong.append("the cart is open")
    if (Delivery.objects.filter(order=order).count(), MyPageEntry.objects.filter(order=order).count()) != (1, 1):
        wrong.append("delivery slip or my page are not there once")
    for mail in Mail.objects.filter(order=order):
        letters = [letter for letter in mailbox.list(1000) if letter["message_id"] == mail.message_id]
        # Between the mail server's yes and our note of it, each strike may send it once more; nothing else may.
        again = sum(len(cell.strike.does) for cell in cells if cell.step == 11 and cell.kind in _MAY_SEND_AGAIN)
        # A mail that was no longer so when its turn came (it was paid by then) is not sent.
        least = 0 if mail.overtaken_at is not None and mail.sent_at is None else 1
        if not least <= len(letters) <= 1 + (again if mail.kind == "order_complete" else 0):
            wrong.append(f"the mail {mail.kind} came {len(letters)} times")
    known = set(Mail.objects.filter(order=order).values_list("message_id", flat=True))
    strangers = [
        letter
        for letter in mailbox.list(1000)
        if order.email in letter["to"] and order.number in letter["subject"] and letter["message_id"] not in known
    ]
    if strangers or "order_complete" not in Mail.objects.filter(order=order).values_list("kind", flat=True):
        wrong.append(f"{len(strangers)} mails that nobody has written down")
    return wrong


def _unpaid(order: Order, rehearsal: Rehearsal) -> list[str]:
    """An order that is not paid cannot be paid by what was asked for it, and its shopper is told so."""
    intent = rehearsal.find("payment_intents", order.intent.stripe_id or "") or {}
    wrong = []
    if order.status in (Status.NOT_PAID, Status.CANCELED) and intent.get("status") not in (
        "canceled", "requires_payment_method", "requires_confirmation",
    ):  # fmt: skip
        wrong.append(f"the order is {order.status} and Stripe says {intent.get('status')}")
    if not order.setback:
        wrong.append("nobody tells the shopper why")
    return wrong
