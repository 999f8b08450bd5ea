"""3-D Secure: the card's bank asks the customer, on a page of the rehearsal, whether this is really them.

Source: https://docs.stripe.com/payments/3d-secure/authentication-flow. Japan has required it since March 2025,
so a payment that stops here is a normal one.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from rehearsal.call import Call
from rehearsal.cards import BY_NAME, Card
from rehearsal.errors import ApiError, doc_url, invalid, missing
from rehearsal.store import Json, Store

AUTHENTICATION_FAILURE = "payment_intent_authentication_failure"


def need(card: Card, wish: str) -> Literal["nothing", "challenge", "fails"]:
    """Tells whether the customer is asked: the card's bank decides, and `request_three_d_secure` may wish for it.

    With `any` a card that supports it is authenticated without a question (frictionless); with `challenge` the
    customer is asked (https://docs.stripe.com/payments/3d-secure/authentication-flow#manual-three-ds).
    """
    asked = card.three_d_secure == "required" or (card.three_d_secure == "optional" and wish != "automatic")
    if asked and card.lookup_fails:
        return "fails" if card.three_d_secure == "required" else "nothing"
    if card.three_d_secure == "required" or (asked and wish == "challenge"):
        return "challenge"
    return "nothing"


def ask(call: Call, intent: Json, method: Json, card: Card, return_url: str | None, use_sdk: bool) -> Json:
    """Stops the payment until the customer has answered: the intent becomes `requires_action`."""
    id = call.new_id("payatt")
    url = f"{call.rehearsal.base_url}/_challenge/{id}"
    if use_sdk or return_url is None:
        action: Json = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url, "source": id},
        }
    else:
        action = {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}
    call.store.put(
        "challenges",
        id,
        {
            "id": id,
            "intent": intent["id"],
            "method": method["id"],
            "card": card.name,
            "return_url": return_url,
            "redirects": action["type"] == "redirect_to_url",
            "state": "open",
        },
    )
    call.store.put("challenge_of", intent["id"], {"id": intent["id"], "challenge": id})
    kind = intent["object"]  # payment_intent or setup_intent; both may have to ask
    intent = call.store.change(f"{kind}s", intent["id"], status="requires_action", next_action=action)
    call.emit(f"{kind}.requires_action", intent)
    return intent


def open_challenge(call: Call, intent_id: str) -> Json | None:
    """Answers the challenge an intent is waiting for, or None."""
    known = call.store.get("challenge_of", intent_id)
    row = call.store.get("challenges", known["challenge"]) if known else None
    return row if row is not None and row["state"] == "open" else None


def void(call: Call, intent: Json) -> None:
    """Closes the challenge of an intent that is confirmed anew or canceled; its page then says so."""
    challenge = open_challenge(call, intent["id"])
    if challenge is not None:
        call.store.change("challenges", challenge["id"], state="void")


def answer(call: Call, challenge_id: str, passed: bool) -> Json:
    """Takes the customer's answer: passed goes on to the charge, failed asks for another payment method."""
    from rehearsal import confirming

    challenge = call.store.get("challenges", challenge_id)
    if challenge is None:
        raise missing("challenge", challenge_id)
    intent = intent_of(call.store, challenge)
    assert intent is not None, "a challenge is made for an intent"
    if challenge["state"] != "open" or intent["status"] != "requires_action":
        raise invalid("This authentication is over.")
    call.store.change("challenges", challenge_id, state="passed" if passed else "failed")
    method = call.store.get("payment_methods", challenge["method"])
    assert method is not None, "a challenge is made with a payment method"
    if intent["object"] == "setup_intent":
        from rehearsal import setup_intents

        return setup_intents.answered(call, challenge, intent, method, passed)
    if passed:
        try:
            return confirming.take_money(
                call, intent, method, BY_NAME[challenge["card"]], result_challenged()
            )
        except ApiError as declined:
            # The customer's browser gets the intent with its error; there is no server call to refuse.
            told: Json = declined.error["payment_intent"]
            return told
    error = {
        "code": AUTHENTICATION_FAILURE,
        "doc_url": doc_url(AUTHENTICATION_FAILURE),
        "message": (
            "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new "
            "PaymentMethod to attempt to fulfill this PaymentIntent again."
        ),
        "payment_method": method,
        "type": "invalid_request_error",
    }
    intent = call.store.change(
        "payment_intents",
        intent["id"],
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_payment_error=error,
    )
    call.emit("payment_intent.payment_failed", intent)
    return intent


def intent_of(store: Store, challenge: Json) -> Json | None:
    """Answers the PaymentIntent or SetupIntent that a challenge was made for."""
    table = "setup_intents" if challenge["intent"].startswith("seti_") else "payment_intents"
    return store.get(table, challenge["intent"])


def return_address(challenge: Json, intent: Json) -> str | None:
    """Answers where the browser goes afterwards, with the parameters that Stripe adds to a `return_url`."""
    if not challenge["redirects"] or challenge["return_url"] is None:
        return None
    parts = urlsplit(challenge["return_url"])
    status = "succeeded" if intent["status"] == "succeeded" else "failed"
    kind = intent["object"]
    added = urlencode(
        {
            kind: intent["id"],
            f"{kind}_client_secret": intent["client_secret"],
            "redirect_status": status,
        }
    )
    query = f"{parts.query}&{added}" if parts.query else added
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment))


def result_challenged() -> Json:
    return _result("authenticated", flow="challenge", indicator="05")


def result_failed_lookup() -> Json:
    return _result("processing_error", flow=None, indicator=None, reason="protocol_error")


def result_unasked(card: Card, wish: str) -> Json | None:
    """What a charge says about 3-D Secure when the customer was not asked; None if nobody tried."""
    if wish == "automatic" or card.three_d_secure == "unsupported":
        return None
    if card.three_d_secure == "optional":
        return result_failed_lookup() if card.lookup_fails else _result("authenticated", "frictionless", "05")
    return _result("attempt_acknowledged", flow=None, indicator="06", reason="card_not_enrolled")


def _result(result: str, flow: str | None, indicator: str | None, reason: str | None = None) -> Json:
    return {
        "authentication_flow": flow,
        "electronic_commerce_indicator": indicator,
        "exemption_indicator": None,
        "result": result,
        "result_reason": reason,
        "transaction_id": None,
        "version": "2.2.0",
    }
