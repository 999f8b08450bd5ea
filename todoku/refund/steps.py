"""The steps of ``refund.asl.json``: look, ask once, believe only Stripe's own answer; then goods, mail, and the end."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_noop

from todoku.bad_news import NeedsOperator, Unavailable
from todoku.flows.step import Step
from todoku.gateways import stripe as stripe_gateway
from todoku.gateways.gateway import AnotherRequest, FailureKept, Gateway, KeyRefused, Refused, Returned
from todoku.notify import bell
from todoku.notify.steps import hand_over, note_sent
from todoku.order.models import Order, Status
from todoku.payment.models import Attempt, Outcome
from todoku.refund import rules
from todoku.refund.models import Refund, State
from todoku.stock import take
from todoku.stock.take_back import return_sold

if TYPE_CHECKING:
    from todoku.notify.models import Mail

log = logging.getLogger(__name__)

#: What a person is told when the customer did not get the money; the bell says it too.
FAILED = gettext_noop(
    "A refund has failed: the customer did not get the money, it came back to your Stripe balance. Repay it by bank"
    " transfer yourself, or refund again; then close this case with what you did."
)
CANCELED = gettext_noop(
    "A refund was canceled at Stripe: the customer did not get the money. Repay it by bank transfer yourself, or"
    " refund again; then close this case with what you did."
)
REFUSED = gettext_noop(
    "Stripe refuses a refund: nothing was given back. Look at the payment at Stripe; it may be disputed, or refunded"
    " there already. Then refund again or repay by bank transfer, and close this case with what you did."
)
#: The case that tells of each way in which a refund is lost.
LOST_CODES = {"failed": "refund_failed", "canceled": "refund_canceled", "refused": "refund_refused"}


@dataclass(frozen=True)
class Finding:
    """What Stripe said in this play: of which refund it is, and how each of the order's refunds stands."""

    #: The refund in hand; 0 when there is none.
    number: int = 0
    made: Mapping[int, Returned] = field(default_factory=dict)
    #: Stripe's code, when it refused to make the refund in hand.
    refused: str = ""


def ask(order: Order) -> Finding:
    """Look what has been given back of the order's payment, and make the refund in hand if it is not among it.

    Talks to Stripe, so it runs outside any transaction; that Stripe is being asked, and under which id it has
    answered, is committed as soon as it is so. Raises ``Unavailable`` when the outcome is unknown.
    """
    said_yes = Refund.objects.filter(order=order, approved_by__isnull=False).exclude(state=State.WITHDRAWN)
    rows = list(said_yes.order_by("number"))
    if not rows:
        return Finding()
    intent = order.intent.stripe_id
    assert intent is not None, "a paid order has an intent that Stripe has answered for"
    refund = next((row for row in rows if row.state in rules.GIVEN and row.finished_at is None), None)
    gateway: Gateway = stripe_gateway.for_worker()
    try:
        made = _ours(rows, gateway.refunds_of(intent))
        if refund is None:
            return Finding(made=made)
        if refund.pk not in made:
            if refund.stripe_id is not None:
                raise NeedsOperator(
                    "refund_missing", f"Stripe does not list the refund {refund.stripe_id} any more. Look at it there."
                )
            answer = _make(gateway, order, refund, intent)
            if isinstance(answer, str):
                return Finding(refund.number, made, answer)
            if answer is None:
                return Finding(made=made)
            made = {**made, refund.pk: answer}
    except KeyRefused as error:
        raise NeedsOperator(
            "stripe_key_refused", "Stripe does not accept the shop's key. Check STRIPE_SECRET_KEY."
        ) from error
    answer = made[refund.pk]
    if (answer.amount, answer.currency) != (refund.amount, "jpy"):
        raise NeedsOperator(
            "refund_differs",
            f"Stripe has refunded {answer.amount} {answer.currency}, the shop asked for {refund.amount} yen.",
        )
    Refund.objects.filter(pk=refund.pk, stripe_id=None).update(stripe_id=answer.id)
    return Finding(refund.number, made)


