"""A charge is one attempt to move money; a PaymentIntent's latest one is its `latest_charge`."""

from __future__ import annotations

from rehearsal import balance, lists
from rehearsal.call import Call
from rehearsal.cards import Card, Decline
from rehearsal.params import CREATED, EXPAND, PAGING, Shape, text
from rehearsal.store import Json

LIST: Shape = {**PAGING, "created": CREATED, "payment_intent": text(200)}
RETRIEVE: Shape = {"expand": EXPAND}


def retrieve(call: Call) -> Json:
    return call.find("charges", "charge")


def list_(call: Call) -> Json:
    wanted = call.params.get("payment_intent")
    return lists.page(
        call, "charges", "/v1/charges", lambda row: wanted is None or row["payment_intent"] == wanted
    )


def make(
    call: Call,
    intent: Json,
    method: Json,
    card: Card,
    three_d_secure: Json | None,
    decline: Decline | None,
) -> Json:
    """Makes the charge of one attempt with a card, succeeded or failed, and remembers it."""
    paid = decline is None
    amount = intent["amount"]
    checks = method["card"]["checks"]
    details: Json = {
        "card": {
            "amount_authorized": amount if paid else None,
            "authorization_code": None,
            "brand": card.brand,
            "checks": {
                "address_line1_check": card.line1_check if checks["address_line1_check"] else None,
                "address_postal_code_check": card.postal_check
                if checks["address_postal_code_check"]
                else None,
                "cvc_check": card.cvc_check if checks["cvc_check"] else None,
            },
            "country": card.country,
            "exp_month": method["card"]["exp_month"],
            "exp_year": method["card"]["exp_year"],
            "extended_authorization": {"status": "disabled"},
            "fingerprint": method["card"]["fingerprint"],
            "funding": card.funding,
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": card.last4,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": card.brand,
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "regulated_status": "unregulated",
            "three_d_secure": three_d_secure,
            "wallet": None,
        },
        "type": "card",
    }
    return _put(call, intent, method, details, _outcome(card, decline), decline)


def make_konbini(call: Call, intent: Json, method: Json, chain: str) -> Json:
    """Makes the charge of a voucher that was paid at a chain's till."""
    outcome = {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "not_assessed",
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    details = {"konbini": {"store": {"chain": chain}}, "type": "konbini"}
    return _put(call, intent, method, details, outcome, None)


def tell_of_success(call: Call, charge: Json, intent: Json) -> None:
    """Sends the events of a payment that succeeded; its balance transaction follows or comes with it."""
    if intent["capture_method"] == "automatic":
        charge = balance.book_charge(call, charge)
    else:
        call.rehearsal.timers.set("balance", charge["id"], call.now + balance.BOOKED_AFTER_SECONDS)
    call.emit("charge.succeeded", charge)
    call.emit("payment_intent.succeeded", intent)


def _put(
    call: Call, intent: Json, method: Json, details: Json, outcome: Json, decline: Decline | None
) -> Json:
    id = call.new_id("ch" if details["type"] == "card" else "py")
    paid = decline is None
    amount = intent["amount"]
    suffix = intent["statement_descriptor_suffix"]
    return call.store.put(
        "charges",
        id,
        {
            "id": id,
            "object": "charge",
            "amount": amount,
            "amount_captured": amount if paid else 0,
            "amount_refunded": 0,
            "application": None,
            "application_fee": None,
            "application_fee_amount": None,
            "balance_transaction": None,
            "billing_details": method["billing_details"],
            "calculated_statement_descriptor": f"REHEARSAL* {suffix}"[:22] if suffix else "REHEARSAL",
            "captured": paid,
            "created": call.now,
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_balance_transaction": None,
            "failure_code": None if decline is None else decline.code,
            "failure_message": None if decline is None else decline.message,
            "fraud_details": {},
            "livemode": False,
            "metadata": intent["metadata"],
            "on_behalf_of": None,
            "outcome": outcome,
            "paid": paid,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": details,
            "radar_options": {},
            "receipt_email": intent["receipt_email"],
            "receipt_number": None,
            "receipt_url": f"{call.rehearsal.base_url}/payments/{intent['id']}" if paid else None,
            "refunded": False,
            "review": None,
            "shipping": intent["shipping"],
            "source": None,
            "source_transfer": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": suffix,
            "status": "succeeded" if paid else "failed",
            "transfer_data": None,
            "transfer_group": intent["transfer_group"],
        },
    )


def _outcome(card: Card, decline: Decline | None) -> Json:
    score = {"normal": 12, "elevated": 66, "highest": 98}[card.risk]
    if decline is None:
        elevated = card.risk == "elevated"
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": "elevated_risk_level" if elevated else None,
            "risk_level": card.risk,
            "risk_score": score,
            "seller_message": "Payment complete."
            if not elevated
            else "Stripe evaluated this payment as having elevated risk.",
            "type": "authorized",
        }
    if decline.blocked:
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "not_sent_to_network",
            "reason": decline.reason,
            "risk_level": card.risk,
            "risk_score": score,
            "seller_message": "Stripe blocked this payment as too risky.",
            "type": "blocked",
        }
    return {
        "advice_code": advice(decline),
        "network_advice_code": None,
        "network_decline_code": network_code(decline),
        "network_status": "declined_by_network",
        "reason": decline.decline_code,
        "risk_level": card.risk,
        "risk_score": score,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }


def advice(decline: Decline) -> str | None:
    """What to do about a decline, in Stripe's three words (https://docs.stripe.com/declines/card)."""
    if decline.blocked:
        return None
    return {
        "generic_decline": "try_again_later",
        "insufficient_funds": "try_again_later",
        "processing_error": "try_again_later",
        "card_velocity_exceeded": "try_again_later",
        "lost_card": "do_not_try_again",
        "stolen_card": "do_not_try_again",
        "expired_card": "do_not_try_again",
        "incorrect_cvc": "confirm_card_data",
    }.get(decline.decline_code or "")


def network_code(decline: Decline) -> str | None:
    """The card network's own number for a decline (ISO 8583 response codes)."""
    return {
        "generic_decline": "05",
        "insufficient_funds": "51",
        "lost_card": "41",
        "stolen_card": "43",
        "expired_card": "54",
        "card_velocity_exceeded": "65",
        "processing_error": "96",
        "incorrect_cvc": "N7",
        "authentication_required": "1A",
    }.get(decline.decline_code or "")
