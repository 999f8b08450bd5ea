"""Konbini: a voucher with codes, paid in cash at the till of a convenience store, days later or never.

Source: https://docs.stripe.com/payments/konbini/accept-a-payment. Three times matter: `expires_at`, until when a
payment can be begun at the store's kiosk; about an hour later, when Stripe gives up and tells so, because a slip
printed before may still be paid at the till; and the minutes in which a customer stands at the till, when a cancel
fails.
"""

from __future__ import annotations

import re
from typing import Any, Final

from rehearsal import charges
from rehearsal.call import Call
from rehearsal.errors import doc_url, invalid, malformed
from rehearsal.params import Shape, choice, emptyable, integer, text
from rehearsal.store import Json

LEAST_YEN: Final = 120
MOST_YEN: Final = 300_000
CHAINS: Final = ("familymart", "lawson", "ministop", "seicomart")
DEFAULT_DAYS: Final = 3
GRACE_SECONDS: Final = 3600
"""From `expires_at` until Stripe gives up: "typically about an hour"."""
TEST_SECONDS: Final = 180
"""The three minutes of the test numbers."""
SLIP_SECONDS: Final = 1800
"""How long a slip printed at the kiosk is good at the till; Stripe does not say."""
NO_OPTIONS: Final[Json] = {
    "confirmation_number": None,
    "expires_after_days": None,
    "expires_at": None,
    "product_description": None,
}
_DAY: Final = 86400
_JAPAN: Final = 9 * 3600
_REJECTED: Final = "01234567890"
_NUMBER = re.compile(r"[0-9]{10,11}\Z")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\Z")

# The test numbers and mails of Stripe's documentation; the number wins over the mail.
_BY_NUMBER: Final = {
    "11111111110": "pays_later",
    "22222222220": "pays_at_once",
    "33333333330": "expires_at_once",
    "44444444440": "expires_later",
    "55555555550": "never_pays",
}
_BY_MAIL: Final = {
    "succeed_immediately": "pays_at_once",
    "expire_immediately": "expires_at_once",
    "expire_with_delay": "expires_later",
    "fill_never": "never_pays",
}


def _confirmation_number(value: Any, name: str) -> str:
    number: str = text(20)(value, name)
    if not _NUMBER.match(number) or not number.strip("0"):
        raise malformed(
            "Invalid confirmation number: it must be 10 to 11 digits and must not consist of zeroes only.",
            param=name,
            code="payment_method_invalid_parameter",
        )
    return number


def _days(value: Any, name: str) -> int:
    days = integer(value, name)
    if not 1 <= days <= 60:
        raise malformed(
            "This value must be between 1 and 60.", param=name, code="payment_method_invalid_parameter"
        )
    return days


OPTIONS: Shape = {
    "confirmation_number": emptyable(_confirmation_number),
    "expires_after_days": emptyable(_days),
    "expires_at": emptyable(integer),
    "product_description": emptyable(text(22)),
    "setup_future_usage": emptyable(choice("none")),
}


def takes(amount: int) -> bool:
    return LEAST_YEN <= amount <= MOST_YEN


def check_options(call: Call, given: Json, param: str = "payment_method_options[konbini]") -> None:
    """Refuses options that contradict each other or a deadline that is over or too far."""
    at = given.get("expires_at")
    if at is None:
        return
    if given.get("expires_after_days") is not None:
        raise malformed(
            "You may only specify one of these parameters: expires_after_days, expires_at.",
            param=f"{param}[expires_at]",
            code="parameters_exclusive",
        )
    if not call.now < at <= call.now + 61 * _DAY:
        raise invalid(
            "expires_at must be in the future, by 60 days at most.",
            param=f"{param}[expires_at]",
            code="payment_method_invalid_parameter",
        )


def check_billing(billing: Json, param: str = "payment_method_data[billing_details]") -> None:
    """A voucher needs somebody to be for: a name and a mail address."""
    for name in ("name", "email"):
        if not billing.get(name):
            raise invalid(
                f"Missing required param: billing_details[{name}]. Konbini needs the customer's name and email.",
                param=f"{param}[{name}]",
                code="parameter_missing",
            )
    if not _MAIL.match(billing["email"]):
        raise invalid(
            f"Invalid email address: {billing['email'][:100]}", param=f"{param}[email]", code="email_invalid"
        )


