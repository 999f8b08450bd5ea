"""The schemas read from the SDK are a real check: what is wrong is caught."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from rehearsal import Answer, Rehearsal, Request, routes
from rehearsal.thin_events import notification
from tests.rehearsal.stripe_schemas import (
    SchemaWatch,
    Unfit,
    check_error,
    check_form,
    check_object,
    check_request,
    check_response,
    route_for,
    sdk_routes,
)

CONFIRM = "/v1/payment_intents/pi_1/confirm"
GOOD = {"amount": 5400, "currency": "jpy", "metadata": {"order": "42"}}


def test_the_route_table_is_the_sdk_s() -> None:
    assert len(sdk_routes()) > 500
    route = route_for("POST", CONFIRM)
    assert route is not None
    assert route.path == "/v1/payment_intents/{intent}/confirm"


def test_every_route_of_the_rehearsal_is_one_of_stripe_s() -> None:
    unknown = [
        (r.method, r.path) for r in routes.ROUTES if route_for(r.method, r.path.replace(":id", "x_1")) is None
    ]
    assert unknown == [("POST", "/v1/confirmation_tokens")]  # Stripe.js's own, for browsers


@pytest.mark.parametrize(
    "wrong",
    [
        {**GOOD, "amuont": 5},
        {**GOOD, "amount": "5400"},
        {**GOOD, "payment_method_types": ["card"]},
        {**GOOD, "allowed_payment_method_types": ["crad"]},
        {**GOOD, "allowed_payment_method_types": "card"},
        {**GOOD, "metadata": {"order": 42}},
        {**GOOD, "capture_method": "later"},
        {**GOOD, "shipping": {"nmae": "x"}},
        {"amount": 5400},
    ],
)
def test_a_wrong_request_is_caught(wrong: dict[str, Any]) -> None:
    check_request("POST", "/v1/payment_intents", GOOD)
    with pytest.raises(Unfit):
        check_request("POST", "/v1/payment_intents", wrong)


def test_a_request_is_checked_as_it_travels_too() -> None:
    check_form("POST", CONFIRM, {"off_session": "true", "allowed_payment_method_types": {"0": "card"}})
    for wrong in ({"off_session": "yes"}, {"allowed_payment_method_types": {"0": "crad"}}, {"x": "1"}):
        with pytest.raises(Unfit):
            check_form("POST", CONFIRM, wrong)
    with pytest.raises(Unfit):
        check_request("POST", "/v1/payment_intense", {})


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from leaves(inner, (*path, at))
    else:
        yield path


def changed(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    copied = copy.deepcopy(body)
    here = copied
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return copied


def caught(body: Any) -> bool:
    try:
        check_object(body)
    except Unfit:
        return True
    return False


def test_nearly_every_value_of_a_wrong_type_is_caught(rehearsal: Rehearsal, pay) -> None:
    pay()
    tried = missed = 0
    for table in ("payment_intents", "charges", "payment_methods", "confirmation_tokens"):
        body = rehearsal.rows(table)[0]
        check_object(body)
        for path in leaves(body):
            if path[-1] in ("livemode", "object") or "metadata" in path:
                continue
            tried += 1
            missed += not caught(changed(body, path, ["wrong"]))
        check_extra = {**body, "not_a_field": 1}
        assert caught(check_extra)
    assert tried > 150
    assert missed <= tried * 0.05, f"{missed} of {tried} were missed"


def test_the_later_objects_and_thin_events_are_checked_as_closely(
    rehearsal: Rehearsal, client: stripe.StripeClient, pay
) -> None:
    customer = client.v1.customers.create({"name": "x", "address": {"country": "JP"}})
    client.v1.setup_intents.create({"customer": customer.id})
    charge = str(pay().latest_charge)
    rehearsal.advance(5)
    rehearsal.refund_by_hand(charge, 100)
    rehearsal.warn_of_fraud(charge)
    rehearsal.dispute(charge)
    voucher = client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "allowed_payment_method_types": ["konbini"],
            "confirm": True,
            "payment_method_data": {
                "type": "konbini",
                "billing_details": {"name": "x", "email": "x@example.com"},
            },
        }
    )
    thin = notification(rehearsal.rows("events")[0])
    bodies = [
        rehearsal.find("payment_intents", voucher.id),
        {**thin, "changes": None, "snapshot_event": "evt_1"},
        *(
            rehearsal.rows(table)[0]
            for table in (
                "customers",
                "setup_intents",
                "refunds",
                "disputes",
                "balance_transactions",
                "early_fraud_warnings",
            )
        ),
    ]
    tried = missed = 0
    for body in bodies:
        assert body is not None
        check_object(body)
        assert caught({**body, "not_a_field": 1})
        for path in leaves(body):
            if path[-1] in ("livemode", "object", "status") or "metadata" in path or "evidence" in path:
                continue
            tried += 1
            missed += not caught(changed(body, path, {"wrong": 1}))
    assert tried > 150
    assert missed <= tried * 0.05, f"{missed} of {tried} were missed"


def test_a_wrong_word_in_a_list_of_words_is_caught(rehearsal: Rehearsal, pay) -> None:
    pay()
    intent, charge = rehearsal.rows("payment_intents")[0], rehearsal.rows("charges")[0]
    assert caught({**intent, "status": "payed"})
    assert caught({**charge, "status": "done"})
    assert caught({name: value for name, value in intent.items() if name != "amount"})
    event = rehearsal.rows("events")[0]
    assert caught({**event, "type": "payment_intent.payed"})
    assert caught({**event, "data": {"object": {**intent, "status": "payed"}}})


def test_errors_are_checked_too() -> None:
    good = {"error": {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}}
    check_error(402, good)
    for wrong in (
        {"error": {**good["error"], "code": "card_delcined"}},
        {"error": {**good["error"], "type": "crad_error"}},
        {"error": {**good["error"], "declined_code": "x"}},
        {"error": good["error"], "more": 1},
        {"error": {"type": "card_error"}},
    ):
        with pytest.raises((Unfit, KeyError)):
            check_error(402, wrong)


def test_a_list_is_checked_row_by_row(rehearsal: Rehearsal, pay) -> None:
    pay()
    body = {
        "object": "list",
        "data": rehearsal.rows("charges"),
        "has_more": False,
        "url": "/v1/charges",
    }
    check_response("GET", "/v1/charges", body)
    with pytest.raises(Unfit):
        check_response("GET", "/v1/charges", {**body, "data": [{**body["data"][0], "paid": "yes"}]})
    with pytest.raises(Unfit):
        check_response("GET", "/v1/charges", {**body, "hasmore": True})


def test_the_watch_sees_a_wrong_answer_and_a_wrong_request() -> None:
    watch = SchemaWatch(strict=True)
    request = Request("POST", "/v1/payment_intents", {}, params={"amount": "5", "currency": "jpy", "x": "1"})
    watch(request, Answer(400, {}, json.dumps({"error": {"type": "invalid_request_error", "message": "x"}})))
    assert len(watch.problems) == 1
    request.params.pop("x")
    watch(request, Answer(200, {}, '{"object": "payment_intent", "id": "pi_1"}'))
    assert len(watch.problems) == 2
    with pytest.raises(AssertionError):
        watch.verify()


def test_every_card_outcome_gives_fitting_answers(rehearsal: Rehearsal, client: stripe.StripeClient) -> None:
    from rehearsal.cards import CARDS

    watch = SchemaWatch(strict=True)
    rehearsal.observers.append(watch)
    for card in CARDS:
        intent = client.v1.payment_intents.create(
            {"amount": 5400, "currency": "jpy", "metadata": {"card": card.name}}
        )
        try:
            waiting = client.v1.payment_intents.confirm(
                intent.id, {"payment_method": card.name, "return_url": "https://shop.test/"}
            )
        except stripe.CardError:
            continue
        if waiting.status == "requires_action":
            rehearsal.authenticate(intent.id)
    watch.verify(rehearsal)
    assert watch.requests == 2 * len(CARDS)
    assert watch.events > 2 * len(CARDS)
