"""Ask for a refund, approve it, or stop it: the only way in which one begins, and a person stands at it.

Every function here is one transaction with the order's row locked against everything, so that no play of the order
can start meanwhile, and two persons at once come one after the other.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core import signing
from django.db import transaction
from django.db.models import Max, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext_noop

from todoku.engines import engine
from todoku.engines.models import Execution
from todoku.engines.models import State as Play
from todoku.notify import bell
from todoku.order.models import Order, WriteOff
from todoku.order.rules import PAID
from todoku.payment.received import received
from todoku.refund.models import Refund, RefundLine, State
from todoku.refund.rules import COUNTED, GIVEN, LOOK_FIRST, LOST, Goods, Wish, all_of, may_move, needs_two, priced
from todoku.shop import chosen

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_SALT = "todoku.refund"

#: The case of a refund that somebody else has to say yes to.
WAITS_CODE = "refund_waits"
WAITS = gettext_noop("A refund waits for a second person. Open it, and approve or reject it.")


class Refused(Exception):
    """The refund cannot be asked for, approved or stopped now; ``code`` says why, ``other`` which one stands before."""

    def __init__(self, code: str, other: Refund | None = None) -> None:
        super().__init__(code)
        self.code, self.other = code, other


@dataclass(frozen=True)
class Purse:
    """What of an order's money and goods can still be given back."""

    left: int
    #: Given back or on its way, or promised.
    given: int
    shipping_left: int
    goods: tuple[Goods, ...]
    #: The number of the order's latest refund.
    latest: int


def purse(order: Order) -> Purse:
    """Count what is left of the order for refunds. Exact only while the order's row is locked."""
    counted = Refund.objects.filter(order=order, state__in=COUNTED)
    sums = counted.aggregate(amount=Sum("amount", default=0), shipping=Sum("shipping", default=0))
    refunded = dict(
        RefundLine.objects.filter(refund__order=order, refund__state__in=COUNTED)
        .order_by()
        .values_list("line")
        .annotate(Sum("quantity"))
    )
    latest = Refund.objects.filter(order=order).aggregate(Max("number"))["number__max"] or 0
    return Purse(
        left=received(order) - sums["amount"],
        given=sums["amount"],
        shipping_left=order.shipping - sums["shipping"],
        goods=tuple(
            Goods(line.pk, line.unit_price, line.quantity, refunded.get(line.pk, 0)) for line in order.lines.all()
        ),
        latest=latest,
    )


def whole(order: Order, *, reason: str, note: str, back: bool, mail: bool = True) -> Wish:
    """Wish for all that is left of the order, with its goods going back on the shelf or not."""
    has = purse(order)
    return all_of(
        has.goods, shipping_left=has.shipping_left, left=has.left, reason=reason, note=note, back=back, mail=mail
    )


def issue(order: Order, by: User) -> str:
    """Give a page the token with which it may ask once, for this person and for the refunds that it has seen."""
    latest = Refund.objects.filter(order=order).aggregate(Max("number"))["number__max"] or 0
    return signing.dumps([order.pk, by.pk, latest, uuid.uuid4().hex], salt=_SALT)


def read(token: str, order: Order, by: User) -> tuple[uuid.UUID, int]:
    """Read a page's token: its name, and the latest refund it has seen. Raises Refused for one that is not theirs."""
    try:
        [order_id, user, seen, name] = signing.loads(token, salt=_SALT, max_age=24 * 60 * 60)
        found = uuid.UUID(name)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise Refused("old_page") from error
    if (order_id, user) != (order.pk, by.pk):
        raise Refused("old_page")
    return found, int(seen)


def find(token: str, order: Order, by: User) -> Refund | None:
    """Find the refund that this page has asked for already."""
    return Refund.objects.filter(token=read(token, order, by)[0], order=order).first()


def may_be_refunded(order: Order) -> bool:
    """Say whether the order has money to give back: it is paid, or was when a person wrote it off.

    An order that was written off because all had been given back has it again when a refund of that is lost.
    """
    return (
        order.status in PAID
        or WriteOff.objects.filter(order=order, kept__gt=0).exists()
        or Refund.objects.filter(order=order, state__in=LOST).exists()
    )