def check_confirm(intent: Json, method: Json, wished_number: str | None) -> None:
    """Refuses what a confirm would refuse, before anything is changed."""
    check_billing(method["billing_details"])
    if not takes(intent["amount"]):
        raise invalid(
            f"Konbini takes ¥{LEAST_YEN} to ¥{MOST_YEN:,}.",
            param="amount",
            code="amount_too_small" if intent["amount"] < LEAST_YEN else "amount_too_large",
        )
    if _wished(intent, wished_number) == _REJECTED:
        raise invalid(
            "The confirmation number was rejected because it is used too often. Try another one.",
            param="payment_method_options[konbini][confirmation_number]",
            code="payment_intent_konbini_rejected_confirmation_number",
        )


def issue(call: Call, intent: Json, method: Json, wished_number: str | None) -> Json:
    """Makes the voucher: the intent waits with its codes until it is paid or given up."""
    ids, now = call.rehearsal.ids, call.now
    number = _wished(intent, wished_number) or f"{ids.digits(10)}0"
    behaviour = _behaviour(call, number if number in _BY_NUMBER else None, method["billing_details"]["email"])
    grace = GRACE_SECONDS
    expires_at = _expires_at(intent["payment_method_options"]["konbini"], now)
    if behaviour in ("expires_at_once", "expires_later"):
        # The test numbers that expire do so without Stripe's hour of patience.
        expires_at, grace = now + (TEST_SECONDS if behaviour == "expires_later" else 0), 0
    id = call.new_id("konbini")
    shared = ids.digits(9)
    codes = {"familymart": ids.digits(6), "lawson": shared, "ministop": shared, "seicomart": ids.digits(6)}
    call.store.put(
        "vouchers",
        id,
        {
            "id": id,
            "intent": intent["id"],
            "method": method["id"],
            "amount": intent["amount"],
            "description": intent["payment_method_options"]["konbini"]["product_description"],
            "name": method["billing_details"]["name"],
            "confirmation_number": number,
            "codes": codes,
            "created": now,
            "expires_at": expires_at,
            "gives_up_at": expires_at + grace,
            "behaviour": behaviour,
            "state": "open",
            "at_till": None,
            "chain": None,
        },
    )
    call.store.put("voucher_of", intent["id"], {"id": intent["id"], "voucher": id})
    timers = call.rehearsal.timers
    timers.set("konbini_end", id, expires_at + grace)
    pays_after = {"pays_at_once": 0.0, "pays_later": float(TEST_SECONDS)}.get(behaviour)
    if pays_after is not None:
        timers.set("konbini_pay", id, now + pays_after)
    intent = call.store.change(
        "payment_intents",
        intent["id"],
        status="requires_action",
        next_action={
            "type": "konbini_display_details",
            "konbini_display_details": {
                "expires_at": expires_at,
                "hosted_voucher_url": f"{call.rehearsal.base_url}/_konbini/{id}",
                "stores": {
                    chain: {"confirmation_number": number, "payment_code": code}
                    for chain, code in codes.items()
                },
            },
        },
    )
    call.emit("payment_intent.requires_action", intent)
    return intent


def open_voucher(call: Call, intent_id: str) -> Json | None:
    """Answers the voucher an intent is waiting to be paid with, or None."""
    known = call.store.get("voucher_of", intent_id)
    row = call.store.get("vouchers", known["voucher"]) if known else None
    return row if row is not None and row["state"] == "open" else None