def _ours(rows: Iterable[Refund], made: Iterable[Returned]) -> dict[int, Returned]:
    """Find our refunds among all that were made of the payment: by Stripe's id, or by the name that we gave them."""
    by_id, by_name = {}, {}
    for row in rows:
        by_name[str(row.key)] = row.pk
        if row.stripe_id:
            by_id[row.stripe_id] = row.pk
    found: dict[int, Returned] = {}
    for one in made:
        pk = by_id.get(one.id) or by_name.get(one.metadata.get("todoku_refund", ""))
        if pk is not None:
            found[pk] = one
    return found


def _make(gateway: Gateway, order: Order, refund: Refund, intent: str) -> Returned | str | None:
    """Ask Stripe to make the refund; answer it, or Stripe's code when it refuses, or None when a person was faster.

    The look before has not shown it. Every try is the same request under the same key, so it is made once at most.
    """
    first = refund.asked_at is None
    asked = _request(order, refund, intent, first)
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    # Committed before the call: whoever plays next knows that Stripe may have been asked, and nobody can withdraw.
    with transaction.atomic():
        # The order's row first, as everywhere; the refund's own guard in the database would lock it second.
        Order.objects.select_for_update(no_key=True).only("pk").get(pk=order.pk)
        marked = Refund.objects.filter(pk=refund.pk, state__in=rules.OPEN, asked_with__in=["", digest]).update(
            state=State.ASKED,
            asked_at=Coalesce(F("asked_at"), timezone.now()),
            asked_with=digest,
            instructions_email=asked["instructions_email"],
        )
    if not marked:
        if not Refund.objects.filter(pk=refund.pk, state__in=rules.OPEN).exists():
            return None
        raise NeedsOperator("refund_changed", "The refund is not what Stripe was first asked for. Nothing was sent.")
    key = f"{refund.key}:{refund.keys_spent}" if refund.keys_spent else str(refund.key)
    try:
        answer = gateway.refund(key=key, **asked)
        # Asked again, Stripe may repeat what it said the first time: how the refund stands by now is another question.
        return answer if first else _again(gateway, refund, intent) or answer
    except FailureKept:
        found = _again(gateway, refund, intent)
        if found is None:
            _next_key(refund)
            raise
        return found
    except KeyRefused:
        raise
    except AnotherRequest as error:
        raise NeedsOperator(
            "refund_changed", "Stripe has another request under this refund's key. Look at the payment there."
        ) from error
    except Refused as error:
        log.warning("order %s: Stripe refused the refund №%s: %s", order.number, refund.number, error)
        return _again(gateway, refund, intent) or error.code


def _request(order: Order, refund: Refund, intent: str, first: bool) -> dict[str, Any]:
    """What Stripe is asked for: the same for every try, also if the customer's address is corrected in between."""
    mail = refund.instructions_email
    if first:
        paid = Attempt.objects.filter(order=order, outcome=Outcome.PAID).order_by("-number").first()
        # Only where Stripe has to ask the customer for a bank account; for a card it would refuse this.
        mail = order.email if paid is not None and paid.method == "konbini" else ""
    return {
        "intent": intent,
        "amount": refund.amount,
        "reason": refund.stripe_reason,
        "instructions_email": mail,
        "metadata": {"todoku_refund": str(refund.key), "todoku_order": str(order.uuid)},
    }


def _again(gateway: Gateway, refund: Refund, intent: str) -> Returned | None:
    return _ours([refund], gateway.refunds_of(intent)).get(refund.pk)


def _next_key(refund: Refund) -> None:
    """Stripe failed, keeps that under the key, and shows no refund: after a while the next try gets a new key."""
    now = timezone.now()
    Refund.objects.filter(
        pk=refund.pk, keys_spent=refund.keys_spent, asked_at__lt=now - rules.NEXT_KEY_AFTER, stripe_id=None
    ).update(keys_spent=F("keys_spent") + 1, asked_at=now)