def request(order: Order, *, by: User, wish: Wish, token: str) -> Refund:
    """Ask for a refund; one within the limit is approved by the same press, and played.

    The same page's second press finds the first one's refund. Raises Refused, and ``rules.Wrong`` for a wish that
    the order does not hold.
    """
    name, seen = read(token, order, by)
    with transaction.atomic():
        held = _lock(order)
        known = Refund.objects.filter(token=name).first()
        if known is not None:
            return known
        if not may_be_refunded(held):
            raise Refused("not_paid")
        has = purse(held)
        if has.latest != seen:
            raise Refused("overtaken", Refund.objects.filter(order=held, number=has.latest).first())
        _not_while_played(held)
        amounts, amount = priced(wish, has.goods, shipping_left=has.shipping_left, left=has.left)
        refund = Refund.objects.create(
            order=held,
            number=has.latest + 1,
            token=name,
            amount=amount,
            shipping=wish.shipping,
            other=wish.other,
            reason=wish.reason,
            note=wish.note,
            mail=wish.mail,
            requested_by=by,
            needs_two=needs_two(amount, has.given, chosen.now().refund_alone_up_to),
        )
        RefundLine.objects.bulk_create(
            RefundLine(
                refund=refund, line_id=line, quantity=part.quantity, amount=amounts[line], back=part.back
            )
            for line, part in wish.lines.items()
        )
        if refund.needs_two:
            # The second person may be anywhere but before the console.
            bell.report(WAITS_CODE, about=str(refund), why=WAITS, order=held)
        else:
            _go(refund, by)
        return refund


def approve(refund: Refund, *, by: User) -> Refund:
    """Say yes to a refund that somebody else has asked for, and play it. Raises Refused."""
    with transaction.atomic():
        held = _lock(refund.order)
        found = _waiting(refund, State.APPROVED)
        if found.needs_two and found.requested_by_id == by.pk:
            raise Refused("same_person")
        _not_while_played(held)
        _go(found, by)
        return found


def reject(refund: Refund, *, by: User) -> Refund:
    """Say no to a refund that waits for a second person."""
    with transaction.atomic():
        _lock(refund.order)
        found = _waiting(refund, State.REJECTED)
        return _stop(found, State.REJECTED, by)


def withdraw(refund: Refund, *, by: User) -> Refund:
    """Take a refund back before Stripe has been asked. Raises Refused once it has."""
    with transaction.atomic():
        _lock(refund.order)
        return _stop(refund, State.WITHDRAWN, by)


def _lock(order: Order) -> Order:
    return Order.objects.select_for_update(of=("self",)).select_related("intent").get(pk=order.pk)


def _waiting(refund: Refund, after: State) -> Refund:
    found = Refund.objects.select_related("order").get(pk=refund.pk)
    if not may_move(found.state, after):
        raise Refused("decided", found)
    return found


def _not_while_played(order: Order) -> None:
    """One at a time: not while the checkout is being played on, nor while another refund is under way."""
    if Execution.objects.filter(order=order, flow="checkout", status=Play.RUNNING).exists():
        raise Refused("playing")
    other = Refund.objects.filter(order=order, state__in=GIVEN, finished_at=None).first()
    if other is not None:
        raise Refused("another", other)


def _go(refund: Refund, by: User) -> None:
    now = timezone.now()
    _write(refund, state=State.APPROVED, approved_by=by, approved_at=now, next_look_at=now + LOOK_FIRST)
    _decided(refund)
    engine.play("refund", refund.order, knock="press", who=by.get_username())


def _stop(refund: Refund, state: State, by: User) -> Refund:
    """Stop it, unless a worker has begun to ask Stripe: that worker's own guarded UPDATE decides who was first."""
    before = [name for name in State.values if may_move(name, state)]
    stopped = Refund.objects.filter(Q(pk=refund.pk, asked_at=None), state__in=before).update(
        state=state, stopped_by=by, stopped_at=timezone.now(), next_look_at=None
    )
    found = Refund.objects.select_related("order").get(pk=refund.pk)
    if not stopped:
        raise Refused("decided", found)
    _decided(found)
    return found


def _decided(refund: Refund) -> None:
    """Nobody has to be found for it any more."""
    bell.withdraw(bell.open_about(WAITS_CODE, str(refund)))


def _write(refund: Refund, **facts: Any) -> None:
    for name, value in facts.items():
        setattr(refund, name, value)
    refund.save(update_fields=list(facts))