def check_voidable(call: Call, intent: Json, doing: str) -> None:
    """Refuses to take a voucher away from a customer who is paying it at this moment."""
    voucher = open_voucher(call, intent["id"])
    if voucher is not None and voucher["at_till"]:
        raise invalid(
            f"You cannot {doing} this PaymentIntent because the customer is currently paying at a convenience store. "
            "Try again once the payment was completed or abandoned.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )


def void(call: Call, intent: Json) -> None:
    """Makes the voucher of an intent that is canceled, changed or confirmed anew worthless."""
    voucher = open_voucher(call, intent["id"])
    if voucher is not None:
        _close(call, voucher, "void")


# At the store.


def go_to_till(call: Call, intent_id: str) -> Json:
    """The customer has the slip and stands at the till: until they pay or walk away a cancel fails.

    After `expires_at` it is a slip that was printed before.
    """
    voucher = _waiting(call, intent_id)
    call.rehearsal.timers.set("konbini_till", voucher["id"], call.now + SLIP_SECONDS)
    return call.store.change("vouchers", voucher["id"], at_till=call.now)


def walk_away(call: Call, intent_id: str) -> Json:
    """The customer leaves the till without paying; the voucher is as good as before."""
    voucher = _waiting(call, intent_id)
    call.rehearsal.timers.clear("konbini_till", voucher["id"])
    return call.store.change("vouchers", voucher["id"], at_till=None)


def pay(call: Call, intent_id: str, chain: str = "familymart") -> Json:
    """The customer pays. After `expires_at` that still works with a slip from before, until Stripe gives up."""
    if chain not in CHAINS:
        raise ValueError(f"a chain is one of {', '.join(CHAINS)}")
    return paid(call, _waiting(call, intent_id), chain)


def expire(call: Call, intent_id: str) -> Json:
    """The voucher's time is over now, hour of patience included."""
    voucher = _waiting(call, intent_id)
    if voucher["at_till"]:
        walk_away(call, intent_id)
    return _failed(call, voucher)


# What happens by itself.


def pay_by_itself(call: Call, voucher_id: str) -> None:
    voucher = call.store.get("vouchers", voucher_id)
    if voucher is not None and voucher["state"] == "open":
        paid(call, voucher, "familymart")


def slip_expires(call: Call, voucher_id: str) -> None:
    """A slip that nobody pays loses its worth, and the customer is no longer at the till."""
    voucher = call.store.get("vouchers", voucher_id)
    if voucher is not None and voucher["state"] == "open":
        call.store.change("vouchers", voucher_id, at_till=None)


def end(call: Call, voucher_id: str) -> None:
    """Stripe gives up, but never while the customer is at the till."""
    voucher = call.store.get("vouchers", voucher_id)
    if voucher is None or voucher["state"] != "open":
        return
    if voucher["at_till"]:
        call.rehearsal.timers.set("konbini_end", voucher_id, voucher["at_till"] + SLIP_SECONDS + 1)
        return
    _failed(call, voucher)


def paid(call: Call, voucher: Json, chain: str) -> Json:
    """The money is there: the charge, the intent's success and their events."""
    intent, method = _about(call, voucher)
    _close(call, voucher, "paid", chain=chain)
    charge = charges.make_konbini(call, intent, method, chain)
    intent = call.store.change(
        "payment_intents",
        intent["id"],
        status="succeeded",
        amount_received=intent["amount"],
        latest_charge=charge["id"],
        next_action=None,
        last_payment_error=None,
    )
    charges.tell_of_success(call, charge, intent)
    return intent


def _failed(call: Call, voucher: Json) -> Json:
    intent, method = _about(call, voucher)
    _close(call, voucher, "expired")
    code = "payment_intent_payment_attempt_expired"
    intent = call.store.change(
        "payment_intents",
        intent["id"],
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_payment_error={
            "code": code,
            "doc_url": doc_url(code),
            "message": "The payment attempt expired: the customer did not pay at a convenience store in time.",
            "payment_method": method,
            "type": "invalid_request_error",
        },
    )
    call.emit("payment_intent.payment_failed", intent)
    return intent


def _about(call: Call, voucher: Json) -> tuple[Json, Json]:
    intent = call.store.get("payment_intents", voucher["intent"])
    method = call.store.get("payment_methods", voucher["method"])
    assert intent is not None and method is not None, "a voucher is made for an intent with a payment method"
    return intent, method


def _waiting(call: Call, intent_id: str) -> Json:
    voucher = open_voucher(call, intent_id)
    if voucher is None:
        raise LookupError(f"{intent_id} has no voucher that can be paid")
    return voucher


def _close(call: Call, voucher: Json, state: str, **more: Any) -> None:
    for kind in ("konbini_end", "konbini_pay", "konbini_till"):
        call.rehearsal.timers.clear(kind, voucher["id"])
    call.store.change("vouchers", voucher["id"], state=state, at_till=None, **more)


def _wished(intent: Json, number: str | None) -> str | None:
    options = intent["payment_method_options"].get("konbini") or {}
    return options.get("confirmation_number") or number


def _behaviour(call: Call, number: str | None, mail: str) -> str:
    if number is not None:
        return _BY_NUMBER[number]
    before_at = mail.partition("@")[0]
    for ending, behaviour in _BY_MAIL.items():
        if before_at.endswith(ending):
            return behaviour
    return "pays_later" if call.rehearsal.konbini_pays_by_itself else "waits"


def _expires_at(options: Json, now: int) -> int:
    """The last second of a day in Japan, so many days on, or the second that was asked for."""
    if options.get("expires_at") is not None:
        return int(options["expires_at"])
    days = options.get("expires_after_days") or DEFAULT_DAYS
    today = (now + _JAPAN) // _DAY
    return int((today + days + 1) * _DAY - 1 - _JAPAN)
