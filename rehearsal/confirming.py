"""Confirming an intent tries to take the money: it succeeds, is declined, or first asks the customer.

Source: https://docs.stripe.com/api/payment_intents/confirm
"""

from __future__ import annotations

from rehearsal import (
    charges,
    confirmation_tokens,
    disputes,
    konbini,
    payment_intents,
    payment_methods,
    processing,
    three_d_secure,
)
from rehearsal.call import Call
from rehearsal.cards import AUTHENTICATION, Card, Decline
from rehearsal.errors import ApiError, doc_url, invalid, malformed
from rehearsal.payment_intents import unexpected_state
from rehearsal.store import Json

MOST_CONFIRMS = 100
"""Stripe cancels an intent after "a variable upper limit" of confirmations; here it is a hundred."""


def confirm(call: Call) -> Json:
    intent = call.find("payment_intents", "payment_intent")
    payment_intents._check_common(call, call.params)
    return confirm_intent(call, intent)


def confirm_intent(call: Call, intent: Json) -> Json:
    """Confirms an intent with the payment method of the call, of its token, or of the intent itself."""
    params = call.params
    _check_status(intent)
    ways = [
        name for name in ("confirmation_token", "payment_method", "payment_method_data") if name in params
    ]
    if len(ways) > 1:
        raise malformed(f"You may only specify one of these parameters: {', '.join(ways)}.", param=ways[1])

    changes: Json = {"next_action": None, "last_payment_error": None}
    return_url = params.get("return_url")
    use_sdk = params.get("use_stripe_sdk", False)
    number: str | None = None
    if "confirmation_token" in params:
        token, card, number = confirmation_tokens.look(call, params["confirmation_token"])
        preview = token["payment_method_preview"]
        return_url = return_url or token["return_url"]
        use_sdk = use_sdk or token["use_stripe_sdk"]
        if token["shipping"] is not None and "shipping" not in params:
            changes["shipping"] = payment_intents._shipping(token["shipping"])
        if token["setup_future_usage"] is not None:
            changes["setup_future_usage"] = token["setup_future_usage"]
    elif ways or intent["payment_method"] is not None:
        preview, card = _preview(call, intent)
    else:
        raise unexpected_state(
            intent,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update "
            "the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with "
            "a payment method or ConfirmationToken.",
        )
    _check_return_url(intent, return_url, use_sdk)
    for name in ("receipt_email", "setup_future_usage"):
        if name in params:
            changes[name] = params[name]
    if "shipping" in params:
        changes["shipping"] = payment_intents._shipping(params["shipping"])
    if "payment_method_options" in params:
        changes["payment_method_options"] = payment_intents._options(
            intent["payment_method_options"], params, intent["payment_method_types"]
        )
    payment_intents.check_type(intent, preview)
    konbini.check_voidable(call, intent, "confirm")
    if preview["type"] == "konbini":
        konbini.check_confirm({**intent, **changes}, preview, number)
        if params.get("error_on_requires_action"):
            raise invalid(
                "This payment required an action of the customer, but `error_on_requires_action` was set.",
                code="payment_intent_action_required",
                payment_intent=intent,
            )
    # From here on nothing is refused any more, so things may change.
    if "confirmation_token" in params:
        confirmation_tokens.use(call, params["confirmation_token"], intent["id"])
    method = payment_methods.make(call, preview, card)
    payment_intents.stop_waiting(call, intent)
    intent = call.store.change("payment_intents", intent["id"], payment_method=method["id"], **changes)
    if _too_often(call, intent):
        return payment_intents.cancel_intent(call, intent, "automatic")
    if card is None:
        return konbini.issue(call, intent, method, number)

    wish = intent["payment_method_options"]["card"].get("request_three_d_secure", "automatic")
    need = three_d_secure.need(card, wish)
    if need == "fails":
        return take_money(
            call, intent, method, card, three_d_secure.result_failed_lookup(), force=card.decline
        )
    if need == "challenge":
        if params.get("off_session") or params.get("error_on_requires_action"):
            return take_money(call, intent, method, card, None, force=AUTHENTICATION)
        return three_d_secure.ask(call, intent, method, card, return_url, use_sdk)
    return take_money(call, intent, method, card, three_d_secure.result_unasked(card, wish))


def take_money(
    call: Call,
    intent: Json,
    method: Json,
    card: Card,
    authentication: Json | None,
    force: Decline | None = None,
) -> Json:
    """Charges the card: answers the succeeded intent, or raises the card's error with the intent inside."""
    if call.processing_seconds is not None:
        return processing.begin(call, intent, method, card, authentication, force, call.processing_seconds)
    decline = force or card.decline
    charge = charges.make(call, intent, method, card, authentication, decline)
    if decline is None:
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
        disputes.expect(call, charge, card.name)
        return intent
    error: Json = {
        "advice_code": charges.advice(decline),
        "charge": charge["id"],
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": doc_url(decline.code),
        "message": decline.message,
        "network_decline_code": None if decline.blocked else charges.network_code(decline),
        "payment_method": method,
        "type": "card_error",
    }
    error = {key: value for key, value in error.items() if value is not None}
    if decline.code == "incorrect_cvc":
        error["param"] = "cvc"
    elif decline.code == "expired_card":
        error["param"] = "exp_month"
    intent = call.store.change(
        "payment_intents",
        intent["id"],
        status="requires_payment_method",
        payment_method=None,
        latest_charge=charge["id"],
        next_action=None,
        last_payment_error=error,
    )
    call.emit("charge.failed", charge)
    call.emit("payment_intent.payment_failed", intent)
    raise declined(error, intent)


def declined(error: Json, intent: Json) -> ApiError:
    """Answers the 402 that tells of a decline; the intent in it is back at `requires_payment_method`."""
    more = {
        key: value
        for key, value in error.items()
        if key not in ("code", "message", "param", "type", "doc_url")
    }
    return ApiError(
        402,
        "card_error",
        error["message"],
        code=error["code"],
        param=error.get("param"),
        should_retry=False,
        payment_intent=intent,
        **more,
    )


def _check_status(intent: Json) -> None:
    status = intent["status"]
    if status in ("requires_payment_method", "requires_confirmation", "requires_action"):
        return
    if status == "succeeded":
        raise unexpected_state(
            intent,
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
        )
    raise unexpected_state(
        intent,
        f"You cannot confirm this PaymentIntent because it has a status of {status}. Only a PaymentIntent with one "
        "of the following statuses may be confirmed: requires_confirmation, requires_action.",
    )


def _preview(call: Call, intent: Json) -> tuple[Json, Card | None]:
    params = call.params
    if "payment_method_data" in params:
        return payment_methods.preview_of_data(call, params["payment_method_data"], "payment_method_data")
    name = params.get("payment_method") or intent["payment_method"]
    return payment_methods.preview_of_name(call, name, "payment_method")


def _check_return_url(intent: Json, return_url: str | None, use_sdk: bool) -> None:
    automatic = intent["automatic_payment_methods"]
    if return_url is not None and not return_url.startswith(("https://", "http://")):
        raise invalid("Not a valid URL", param="return_url", code="url_invalid")
    if automatic and automatic["allow_redirects"] == "always" and return_url is None and not use_sdk:
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. "
            "If you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` "
            "to `true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
            "Payment Intents."
        )


def _too_often(call: Call, intent: Json) -> bool:
    row = call.store.get("confirms", intent["id"]) or {"id": intent["id"], "times": 0}
    call.store.put("confirms", intent["id"], {**row, "times": row["times"] + 1})
    return int(row["times"]) >= MOST_CONFIRMS
