"""Refunds: whole or in part, never more than was paid, and some of them take days or fail.

Sources: https://docs.stripe.com/refunds and https://docs.stripe.com/payments/konbini/accept-a-payment#refunds.
A card is refunded at once, or as its test number says. Konbini money goes to a bank account that Stripe asks the
customer for by mail: `requires_action`, then `pending`, then `succeeded`; after 45 days without an answer `failed`.
"""

from __future__ import annotations

from typing import Final

from rehearsal import balance, lists
from rehearsal.call import Call
from rehearsal.cards import BY_NAME
from rehearsal.errors import invalid, malformed, missing
from rehearsal.params import (
    CREATED,
    EXPAND,
    PAGING,
    Shape,
    choice,
    integer,
    merged_metadata,
    metadata,
    missing_here,
    text,
)
from rehearsal.store import Json

LATER_SECONDS: Final = 60.0
"""When a refund of the asynchronous test cards arrives or fails; Stripe says "some time later"."""
BANK_SECONDS: Final = 2 * 86400.0
"""How long the transfer to the customer's bank takes."""
ANSWER_SECONDS: Final = 45 * 86400

_NOT_YET = missing_here("this part of Stripe is not rehearsed.")
CREATE: Shape = {
    "amount": integer,
    "charge": text(200),
    "currency": _NOT_YET,
    "customer": _NOT_YET,
    "expand": EXPAND,
    "instructions_email": text(800),
    "metadata": metadata,
    "origin": _NOT_YET,
    "payment_intent": text(200),
    "reason": choice("duplicate", "fraudulent", "requested_by_customer"),
    "refund_application_fee": _NOT_YET,
    "reverse_transfer": _NOT_YET,
}
UPDATE: Shape = {"metadata": metadata, "expand": EXPAND}
RETRIEVE: Shape = {"expand": EXPAND}
CANCEL: Shape = {"expand": EXPAND}
LIST: Shape = {**PAGING, "created": CREATED, "charge": text(200), "payment_intent": text(200)}


def create(call: Call) -> Json:
    """Refunds a charge, or the successful charge of an intent: all that is left of it, or `amount`."""
    params = call.params
    if "charge" not in params and "payment_intent" not in params:
        raise malformed(
            "One of the following params should be provided for this request: payment_intent or charge."
        )
    return refund(
        call,
        _charge(call),
        params.get("amount"),
        params.get("reason"),
        merged_metadata({}, params.get("metadata", {})),
        params.get("instructions_email"),
    )


def refund(
    call: Call,
    charge: Json,
    amount: int | None,
    reason: str | None = None,
    metadata: Json | None = None,
    email: str | None = None,
) -> Json:
    """Makes the refund, for the API and for the panel, which plays the Dashboard."""
    amount = _checked(charge, amount)
    card = charge["payment_method_details"]["type"] == "card"
    method = call.store.get("payment_methods", charge["payment_method"]) or {}
    asked_by_mail = None
    if not card:
        asked_by_mail = email or (method.get("billing_details") or {}).get("email")
    elif email:
        raise invalid(
            "instructions_email is only for payment methods that ask the customer for a bank account.",
            param="instructions_email",
        )
    way = _way(call, charge) if card else "by_mail"
    status = {"at_once": "succeeded", "late": "pending", "fails": "succeeded", "by_mail": "requires_action"}[
        way
    ]
    id = call.new_id("re")
    booked = balance.book(
        call,
        "refund" if card else "payment_refund",
        "refund",
        id,
        -amount,
        why=f"REFUND FOR CHARGE ({charge['id']})",
    )
    made = call.store.put(
        "refunds",
        id,
        {
            "id": id,
            "object": "refund",
            "amount": amount,
            "balance_transaction": booked["id"],
            "charge": charge["id"],
            "created": call.now,
            "currency": "jpy",
            "customer": None,
            "customer_account": None,
            "destination_details": _destination(card),
            "failure_balance_transaction": None,
            "failure_reason": None,
            "instructions_email": asked_by_mail,
            "metadata": metadata or {},
            "next_action": _mail_sent(asked_by_mail, call.now, call.now + ANSWER_SECONDS)
            if asked_by_mail
            else None,
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "pending_reason": "processing" if status == "pending" else None,
            "reason": reason,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": status,
            "transfer_reversal": None,
        },
    )
    refunded = charge["amount_refunded"] + amount
    before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    charge = call.store.change(
        "charges", charge["id"], amount_refunded=refunded, refunded=refunded == charge["amount"]
    )
    call.emit("refund.created", made)
    call.emit("charge.refunded", charge, {name: old for name, old in before.items() if charge[name] != old})
    timers = call.rehearsal.timers
    if way == "late":
        timers.set("refund_arrives", id, call.now + LATER_SECONDS)
    elif way == "fails":
        timers.set("refund_fails", id, call.now + LATER_SECONDS)
    elif way == "by_mail":
        timers.set("refund_expires", id, call.now + ANSWER_SECONDS)
    return made


