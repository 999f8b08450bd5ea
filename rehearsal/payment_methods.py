"""A payment method is a card as the shop may know it: brand, last four digits, expiry, never the number.

Which test card it is stays in a table of its own (`cards_used`), by the card's name; no number is ever stored.
"""

from __future__ import annotations

import re
import time
from hashlib import blake2b
from typing import Any

from rehearsal import cards, konbini, lists
from rehearsal.call import Call
from rehearsal.cards import Card
from rehearsal.errors import ApiError, invalid, malformed, missing
from rehearsal.params import BILLING, EXPAND, PAGING, Shape, choice, hash_of, metadata, text
from rehearsal.store import Json

RETRIEVE: Shape = {"expand": EXPAND}
LIST: Shape = {**PAGING, "customer": text(200), "type": text(40)}
ATTACH: Shape = {"customer": text(200), "expand": EXPAND}
CARD_FIELDS: Shape = {"number": text(30), "exp_month": text(4), "exp_year": text(4), "cvc": text(4)}
DATA: Shape = {
    "type": text(40),
    "billing_details": hash_of(BILLING),
    "card": hash_of(CARD_FIELDS),
    "konbini": hash_of({}),
    "allow_redisplay": choice("always", "limited", "unspecified"),
    "metadata": metadata,
    "radar_options": hash_of({"session": text()}),
}

_EMPTY_ADDRESS = {
    "city": None,
    "country": None,
    "line1": None,
    "line2": None,
    "postal_code": None,
    "state": None,
}
_DIGITS = re.compile(r"[0-9]{12,19}\Z")


def retrieve(call: Call) -> Json:
    return call.find("payment_methods", "PaymentMethod")


def preview_of_name(call: Call, name: str, param: str) -> tuple[Json, Card | None]:
    """Reads a name such as `pm_card_visa`, or the id of a payment method made before, into its details."""
    card = cards.BY_NAME.get(name)
    if card is not None:
        return _preview(call, card, None, _years_on(call), billing={}), card
    known = call.store.get("payment_methods", name)
    if known is None:
        raise missing("PaymentMethod", name, param=param, status=400)
    if known["type"] != "card":
        return known, None
    used = call.store.get("cards_used", name)
    return known, cards.BY_NAME[used["card"]] if used else cards.CARDS[0]


def preview_of_data(call: Call, data: Json, param: str) -> tuple[Json, Card | None]:
    """Reads what the form sent, checking it the way Stripe does before a token is made; konbini has no card."""
    kind = data.get("type")
    if kind == "konbini":
        billing = data.get("billing_details") or {}
        konbini.check_billing(billing, f"{param}[billing_details]")
        return _konbini_preview(billing, data.get("allow_redisplay", "unspecified")), None
    if kind != "card":
        raise malformed(f"The rehearsal takes cards and konbini only, not '{kind}'.", param=f"{param}[type]")
    if "card" not in data:
        raise malformed("Missing required param: card.", param=f"{param}[card]", code="parameter_missing")
    if not call.publishable:
        # Stripe refuses raw numbers from servers unless an account was cleared for them.
        raise invalid(
            "Sending credit card numbers directly to the Stripe API is generally unsafe. Use a test PaymentMethod "
            "such as pm_card_visa, or the card form. See https://docs.stripe.com/testing."
        )
    card, expiry, cvc = _checked(call, data["card"], param)
    preview = _preview(call, card, cvc, expiry, data.get("billing_details") or {})
    if "allow_redisplay" in data:
        preview["allow_redisplay"] = data["allow_redisplay"]
    return preview, card


def make(
    call: Call, preview: Json, card: Card | None, customer_metadata: dict[str, str] | None = None
) -> Json:
    """Makes a payment method from a preview, which is what confirming with a token does."""
    if "id" in preview:
        return preview
    id = call.new_id("pm")
    kind = preview["type"]
    if card is not None:
        call.store.put("cards_used", id, {"id": id, "card": card.name})
    return call.store.put(
        "payment_methods",
        id,
        {
            "id": id,
            "object": "payment_method",
            "allow_redisplay": preview["allow_redisplay"],
            "billing_details": preview["billing_details"],
            kind: preview[kind],
            "created": call.now,
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": customer_metadata or {},
            "type": kind,
        },
    )


def list_(call: Call) -> Json:
    """Lists the payment methods of one customer."""
    customer, kind = call.params.get("customer"), call.params.get("type")
    if customer is None:
        raise malformed("Missing required param: customer.", param="customer", code="parameter_missing")
    return lists.page(
        call,
        "payment_methods",
        "/v1/payment_methods",
        lambda row: row["customer"] == customer and kind in (None, row["type"]),
    )


