"""A PaymentIntent is one purchase to be paid: it is made with an amount and ends as succeeded or canceled.

Source: https://docs.stripe.com/api/payment_intents and https://docs.stripe.com/payments/paymentintents/lifecycle
Confirming is in `confirming.py`. Yen only: whole yen, 50 to 99,999,999.
"""

from __future__ import annotations

from typing import Any

from rehearsal import konbini, lists, payment_methods, three_d_secure
from rehearsal.call import Call
from rehearsal.cards import Card
from rehearsal.errors import ApiError, forbidden, invalid, malformed, missing
from rehearsal.params import (
    CREATED,
    EXPAND,
    PAGING,
    SHIPPING,
    Kind,
    Shape,
    array,
    boolean,
    choice,
    emptyable,
    hash_of,
    integer,
    merged_metadata,
    metadata,
    missing_here,
    text,
)
from rehearsal.store import Json

LEAST_YEN = 50
MOST_YEN = 99_999_999

OFFERED_TYPES: tuple[str, ...] = ("card", "konbini")
"""The kinds of payment that a PaymentIntent can be paid with here. Without being asked for, only those are offered
that the Dashboard has switched on: the rehearsal's `dashboard_types`, cards by default."""


def _no_longer_supported(value: Any, name: str) -> Any:
    # Stripe's changelog, endive/2026-09-30: the parameter is read-only from that version on.
    raise malformed(
        "The payment_method_types parameter is no longer supported as of API version 2026-09-30.endive. Use "
        "dynamic payment methods, allowed_payment_method_types or excluded_payment_method_types instead.",
        param=name,
        code="payment_method_types_no_longer_supported",
    )


_TYPE_NAME = text(40)
_CARD_OPTIONS: Shape = {
    "capture_method": emptyable(missing_here("it captures automatically only.")),
    "request_three_d_secure": choice("automatic", "any", "challenge"),
    "moto": missing_here("there are no mail or telephone orders."),
    "network": text(40),
    "setup_future_usage": emptyable(choice("none", "off_session", "on_session")),
    "statement_descriptor_suffix_kana": emptyable(text(22)),
    "statement_descriptor_suffix_kanji": emptyable(text(17)),
}
_OPTIONS: Shape = {
    "card": emptyable(hash_of(_CARD_OPTIONS)),
    "konbini": emptyable(hash_of(konbini.OPTIONS)),
}
_METHOD_TYPES: Shape = {
    "payment_method_types": _no_longer_supported,
    "allowed_payment_method_types": emptyable(array(_TYPE_NAME)),
    "excluded_payment_method_types": emptyable(array(_TYPE_NAME)),
}
_NOT_YET: Kind = missing_here("this part of Stripe is not rehearsed.")
_ABSENT: Shape = dict.fromkeys(
    (
        "amount_details",
        "amount_to_confirm",
        "application_fee_amount",
        "customer_account",
        "hooks",
        "mandate",
        "mandate_data",
        "on_behalf_of",
        "payment_details",
        "payment_method_configuration",
        "radar_options",
        "transfer_data",
    ),
    _NOT_YET,
)
_COMMON: Shape = {
    **_METHOD_TYPES,
    "capture_method": choice("automatic", "automatic_async", "manual"),
    "expand": EXPAND,
    "payment_method": text(200),
    "payment_method_data": hash_of(payment_methods.DATA),
    "payment_method_options": hash_of(_OPTIONS),
    "receipt_email": emptyable(text(800)),
    "setup_future_usage": emptyable(choice("off_session", "on_session")),
    "shipping": emptyable(hash_of(SHIPPING)),
}
_WHEN_CONFIRMING: Shape = {
    "confirmation_token": text(200),
    "error_on_requires_action": boolean,
    "off_session": boolean,
    "return_url": text(2048),
    "use_stripe_sdk": boolean,
}
_DESCRIBING: Shape = {
    "amount": integer,
    "currency": text(10),
    "customer": text(200),
    "description": emptyable(text(1000)),
    "metadata": metadata,
    "statement_descriptor": text(22),
    "statement_descriptor_suffix": text(22),
    "transfer_group": text(200),
}
CREATE: Shape = {
    **_ABSENT,
    **_COMMON,
    **_WHEN_CONFIRMING,
    **_DESCRIBING,
    "automatic_payment_methods": hash_of({"enabled": boolean, "allow_redirects": choice("always", "never")}),
    "confirm": boolean,
    "confirmation_method": choice("automatic", "manual"),
}
UPDATE: Shape = {**_ABSENT, **_COMMON, **_DESCRIBING}
CONFIRM: Shape = {**_ABSENT, **_COMMON, **_WHEN_CONFIRMING}
CANCEL: Shape = {
    "cancellation_reason": choice("abandoned", "duplicate", "fraudulent", "requested_by_customer"),
    "expand": EXPAND,
}
RETRIEVE: Shape = {"client_secret": text(300), "expand": EXPAND}
LIST: Shape = {**PAGING, "created": CREATED, "customer": text(200)}