def retrieve(call: Call) -> Json:
    return call.find("refunds", "refund")


def list_(call: Call) -> Json:
    wanted = {name: call.params[name] for name in ("charge", "payment_intent") if name in call.params}
    return lists.page(
        call, "refunds", "/v1/refunds", lambda row: all(row[name] == value for name, value in wanted.items())
    )


def update(call: Call) -> Json:
    row = call.find("refunds", "refund")
    if "metadata" not in call.params:
        return row
    row = call.store.change(
        "refunds", row["id"], metadata=merged_metadata(row["metadata"], call.params["metadata"])
    )
    call.emit("refund.updated", row)
    return row


def cancel(call: Call) -> Json:
    """Takes a refund back while it still waits for the customer; no other can be canceled."""
    row = call.find("refunds", "refund")
    if row["status"] != "requires_action":
        raise invalid(
            f"This refund has a status of {row['status']}; only a refund with a status of requires_action may be "
            "canceled."
        )
    return _undo(call, row, "canceled", "merchant_request")


def expire(call: Call) -> Json:
    """The test helper that plays 45 days without an answer."""
    row = call.find("refunds", "refund")
    if row["status"] != "requires_action":
        raise invalid("Only a refund with a status of requires_action can expire.")
    return _undo(call, row, "failed", "unknown")


# What happens by itself, or by a person at the panel.


def expire_refund(call: Call, id: str) -> None:
    row = call.store.get("refunds", id)
    if row is not None and row["status"] == "requires_action":
        _undo(call, row, "failed", "unknown")


def fail_late(call: Call, id: str) -> None:
    row = call.store.get("refunds", id)
    if row is not None and row["status"] == "succeeded":
        _undo(call, row, "failed", "expired_or_canceled_card")


def arrive(call: Call, id: str) -> None:
    """A pending refund reaches the customer."""
    row = call.store.get("refunds", id)
    if row is None or row["status"] != "pending":
        return
    details = row["destination_details"]
    if details and details["type"] == "card":
        details = {**details, "card": {**details["card"], "type": "refund"}}
    row = call.store.change(
        "refunds", id, status="succeeded", pending_reason=None, destination_details=details, next_action=None
    )
    _tell(call, row)


def give_bank_account(call: Call, id: str) -> Json:
    """The customer answers Stripe's mail; the transfer arrives two days later."""
    row = call.store.get("refunds", id)
    if row is None or row["status"] != "requires_action":
        raise LookupError(f"{id} is not waiting for a bank account")
    call.rehearsal.timers.clear("refund_expires", id)
    row = call.store.change("refunds", id, status="pending", pending_reason="processing", next_action=None)
    call.rehearsal.timers.set("refund_arrives", id, call.now + BANK_SECONDS)
    _tell(call, row)
    return row


