"""SetupIntents: a card is saved for later, with 3-D Secure where its bank asks, and no money moves.

Source: https://docs.stripe.com/api/setup_intents. Cards only; with a customer the card is kept for them.
"""

from __future__ import annotations

from rehearsal import confirmation_tokens, lists, payment_methods, three_d_secure
from rehearsal.call import Call
from rehearsal.cards import BY_NAME, Card
from rehearsal.charges import advice
from rehearsal.errors import ApiError, doc_url, forbidden, invalid, malformed, missing
from rehearsal.params import (
    CREATED,
    EXPAND,
    PAGING,
    Shape,
    array,
    boolean,
    choice,
    emptyable,
    hash_of,
    merged_metadata,
    metadata,
    missing_here,
    text,
)
from rehearsal.store import Json

_NOT_YET = missing_here("this part of Stripe is not rehearsed.")
_OPTIONS: Shape = {
    "card": hash_of({"request_three_d_secure": choice("automatic", "any", "challenge"), "network": text(40)})
}
_CONFIRMING: Shape = {
    "confirmation_token": text(200),
    "expand": EXPAND,
    "mandate_data": _NOT_YET,
    "payment_method": text(200),
    "payment_method_data": hash_of(payment_methods.DATA),
    "payment_method_options": hash_of(_OPTIONS),
    "return_url": text(2048),
    "use_stripe_sdk": boolean,
}
CREATE: Shape = {
    **_CONFIRMING,
    **dict.fromkeys(
        (
            "attach_to_self",
            "customer_account",
            "excluded_payment_method_types",
            "flow_directions",
            "on_behalf_of",
            "payment_method_configuration",
            "single_use",
        ),
        _NOT_YET,
    ),
    "allowed_payment_method_types": array(text(40)),
    "automatic_payment_methods": hash_of({"enabled": boolean, "allow_redirects": choice("always", "never")}),
    "confirm": boolean,
    "customer": text(200),
    "description": text(1000),
    "metadata": metadata,
    "usage": choice("off_session", "on_session"),
}
CONFIRM: Shape = {**_CONFIRMING, "allowed_payment_method_types": _NOT_YET}
UPDATE: Shape = {
    "customer": text(200),
    "description": text(1000),
    "expand": EXPAND,
    "metadata": emptyable(metadata),
}
CANCEL: Shape = {
    "cancellation_reason": choice("abandoned", "duplicate", "requested_by_customer"),
    "expand": EXPAND,
}
RETRIEVE: Shape = {"client_secret": text(300), "expand": EXPAND}
LIST: Shape = {**PAGING, "created": CREATED, "customer": text(200), "payment_method": text(200)}

_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_PUBLIC_FIELDS = (
    "id",
    "object",
    "cancellation_reason",
    "client_secret",
    "created",
    "description",
    "last_setup_error",
    "livemode",
    "next_action",
    "payment_method",
    "payment_method_types",
    "status",
    "usage",
)


def create(call: Call) -> Json:
    params = call.params
    _check_customer(call, params)
    types = params.get("allowed_payment_method_types")
    if types is not None and "card" not in types:
        raise invalid(
            "No valid payment method types for this SetupIntent. The rehearsal saves cards.",
            param="allowed_payment_method_types",
            code="setup_intent_invalid_parameter",
        )
    id = call.new_id("seti")
    card_options = {
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": "automatic",
        **((params.get("payment_method_options") or {}).get("card") or {}),
    }
    automatic = None if types is not None else {"allow_redirects": "always", "enabled": True}
    intent = call.store.put(
        "setup_intents",
        id,
        {
            "id": id,
            "object": "setup_intent",
            "allowed_payment_method_types": types,
            "application": None,
            "automatic_payment_methods": params.get("automatic_payment_methods", automatic),
            "cancellation_reason": None,
            "client_secret": f"{id}_secret_{call.rehearsal.ids.letters(25)}",
            "created": call.now,
            "customer": params.get("customer"),
            "customer_account": None,
            "description": params.get("description"),
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "mandate": None,
            "metadata": merged_metadata({}, params.get("metadata", {})),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {"card": card_options},
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": params.get("usage", "off_session"),
        },
    )
    call.emit("setup_intent.created", intent)
    if params.get("confirm"):
        return confirm_intent(call, intent)
    if "payment_method" in params or "payment_method_data" in params:
        preview, card = _means(call, intent)
        method = payment_methods.make(call, preview, card)
        intent = call.store.change(
            "setup_intents", id, payment_method=method["id"], status="requires_confirmation"
        )
    return intent


def retrieve(call: Call) -> Json:
    intent = call.find("setup_intents", "setupintent")
    secret = call.given("client_secret")
    if secret is not None and secret != intent["client_secret"]:
        raise missing("setupintent", call.path_id, param="intent")
    if not call.publishable:
        return intent
    if secret is None:
        raise forbidden(
            "This API call cannot be made with a publishable API key unless it carries the client_secret.",
            "secret_key_required",
        )
    return {name: intent[name] for name in _PUBLIC_FIELDS}


def list_(call: Call) -> Json:
    wanted = {name: call.params[name] for name in ("customer", "payment_method") if name in call.params}
    return lists.page(
        call,
        "setup_intents",
        "/v1/setup_intents",
        lambda row: all(row[name] == value for name, value in wanted.items()),
    )


