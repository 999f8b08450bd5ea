"""A confirmation token carries what the customer entered, from the browser to the server's confirm call.

It confirms one intent, once, and expires 12 hours after it was made
(https://docs.stripe.com/api/confirmation_tokens).
"""

from __future__ import annotations

from rehearsal import konbini, payment_methods
from rehearsal.call import Call
from rehearsal.cards import BY_NAME, Card
from rehearsal.errors import invalid, malformed, missing
from rehearsal.params import (
    EXPAND,
    SHIPPING,
    Shape,
    choice,
    hash_of,
    text,
)
from rehearsal.store import Json

LIFE_SECONDS = 12 * 3600

# Only Stripe.js sends it: the phone number that the customer wants as their number at the till.
_KONBINI: Shape = {"confirmation_number": konbini.OPTIONS["confirmation_number"]}

CREATE: Shape = {
    "payment_method": text(200),
    "payment_method_data": hash_of(payment_methods.DATA),
    "payment_method_options": hash_of({"card": hash_of({}), "konbini": hash_of(_KONBINI)}),
    "return_url": text(2048),
    "setup_future_usage": choice("off_session", "on_session"),
    "shipping": hash_of(SHIPPING),
    "expand": EXPAND,
}
RETRIEVE: Shape = {"expand": EXPAND, "client_secret": text(200)}


def create(call: Call) -> Json:
    """Makes a token: from the card form with a publishable key, or as a test helper with a secret one."""
    params = call.params
    if ("payment_method" in params) == ("payment_method_data" in params):
        raise malformed("You must provide exactly one of payment_method and payment_method_data.")
    if "payment_method" in params:
        preview, card = payment_methods.preview_of_name(call, params["payment_method"], "payment_method")
        preview = {key: value for key, value in preview.items() if key in _PREVIEW_FIELDS}
    else:
        preview, card = payment_methods.preview_of_data(
            call, params["payment_method_data"], "payment_method_data"
        )
    number = ((params.get("payment_method_options") or {}).get("konbini") or {}).get("confirmation_number")
    id = call.new_id("ctoken")
    if card is not None:
        call.store.put("cards_used", id, {"id": id, "card": card.name})
    elif number:
        call.store.put("numbers_wished", id, {"id": id, "number": number})
    return call.store.put(
        "confirmation_tokens",
        id,
        {
            "id": id,
            "object": "confirmation_token",
            "created": call.now,
            "expires_at": call.now + LIFE_SECONDS,
            "livemode": False,
            "mandate_data": None,
            "payment_intent": None,
            "payment_method_options": None,
            "payment_method_preview": preview,
            "return_url": params.get("return_url"),
            "setup_future_usage": params.get("setup_future_usage"),
            "setup_intent": None,
            "shipping": params.get("shipping"),
            # Stripe.js marks its tokens so that the browser, not a redirect, carries out 3-D Secure.
            "use_stripe_sdk": call.publishable,
        },
    )


def retrieve(call: Call) -> Json:
    return call.find("confirmation_tokens", "confirmation_token")


def look(call: Call, id: str) -> tuple[Json, Card | None, str | None]:
    """Finds a token that may confirm an intent: unused and younger than 12 hours.

    Answers it with its card (konbini has none) and with the number that the customer wants at the till.
    """
    token = call.store.get("confirmation_tokens", id)
    if token is None:
        raise missing("confirmation_token", id, param="confirmation_token", status=400)
    if token["payment_intent"] is not None or token["setup_intent"] is not None:
        kind = "PaymentIntent" if token["payment_intent"] else "SetupIntent"
        raise invalid(
            f"The provided confirmation_token ({id}) was already used to confirm a {kind}. "
            "Create a new one for each attempt.",
            param="confirmation_token",
        )
    if token["expires_at"] <= call.now:
        raise invalid(f"The provided confirmation_token ({id}) has expired.", param="confirmation_token")
    used = call.store.get("cards_used", id)
    wished = call.store.get("numbers_wished", id)
    return token, BY_NAME[used["card"]] if used else None, wished["number"] if wished else None


def use(call: Call, id: str, intent_id: str) -> None:
    """Uses a token up."""
    field = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
    call.store.change("confirmation_tokens", id, **{field: intent_id})


_PREVIEW_FIELDS = {
    "type",
    "allow_redisplay",
    "billing_details",
    "card",
    "konbini",
    "customer",
    "customer_account",
}