# What a browser may see of an intent: the fields Stripe documents as visible to a publishable key.
PUBLIC_FIELDS = (
    "id",
    "object",
    "amount",
    "automatic_payment_methods",
    "canceled_at",
    "cancellation_reason",
    "capture_method",
    "client_secret",
    "confirmation_method",
    "created",
    "currency",
    "description",
    "last_payment_error",
    "livemode",
    "next_action",
    "payment_method",
    "payment_method_types",
    "processing",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "status",
)


def create(call: Call) -> Json:
    """Makes an intent in `requires_payment_method`, and confirms it at once if `confirm` is true."""
    params = call.params
    for name in ("amount", "currency"):
        if name not in params:
            raise malformed(f"Missing required param: {name}.", param=name, code="parameter_missing")
    _check_money(params["amount"], params["currency"])
    _check_common(call, params)
    if params.get("confirmation_method") == "manual":
        raise malformed("The rehearsal confirms automatically only.", param="confirmation_method")
    if not params.get("confirm"):
        for name in _WHEN_CONFIRMING:
            if name in params and name != "use_stripe_sdk":
                raise malformed(f"{name} may only be given when confirm is true.", param=name)
    automatic = params.get("automatic_payment_methods")
    types = method_types(call, params, params["amount"], bool(automatic))
    if automatic is not None and "enabled" not in automatic:
        raise malformed(
            "Missing required param: automatic_payment_methods[enabled].",
            param="automatic_payment_methods[enabled]",
            code="parameter_missing",
        )
    given = None if params.get("confirm") else _given_method(call, types)
    id = call.new_id("pi")
    # Without any of the parameters that narrow the kinds, the Dashboard's settings decide.
    if automatic is None and params.get("allowed_payment_method_types") is None:
        automatic = {"enabled": True, "allow_redirects": "always"}
    elif automatic is not None:
        automatic = {"allow_redirects": "always", **automatic}
    intent = call.store.put(
        "payment_intents",
        id,
        {
            "id": id,
            "object": "payment_intent",
            "allowed_payment_method_types": params.get("allowed_payment_method_types"),
            "amount": params["amount"],
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": automatic,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": params.get("capture_method", "automatic_async"),
            "client_secret": f"{id}_secret_{call.rehearsal.ids.letters(25)}",
            "confirmation_method": "automatic",
            "created": call.now,
            "currency": "jpy",
            "customer": params.get("customer"),
            "customer_account": None,
            "description": params.get("description"),
            "excluded_payment_method_types": params.get("excluded_payment_method_types"),
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": merged_metadata({}, params.get("metadata", {})),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": _options({}, params, types),
            "payment_method_types": types,
            "processing": None,
            "receipt_email": params.get("receipt_email"),
            "review": None,
            "setup_future_usage": params.get("setup_future_usage"),
            "shipping": _shipping(params.get("shipping")),
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": params.get("statement_descriptor_suffix"),
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": params.get("transfer_group"),
        },
    )
    call.emit("payment_intent.created", intent)
    if params.get("confirm"):
        from rehearsal import confirming

        return confirming.confirm_intent(call, intent)
    return _with_method(call, intent, given)


def retrieve(call: Call) -> Json:
    """Answers an intent; a browser must bring its client secret and sees only the public fields."""
    intent = call.find("payment_intents", "payment_intent")
    secret = call.given("client_secret")
    if secret is not None and secret != intent["client_secret"]:
        raise missing("payment_intent", call.path_id, param="intent")
    if not call.publishable:
        return intent
    if secret is None:
        raise forbidden(
            "This API call cannot be made with a publishable API key unless it carries the client_secret.",
            "secret_key_required",
        )
    return {name: intent[name] for name in PUBLIC_FIELDS}


def list_(call: Call) -> Json:
    customer = call.params.get("customer")
    return lists.page(
        call,
        "payment_intents",
        "/v1/payment_intents",
        lambda row: customer is None or row["customer"] == customer,
    )