def learn(order: Order, finding: Finding) -> dict[str, Any]:
    """Write down how each of the order's refunds stands; one that is lost opens its case in the same transaction."""
    rows = {row.pk: row for row in Refund.objects.select_for_update(no_key=True).filter(order=order)}
    for pk, said in finding.made.items():
        if said.status not in rules.AT_STRIPE:
            raise NeedsOperator("unexpected_status", f"Stripe calls a refund {said.status[:40]}.")
        _move(order, rows[pk], said.status, said.failure_reason, said.id)
    refund = next((row for row in rows.values() if row.number == finding.number), None)
    if refund is None:
        return {"outcome": "nothing"}
    if finding.refused:
        _move(order, refund, State.REFUSED, finding.refused, f"{order.number} №{refund.number}")
    if refund.state in rules.OPEN:
        # We have slept: what was learned is about an earlier moment. The next try looks again.
        raise Unavailable(f"the refund №{refund.number} is still {refund.state}")
    outcome = "waiting" if refund.state in rules.WAITING else str(refund.state)
    return {"outcome": outcome, "number": refund.number}


def _move(order: Order, refund: Refund, after: str, why: str, about: str) -> None:
    now = timezone.now()
    since = refund.approved_at or now
    if refund.state == after:
        if after in rules.WAITING:
            Refund.objects.filter(pk=refund.pk).update(next_look_at=rules.next_look(since, now))
        return
    if not rules.may_move(refund.state, after):
        # An answer that was long on its way.
        return
    refund.state, refund.failure = after, why[:64]
    refund.next_look_at = rules.next_look(since, now) if after in rules.WAITING else None
    refund.save(update_fields=["state", "failure", "next_look_at"])
    if after in rules.LOST:
        sentence = {"failed": FAILED, "canceled": CANCELED, "refused": REFUSED}[after]
        technical = f"refund №{refund.number}, {refund.amount} yen: {after}, {why or 'no reason given'}"
        bell.report(LOST_CODES[after], about=about, why=sentence, technical=technical, order=order)


def return_goods(order: Order, _: None, number: int) -> dict[str, Any]:
    """Put the goods back on the shelf that the person said go back."""
    refund = Refund.objects.select_related("order", "requested_by").get(order=order, number=number)
    back = {line.line.product_id: line.quantity for line in refund.lines.filter(back=True).select_related("line")}
    if not back:
        return {"outcome": "nothing"}
    if order.status == Status.PAID:
        # Not recorded yet: what it holds has not been sold. All goes back, or nothing does.
        ordered = {line.product_id: line.quantity for line in order.lines.all()}
        return {"outcome": "returned" if back == ordered and take.give_back(order) else "nothing"}
    came = return_sold(order, back, who=refund.requested_by.get_username(), why=f"{refund}: {refund.note}")
    return {"outcome": "returned" if came else "nothing"}


def send_mail(order: Order, number: int) -> Mail | None:
    """Tell the customer, if the person said so. Talks to the mail server."""
    if not Refund.objects.filter(order=order, number=number, mail=True).exists():
        return None
    return hand_over(order, f"refund-{number}")


def mail_sent(order: Order, mail: Mail | None, number: int) -> dict[str, Any]:
    """Note that the mail has left."""
    if mail is None:
        return {"outcome": "not_wanted"}
    note_sent(mail)
    return {"outcome": "sent"}


def record(order: Order, _: None, number: int) -> dict[str, Any]:
    """Close the refund: the money is given back, and all that goes with it is done."""
    Refund.objects.filter(order=order, number=number, finished_at=None).update(
        finished_at=timezone.now(), next_look_at=None
    )
    return {"outcome": "recorded"}


STEPS = {
    step.name: step
    for step in (
        # Never kept: a refund that has succeeded may still fail, and every play looks first.
        Step("TakeBack", outside=ask, effect=learn, final=lambda _: False),
        Step("ReturnGoods", effect=return_goods, numbered=True),
        Step("SendRefundMail", outside=send_mail, effect=mail_sent, numbered=True),
        Step("RecordRefund", effect=record, numbered=True),
    )
}