def return_by_bank(call: Call, id: str) -> Json:
    """The customer's bank sends the money back: Stripe asks for the account again, until the 45 days are over."""
    row = call.store.get("refunds", id)
    if row is None or row["status"] != "pending" or not row["instructions_email"]:
        raise LookupError(f"{id} is not on its way to a bank account")
    call.rehearsal.timers.clear("refund_arrives", id)
    ends = row["created"] + ANSWER_SECONDS
    row = call.store.change(
        "refunds",
        id,
        status="requires_action",
        pending_reason=None,
        next_action=_mail_sent(row["instructions_email"], call.now, ends),
    )
    call.rehearsal.timers.set("refund_expires", id, ends)
    _tell(call, row)
    return row


def fail(call: Call, id: str) -> Json:
    """Makes a refund fail that has not failed yet, whatever its way."""
    row = call.store.get("refunds", id)
    if row is None or row["status"] in ("failed", "canceled"):
        raise LookupError(f"{id} cannot fail any more")
    return _undo(call, row, "failed", "unknown")


def _undo(call: Call, row: Json, status: str, reason: str) -> Json:
    """The money comes back to the balance and can be refunded again."""
    for kind in ("refund_arrives", "refund_fails", "refund_expires"):
        call.rehearsal.timers.clear(kind, row["id"])
    booked = balance.book(
        call, "refund_failure", "refund_failure", row["id"], row["amount"], why="REFUND FAILURE"
    )
    row = call.store.change(
        "refunds",
        row["id"],
        status=status,
        failure_reason=reason,
        failure_balance_transaction=booked["id"],
        pending_reason=None,
        next_action=None,
    )
    charge = call.store.get("charges", row["charge"])
    if charge is not None:
        call.store.change(
            "charges", charge["id"], amount_refunded=charge["amount_refunded"] - row["amount"], refunded=False
        )
    _tell(call, row)
    if status == "failed":
        call.emit("refund.failed", row)
    return row


def _tell(call: Call, row: Json) -> None:
    # The older name is still sent beside the newer one.
    call.emit("refund.updated", row)
    call.emit("charge.refund.updated", row)


def _charge(call: Call) -> Json:
    params = call.params
    id = params.get("charge")
    intent = None
    if "payment_intent" in params:
        intent = call.store.get("payment_intents", params["payment_intent"])
        if intent is None:
            raise missing("payment_intent", params["payment_intent"], param="payment_intent", status=400)
        if intent["status"] != "succeeded":
            raise invalid(
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                param="payment_intent",
                code="payment_intent_unexpected_state",
            )
        if id is not None and id != intent["latest_charge"]:
            raise invalid("The charge is not the PaymentIntent's.", param="charge")
        id = intent["latest_charge"]
    charge = call.store.get("charges", id or "")
    if charge is None:
        raise missing("charge", str(id), param="charge", status=400)
    return charge


def _checked(charge: Json, amount: int | None) -> int:
    if not charge["paid"]:
        raise invalid(
            f"Charge {charge['id']} was not paid and cannot be refunded.", code="charge_not_refundable"
        )
    if charge["disputed"]:
        raise invalid(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    left = charge["amount"] - charge["amount_refunded"]
    if left <= 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount is None:
        return int(left)
    if amount < 1:
        raise malformed(
            "This value must be greater than or equal to 1.", param="amount", code="parameter_invalid_integer"
        )
    if amount > left:
        raise invalid(
            f"Refund amount (¥{amount:,}) is greater than unrefunded amount on charge (¥{left:,})",
            param="amount",
        )
    return amount


def _way(call: Call, charge: Json) -> str:
    used = call.store.get("cards_used", charge["payment_method"])
    return BY_NAME[used["card"]].refund if used else "at_once"


def _destination(card: bool) -> Json:
    if not card:
        return {
            "type": "jp_bank_transfer",
            "jp_bank_transfer": {"reference": None, "reference_status": "pending"},
        }
    return {
        "type": "card",
        "card": {
            "reference": None,
            "reference_status": "pending",
            "reference_type": "acquirer_reference_number",
            "type": "refund",
        },
    }


def _mail_sent(to: str, at: int, expires_at: int) -> Json:
    return {
        "type": "display_details",
        "display_details": {
            "email_sent": {"email_sent_at": at, "email_sent_to": to},
            "expires_at": expires_at,
        },
    }