def update(call: Call) -> Json:
    """Changes an intent that is not yet paid; what only describes it may be changed at any time."""
    intent = call.find("payment_intents", "payment_intent")
    params = call.params
    _check_common(call, params)
    if "amount" in params or "currency" in params:
        money: Json = {**intent, **params}
        _check_money(money["amount"], money["currency"])
    for name in params:
        if name not in _ALWAYS_OPEN and intent["status"] not in _OPEN:
            raise unexpected_state(
                intent,
                f"This PaymentIntent's {name} could not be updated because it has a status of {intent['status']}. "
                f"You may only update the {name} of a PaymentIntent with one of the following statuses: "
                "requires_payment_method, requires_confirmation, requires_action.",
            )
    waits_at_store = (
        konbini.open_voucher(call, intent["id"]) if intent["status"] == "requires_action" else None
    )
    new_voucher = waits_at_store is not None and any(name not in _ALWAYS_OPEN for name in params)
    if new_voucher:
        konbini.check_voidable(call, intent, "update")
    changes: Json = {
        name: params[name]
        for name in (
            "amount",
            "customer",
            "description",
            "receipt_email",
            "setup_future_usage",
            "statement_descriptor_suffix",
            "transfer_group",
        )
        if name in params
    }
    if "metadata" in params:
        changes["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    if "shipping" in params:
        changes["shipping"] = _shipping(params["shipping"])
    amount: int = params["amount"] if "amount" in params else intent["amount"]
    narrowing: Json = {
        name: params.get(name)
        for name in ("allowed_payment_method_types", "excluded_payment_method_types")
        if "allowed_payment_method_types" in params or "excluded_payment_method_types" in params
    }
    if narrowing or "amount" in params:
        changes.update(narrowing)
        changes["payment_method_types"] = method_types(call, narrowing or intent, amount, False)
    types: list[str] = (
        changes["payment_method_types"]
        if "payment_method_types" in changes
        else intent["payment_method_types"]
    )
    if "payment_method_options" in params or types != intent["payment_method_types"]:
        changes["payment_method_options"] = _options(intent["payment_method_options"], params, types)
    given = _given_method(call, types)
    if new_voucher:
        konbini.void(call, intent)
        changes.update(status="requires_confirmation", next_action=None)
    elif (
        intent["status"] == "requires_action" and "amount" in params and params["amount"] != intent["amount"]
    ):
        # A customer must not authenticate one amount and pay another.
        three_d_secure.void(call, intent)
        changes.update(status="requires_confirmation", next_action=None)
    return _with_method(call, call.store.change("payment_intents", intent["id"], **changes), given)


def cancel(call: Call) -> Json:
    """Ends an intent that is not paid; from then on it can never be paid."""
    intent = call.find("payment_intents", "payment_intent")
    if intent["status"] not in _OPEN | {"requires_capture"}:
        raise unexpected_state(
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be canceled: requires_payment_method, "
            "requires_capture, requires_confirmation, requires_action, processing.",
        )
    konbini.check_voidable(call, intent, "cancel")
    return cancel_intent(call, intent, call.given("cancellation_reason"))


def cancel_intent(call: Call, intent: Json, reason: str | None) -> Json:
    stop_waiting(call, intent)
    intent = call.store.change(
        "payment_intents",
        intent["id"],
        status="canceled",
        canceled_at=call.now,
        cancellation_reason=reason,
        next_action=None,
    )
    call.emit("payment_intent.canceled", intent)
    return intent


def stop_waiting(call: Call, intent: Json) -> None:
    """Ends what an intent waits for: the customer's bank has nothing more to ask, the voucher is worthless."""
    if intent["status"] == "requires_action":
        if intent["next_action"]["type"] == "konbini_display_details":
            konbini.void(call, intent)
        else:
            three_d_secure.void(call, intent)


def unexpected_state(intent: Json, message: str) -> ApiError:
    """The intent is not in a state for this; the error carries the intent, so that the caller can see it."""
    return invalid(message, code="payment_intent_unexpected_state", payment_intent=intent)


def method_types(call: Call, params: Json, amount: int, automatic: bool) -> list[str]:
    """Answers the kinds of payment an intent takes: the offered ones, narrowed by what was asked.

    `allowed_payment_method_types` filters silently and excludes the other ways of choosing
    (Stripe's changelog, dahlia/2026-07-29).
    """
    allowed = params.get("allowed_payment_method_types")
    excluded = params.get("excluded_payment_method_types")
    if allowed is not None and (excluded is not None or automatic):
        other = "excluded_payment_method_types" if excluded is not None else "automatic_payment_methods"
        raise malformed(
            f"You may only specify one of these parameters: allowed_payment_method_types, {other}.",
            param="allowed_payment_method_types",
        )
    types = [
        name
        for name in (call.rehearsal.dashboard_types if allowed is None else OFFERED_TYPES)
        if (allowed is None or name in allowed)
        and (excluded is None or name not in excluded)
        and (name != "konbini" or konbini.takes(amount))
    ]
    if not types:
        raise invalid(
            "No valid payment method types for this PaymentIntent. The rehearsal offers: "
            + ", ".join(OFFERED_TYPES)
            + ".",
            param="allowed_payment_method_types" if allowed is not None else "excluded_payment_method_types",
            code="payment_intent_invalid_parameter",
        )
    return types


def _check_money(amount: int, currency: str) -> None:
    if currency.lower() != "jpy":
        raise malformed(
            f"Invalid currency: {currency.lower()}. The rehearsal offers jpy only.", param="currency"
        )
    if amount < 1:
        raise malformed(
            "This value must be greater than or equal to 1.", param="amount", code="parameter_invalid_integer"
        )
    if amount < LEAST_YEN:
        raise invalid(f"Amount must be at least ¥{LEAST_YEN} jpy", param="amount", code="amount_too_small")
    if amount > MOST_YEN:
        raise invalid(f"Amount must be no more than ¥{MOST_YEN:,}", param="amount", code="amount_too_large")


def _check_common(call: Call, params: Json) -> None:
    if "customer" in params and call.store.get("customers", params["customer"]) is None:
        raise missing("customer", params["customer"], param="customer", status=400)
    given = (params.get("payment_method_options") or {}).get("konbini")
    if given:
        konbini.check_options(call, given)
    if params.get("capture_method") == "manual":
        raise malformed("The rehearsal captures automatically only.", param="capture_method")
    if "statement_descriptor" in params:
        raise invalid(
            "Statement descriptor is not supported for some of the payment method types on this intent (card). "
            "Use statement_descriptor_suffix instead.",
            param="statement_descriptor",
            code="payment_intent_invalid_parameter",
        )
    if "payment_method" in params and "payment_method_data" in params:
        raise malformed("You may only specify one of these parameters: payment_method, payment_method_data.")


def _given_method(call: Call, types: list[str]) -> tuple[Json, Card | None] | None:
    """Reads a payment method given with create or update, before anything is changed."""
    params = call.params
    if "payment_method" in params:
        given = payment_methods.preview_of_name(call, params["payment_method"], "payment_method")
    elif "payment_method_data" in params:
        given = payment_methods.preview_of_data(call, params["payment_method_data"], "payment_method_data")
    else:
        return None
    check_type({"payment_method_types": types}, given[0])
    return given


def _with_method(call: Call, intent: Json, given: tuple[Json, Card | None] | None) -> Json:
    """Puts a payment method onto the intent, which then waits to be confirmed."""
    if given is None:
        return intent
    method = payment_methods.make(call, *given)
    return call.store.change(
        "payment_intents", intent["id"], payment_method=method["id"], status="requires_confirmation"
    )


def check_type(intent: Json, method: Json) -> None:
    """Refuses a payment method of a kind that the intent does not take."""
    if method["type"] not in intent["payment_method_types"]:
        raise invalid(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. Please attach a "
            "PaymentMethod of one of the following types: " + ", ".join(intent["payment_method_types"]) + ".",
            param="payment_method",
            code="payment_intent_incompatible_payment_method",
        )


def _options(old: Json, params: Json, types: list[str]) -> Json:
    """Answers the options of every kind of payment that the intent takes."""
    given = params.get("payment_method_options") or {}
    options = {}
    for name in types:
        blank = _NO_CARD_OPTIONS if name == "card" else konbini.NO_OPTIONS
        options[name] = {**(old.get(name) or blank), **(given.get(name) or {})}
    return options


def _shipping(given: Json | None) -> Json | None:
    if given is None:
        return None
    blank = {"address": None, "carrier": None, "name": None, "phone": None, "tracking_number": None}
    no_address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    address = given.get("address")
    return {**blank, **given, "address": {**no_address, **address} if address else no_address}


_NO_CARD_OPTIONS: Json = {
    "installments": None,
    "mandate_options": None,
    "network": None,
    "request_three_d_secure": "automatic",
}
_OPEN = {"requires_payment_method", "requires_confirmation", "requires_action"}
_ALWAYS_OPEN = {"metadata", "description", "receipt_email", "expand", "transfer_group", "shipping"}