def attach(call: Call) -> Json:
    """Keeps a payment method for a customer. Konbini cannot be kept: a voucher is for one payment."""
    customer = call.params.get("customer")
    if customer is None:
        raise malformed("Missing required param: customer.", param="customer", code="parameter_missing")
    if call.store.get("customers", customer) is None:
        raise missing("customer", customer, param="customer", status=400)
    preview, card = preview_of_name(call, call.path_id, "payment_method")
    if card is None:
        raise invalid("Payment methods of type konbini cannot be attached to a customer.")
    return keep_for(call, make(call, preview, card), customer)


def detach(call: Call) -> Json:
    method = call.find("payment_methods", "PaymentMethod")
    if method["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible."
        )
    customer = method["customer"]
    method = call.store.change("payment_methods", method["id"], customer=None)
    call.emit("payment_method.detached", method, {"customer": customer})
    return method


def keep_for(call: Call, method: Json, customer: str) -> Json:
    if method["customer"] == customer:
        return method
    if method["customer"] is not None:
        raise invalid("The payment method you provided has already been attached to a customer.")
    method = call.store.change("payment_methods", method["id"], customer=customer)
    call.emit("payment_method.attached", method)
    return method


def _checked(call: Call, given: Json, param: str) -> tuple[Card, tuple[int, int], str | None]:
    number = re.sub(r"[\s-]", "", given.get("number", ""))
    if not number:
        raise malformed(
            "Missing required param: number.", param=f"{param}[card][number]", code="parameter_missing"
        )
    if not _DIGITS.match(number) or not cards.passes_luhn(number):
        raise _card_error("incorrect_number", "Your card number is incorrect.", "number")
    month, year = _number(given.get("exp_month")), _number(given.get("exp_year"))
    if month is None or not 1 <= month <= 12:
        raise _card_error("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    if year is not None and year < 100:
        year += 2000
    today = _month_and_year(call.rehearsal.clock.now())
    if year is None or not 1970 <= year <= today[1] + 50 or (year, month) < (today[1], today[0]):
        raise _card_error("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
    card = cards.BY_NUMBER.get(number)
    if card is None:
        decline = cards.NOT_A_TEST_CARD
        raise _card_error(decline.code, decline.message, "number", decline_code=decline.decline_code)
    cvc = given.get("cvc") or None
    if cvc is not None and (not cvc.isdigit() or len(cvc) != (4 if card.brand == "amex" else 3)):
        raise _card_error("invalid_cvc", "Your card's security code is invalid.", "cvc")
    return card, (month, year), cvc


def _card_error(code: str, message: str, param: str, **more: Any) -> ApiError:
    return ApiError(402, "card_error", message, code=code, param=param, **more)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _month_and_year(now: float) -> tuple[int, int]:
    # A card is good until the end of its month everywhere on earth: UTC-12 is the last place to leave it.
    there = time.gmtime(now - 12 * 3600)
    return there.tm_mon, there.tm_year


def _years_on(call: Call) -> tuple[int, int]:
    """Test payment methods given by name expire in the rehearsal's current month of next year but one."""
    month, year = _month_and_year(call.rehearsal.clock.now())
    return month, year + 2


def _preview(call: Call, card: Card, cvc: str | None, expiry: tuple[int, int], billing: Json) -> Json:
    address = billing.get("address")
    return {
        "type": "card",
        "allow_redisplay": "unspecified",
        "billing_details": _billing(billing),
        "card": {
            "brand": card.brand,
            "checks": {
                "address_line1_check": "unchecked" if address and address.get("line1") else None,
                "address_postal_code_check": "unchecked" if address and address.get("postal_code") else None,
                "cvc_check": "unchecked" if cvc else None,
            },
            "country": card.country,
            "display_brand": "american_express" if card.brand == "amex" else card.brand,
            "exp_month": expiry[0],
            "exp_year": expiry[1],
            "fingerprint": blake2b(card.number.encode(), digest_size=8).hexdigest(),
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": card.three_d_secure != "unsupported"},
            "wallet": None,
        },
        "customer": None,
        "customer_account": None,
    }


def _konbini_preview(billing: Json, allow_redisplay: str) -> Json:
    return {
        "type": "konbini",
        "allow_redisplay": allow_redisplay,
        "billing_details": _billing(billing),
        "konbini": {},
        "customer": None,
        "customer_account": None,
    }


def _billing(given: Json) -> Json:
    address = given.get("address")
    return {
        "address": {**_EMPTY_ADDRESS, **address} if address else _EMPTY_ADDRESS,
        "email": given.get("email"),
        "name": given.get("name"),
        "phone": given.get("phone"),
        "tax_id": given.get("tax_id"),
    }
