"""A till that was offline: the customer has paid, and it tells only after Stripe has given the voucher up.

Stripe's documentation knows no such thing: a canceled PaymentIntent stays canceled, and a failed one cannot succeed
without being confirmed again. It is here so that a shop's last line of defence can be tried: money that comes in for
an order that has ended.
"""

from __future__ import annotations

from rehearsal import konbini
from rehearsal.call import Call
from rehearsal.store import Json

_OVER = ("expired", "void")
_ENDED = ("requires_payment_method", "canceled")


def may_tell(call: Call, intent: Json) -> bool:
    """Answers whether the intent ended with a voucher that nobody had told to be paid."""
    voucher = _last(call, intent["id"])
    return voucher is not None and voucher["state"] in _OVER and intent["status"] in _ENDED


def tell(call: Call, intent_id: str, chain: str = "familymart") -> Json:
    """The till reports: the intent has succeeded, although it had failed or was canceled."""
    if chain not in konbini.CHAINS:
        raise ValueError(f"a chain is one of {', '.join(konbini.CHAINS)}")
    intent = call.store.get("payment_intents", intent_id)
    voucher = _last(call, intent_id)
    if intent is None or voucher is None or not may_tell(call, intent):
        raise LookupError(f"{intent_id} has no voucher whose time is over")
    call.store.change(
        "payment_intents",
        intent_id,
        status="requires_action",
        payment_method=voucher["method"],
        canceled_at=None,
        cancellation_reason=None,
    )
    return konbini.paid(call, voucher, chain)


def _last(call: Call, intent_id: str) -> Json | None:
    known = call.store.get("voucher_of", intent_id)
    return call.store.get("vouchers", known["voucher"]) if known else None