def update(call: Call) -> Json:
    intent = call.find("setup_intents", "setupintent")
    params = call.params
    _check_customer(call, params)
    changes: Json = {name: params[name] for name in ("customer", "description") if name in params}
    if "metadata" in params:
        changes["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    return call.store.change("setup_intents", intent["id"], **changes)


def cancel(call: Call) -> Json:
    intent = call.find("setup_intents", "setupintent")
    _check_open(intent, "cancel")
    three_d_secure.void(call, intent)
    intent = call.store.change(
        "setup_intents",
        intent["id"],
        status="canceled",
        next_action=None,
        cancellation_reason=call.given("cancellation_reason"),
    )
    call.emit("setup_intent.canceled", intent)
    return intent


def confirm(call: Call) -> Json:
    return confirm_intent(call, call.find("setup_intents", "setupintent"))


def confirm_intent(call: Call, intent: Json) -> Json:
    """Saves the card, asks the customer first, or raises the card's error."""
    params = call.params
    _check_open(intent, "confirm")
    ways = [n for n in ("confirmation_token", "payment_method", "payment_method_data") if n in params]
    if len(ways) > 1:
        raise malformed(f"You may only specify one of these parameters: {', '.join(ways)}.", param=ways[1])
    return_url, use_sdk = params.get("return_url"), params.get("use_stripe_sdk", False)
    if "confirmation_token" in params:
        token, card, _ = confirmation_tokens.look(call, params["confirmation_token"])
        preview = token["payment_method_preview"]
        return_url, use_sdk = return_url or token["return_url"], use_sdk or token["use_stripe_sdk"]
    else:
        preview, card = _means(call, intent)
    if card is None:
        raise invalid(
            "Payment methods of type konbini cannot be set up for future payments.",
            code="setup_intent_invalid_parameter",
        )
    if "confirmation_token" in params:
        confirmation_tokens.use(call, params["confirmation_token"], intent["id"])
    method = payment_methods.make(call, preview, card)
    three_d_secure.void(call, intent)
    intent = call.store.change(
        "setup_intents", intent["id"], payment_method=method["id"], next_action=None, last_setup_error=None
    )
    wish = intent["payment_method_options"]["card"]["request_three_d_secure"]
    need = three_d_secure.need(card, wish)
    if need == "challenge":
        return three_d_secure.ask(call, intent, method, card, return_url, use_sdk)
    return _save(call, intent, method, card)


def answered(call: Call, challenge: Json, intent: Json, method: Json, passed: bool) -> Json:
    """Goes on after the customer's answer to their bank."""
    if passed:
        try:
            return _save(call, intent, method, BY_NAME[challenge["card"]])
        except ApiError as declined:
            told: Json = declined.error["setup_intent"]
            return told
    code = "setup_intent_authentication_failure"
    error = {
        "code": code,
        "doc_url": doc_url(code),
        "message": "The latest attempt to set up the payment method has failed because authentication failed.",
        "payment_method": method,
        "type": "invalid_request_error",
    }
    return _failed(call, intent, error)


def _save(call: Call, intent: Json, method: Json, card: Card) -> Json:
    # A card that is declined only when charged can be saved; the others are refused here already.
    decline = None if card.name == "pm_card_chargeCustomerFail" else card.decline
    if decline is not None:
        error: Json = {
            "advice_code": advice(decline),
            "code": decline.code,
            "decline_code": decline.decline_code,
            "doc_url": doc_url(decline.code),
            "message": decline.message,
            "payment_method": method,
            "type": "card_error",
        }
        error = {key: value for key, value in error.items() if value is not None}
        intent = _failed(call, intent, error)
        more = {k: v for k, v in error.items() if k not in ("code", "message", "type", "doc_url")}
        raise ApiError(
            402,
            "card_error",
            decline.message,
            code=decline.code,
            should_retry=False,
            setup_intent=intent,
            **more,
        )
    if intent["customer"] is not None:
        payment_methods.keep_for(call, method, intent["customer"])
    intent = call.store.change("setup_intents", intent["id"], status="succeeded", next_action=None)
    call.emit("setup_intent.succeeded", intent)
    return intent


def _failed(call: Call, intent: Json, error: Json) -> Json:
    intent = call.store.change(
        "setup_intents",
        intent["id"],
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error=error,
    )
    call.emit("setup_intent.setup_failed", intent)
    return intent


def _means(call: Call, intent: Json) -> tuple[Json, Card | None]:
    params = call.params
    if "payment_method_data" in params:
        return payment_methods.preview_of_data(call, params["payment_method_data"], "payment_method_data")
    name = params.get("payment_method") or intent["payment_method"]
    if name is None:
        raise _unexpected(
            intent, "You cannot confirm this SetupIntent because it's missing a payment method."
        )
    return payment_methods.preview_of_name(call, name, "payment_method")


def _check_open(intent: Json, doing: str) -> None:
    if intent["status"] not in _OPEN:
        raise _unexpected(
            intent, f"You cannot {doing} this SetupIntent because it has a status of {intent['status']}."
        )


def _unexpected(intent: Json, message: str) -> ApiError:
    return invalid(message, code="setup_intent_unexpected_state", setup_intent=intent)


def _check_customer(call: Call, params: Json) -> None:
    if "customer" in params and call.store.get("customers", params["customer"]) is None:
        raise missing("customer", params["customer"], param="customer", status=400)
