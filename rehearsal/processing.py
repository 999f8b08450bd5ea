"""`processing`: the bank has not said yes or no yet. Cards rarely stop here, so it is planted.

Source: https://docs.stripe.com/payments/paymentintents/lifecycle. A fault of the kind `processing` makes the next
confirm end so; any open intent with a card can be put there too. It ends after the seconds that were given, or when
it is told to.
"""

from __future__ import annotations

from rehearsal import payment_methods, three_d_secure
from rehearsal.call import Call
from rehearsal.cards import BY_NAME, GENERIC, Card, Decline
from rehearsal.errors import ApiError
from rehearsal.store import Json


def begin(
    call: Call,
    intent: Json,
    method: Json,
    card: Card,
    authentication: Json | None,
    force: Decline | None,
    seconds: float,
) -> Json:
    """Leaves the payment under way; with seconds, it ends by itself after them."""
    call.store.put(
        "processing",
        intent["id"],
        {
            "id": intent["id"],
            "method": method["id"],
            "card": card.name,
            "authentication": authentication,
            "declined": force is not None,
        },
    )
    intent = call.store.change(
        "payment_intents",
        intent["id"],
        status="processing",
        next_action=None,
        last_payment_error=None,
        processing={"card": {"customer_notification": None}, "type": "card"},
    )
    call.emit("payment_intent.processing", intent)
    if seconds:
        call.rehearsal.timers.set("processing", intent["id"], call.now + seconds)
    return intent


def plant(call: Call, intent_id: str, seconds: float = 0.0) -> Json:
    """Puts an intent into `processing`: with the card it waits to be confirmed or authenticated with, or a good one."""
    intent = call.store.get("payment_intents", intent_id)
    if intent is None or intent["status"] not in (
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
    ):
        raise LookupError(f"{intent_id} is not open")
    challenge = three_d_secure.open_challenge(call, intent_id)
    if intent["status"] == "requires_action" and challenge is None:
        raise LookupError(f"{intent_id} is not waiting for a card")
    name = intent["payment_method"] or "pm_card_visa"
    preview, card = payment_methods.preview_of_name(call, name, "payment_method")
    if card is None:
        raise LookupError(f"{intent_id} is not paid with a card")
    method = payment_methods.make(call, preview, card)
    three_d_secure.void(call, intent)
    intent = call.store.change("payment_intents", intent_id, payment_method=method["id"])
    authentication = three_d_secure.result_challenged() if challenge else None
    return begin(call, intent, method, card, authentication, None, seconds)


def settle(call: Call, intent_id: str, paid: bool | None = None) -> Json:
    """Ends it: paid, declined, or as the card does (None)."""
    from rehearsal import confirming

    row = call.store.get("processing", intent_id)
    intent = call.store.get("payment_intents", intent_id)
    if row is None or intent is None or intent["status"] != "processing":
        raise LookupError(f"{intent_id} is not processing")
    call.rehearsal.timers.clear("processing", intent_id)
    call.store.delete("processing", intent_id)
    method = call.store.get("payment_methods", row["method"])
    assert method is not None, "an intent is processing with a payment method"
    card = BY_NAME[row["card"]]
    declined = row["declined"] if paid is None else not paid
    intent = call.store.change("payment_intents", intent_id, processing=None)
    try:
        return confirming.take_money(
            call,
            intent,
            method,
            card,
            row["authentication"],
            force=(card.decline or GENERIC) if declined else None,
        )
    except ApiError as refused:
        told: Json = refused.error["payment_intent"]
        return told
