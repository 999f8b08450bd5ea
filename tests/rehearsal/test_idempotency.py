"""Idempotency keys, rule by rule (https://docs.stripe.com/api/idempotent_requests)."""

from __future__ import annotations

import json
import threading

import pytest
import stripe

from rehearsal import Answer, Fault, Rehearsal

KEY = {"Authorization": "Bearer sk_test_rehearsal"}
CREATE = "amount=5400&currency=jpy&metadata[a]=1&metadata[b]=2"


def post(rehearsal: Rehearsal, key: str, body: str = CREATE, path: str = "/v1/payment_intents") -> Answer:
    return rehearsal.handle("POST", path, {**KEY, "Idempotency-Key": key}, body)


def error(answer: Answer) -> dict[str, str]:
    return json.loads(answer.body)["error"]


def test_the_same_key_answers_the_same_and_does_it_once(rehearsal: Rehearsal) -> None:
    first, second = post(rehearsal, "k"), post(rehearsal, "k")
    assert (first.status, first.body) == (second.status, second.body)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Original-Request"] == first.headers["Request-Id"]
    assert second.headers["Request-Id"] != first.headers["Request-Id"]
    assert len(rehearsal.rows("payment_intents")) == 1


def test_the_order_of_the_parameters_does_not_matter(rehearsal: Rehearsal) -> None:
    post(rehearsal, "k")
    again = post(rehearsal, "k", "metadata[b]=2&metadata[a]=1&currency=jpy&amount=5400")
    assert again.headers["Idempotent-Replayed"] == "true"


def test_other_parameters_under_the_same_key_are_refused(
    rehearsal: Rehearsal, client: stripe.StripeClient
) -> None:
    post(rehearsal, "k")
    refused = post(rehearsal, "k", CREATE.replace("5400", "5401"))
    assert (refused.status, error(refused)["type"]) == (400, "idempotency_error")
    with pytest.raises(stripe.IdempotencyError):
        client.v1.payment_intents.create({"amount": 1, "currency": "jpy"}, {"idempotency_key": "k"})
    assert len(rehearsal.rows("payment_intents")) == 1


def test_another_endpoint_under_the_same_key_is_refused(rehearsal: Rehearsal) -> None:
    intent = json.loads(post(rehearsal, "k").body)
    refused = post(rehearsal, "k", "", f"/v1/payment_intents/{intent['id']}/cancel")
    assert (refused.status, error(refused)["type"]) == (400, "idempotency_error")
    assert "same endpoint" in error(refused)["message"]


def test_a_decline_is_kept_and_a_new_key_tries_again(rehearsal: Rehearsal) -> None:
    intent = json.loads(post(rehearsal, "k").body)
    path = f"/v1/payment_intents/{intent['id']}/confirm"
    body = "payment_method=pm_card_visa_chargeDeclined&return_url=https://shop.test/"
    first, second = post(rehearsal, "c1", body, path), post(rehearsal, "c1", body, path)
    assert first.status == second.status == 402
    assert first.body == second.body
    assert len(rehearsal.rows("charges")) == 1
    third = post(rehearsal, "c2", body.replace("_chargeDeclined", ""), path)
    assert third.status == 200


def test_a_refusal_while_it_was_carried_out_is_kept(rehearsal: Rehearsal) -> None:
    small = CREATE.replace("5400", "49")
    assert post(rehearsal, "k", small).status == 400
    again = post(rehearsal, "k", small)
    assert (again.status, again.headers["Idempotent-Replayed"]) == (400, "true")


def test_a_refusal_of_the_parameters_is_not_kept(rehearsal: Rehearsal) -> None:
    assert post(rehearsal, "k", CREATE + "&amuont=1").status == 400
    assert post(rehearsal, "k").status == 200


def test_a_500_is_kept_whether_or_not_it_was_done(rehearsal: Rehearsal) -> None:
    for kind, made in (("error_before", 0), ("error_after", 1)):
        rehearsal.faults.set(Fault(kind, path="/v1/payment_intents"))  # type: ignore[arg-type]
        first, second = post(rehearsal, kind), post(rehearsal, kind)
        assert first.status == second.status == 500
        assert second.headers["Idempotent-Replayed"] == "true"
        assert second.headers["Stripe-Should-Retry"] == "false"
        assert len(rehearsal.rows("payment_intents")) == made


def test_a_429_is_not_kept(rehearsal: Rehearsal, client: stripe.StripeClient) -> None:
    rehearsal.faults.set(Fault("rate_limit"))
    with pytest.raises(stripe.RateLimitError):
        client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}, {"idempotency_key": "k"})
    made = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}, {"idempotency_key": "k"})
    assert made.amount == 5400


def test_a_401_is_not_kept(rehearsal: Rehearsal) -> None:
    wrong = {"Authorization": "Bearer sk_test_wrong", "Idempotency-Key": "k"}
    assert rehearsal.handle("POST", "/v1/payment_intents", wrong, CREATE).status == 401
    assert post(rehearsal, "k").status == 200


def test_a_lost_answer_is_found_again_under_its_key(
    rehearsal: Rehearsal, client: stripe.StripeClient
) -> None:
    rehearsal.faults.set(Fault("drop_after", path="/v1/payment_intents"))
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}, {"idempotency_key": "k"})
    made = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}, {"idempotency_key": "k"})
    assert [row["id"] for row in rehearsal.rows("payment_intents")] == [made.id]


def test_the_sdk_s_own_retry_finds_the_lost_answer(rehearsal: Rehearsal) -> None:
    from rehearsal.http_client import InProcessClient

    patient = stripe.StripeClient(
        rehearsal.secret_key, http_client=InProcessClient(rehearsal), max_network_retries=2
    )
    rehearsal.faults.set(Fault("drop_after", path="/v1/payment_intents"))
    made = patient.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    assert [row["id"] for row in rehearsal.rows("payment_intents")] == [made.id]


def test_two_at_once_with_one_key_conflict_and_one_goes_through() -> None:
    going, enough = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        going.set()
        enough.wait(5)

    rehearsal = Rehearsal(confirm_seconds=1, sleep=sleep)
    intent = json.loads(post(rehearsal, "k").body)
    path = f"/v1/payment_intents/{intent['id']}/confirm"
    body = "payment_method=pm_card_visa&return_url=https://shop.test/"
    done: list[Answer] = []
    thread = threading.Thread(target=lambda: done.append(post(rehearsal, "c", body, path)))
    thread.start()
    assert going.wait(5)
    conflict = post(rehearsal, "c", body, path)
    assert (conflict.status, error(conflict)["code"]) == (409, "idempotency_key_in_use")
    locked = post(rehearsal, "other", "", f"/v1/payment_intents/{intent['id']}/cancel")
    assert (locked.status, error(locked)["code"]) == (429, "lock_timeout")
    looked = rehearsal.handle("GET", f"/v1/payment_intents/{intent['id']}", KEY)
    assert json.loads(looked.body)["status"] == "requires_payment_method"
    enough.set()
    thread.join(5)
    assert done[0].status == 200
    assert post(rehearsal, "c", body, path).headers["Idempotent-Replayed"] == "true"
    assert len(rehearsal.rows("charges")) == 1


def test_after_24_hours_a_key_begins_anew(rehearsal: Rehearsal) -> None:
    first = post(rehearsal, "k")
    rehearsal.advance(24 * 3600 - 1)
    assert post(rehearsal, "k").body == first.body
    rehearsal.advance(1)
    second = post(rehearsal, "k")
    assert second.status == 200
    assert "Idempotent-Replayed" not in second.headers
    assert len(rehearsal.rows("payment_intents")) == 2


def test_old_keys_are_forgotten_as_new_ones_come(rehearsal: Rehearsal) -> None:
    for number in range(20):
        post(rehearsal, f"old{number}")
    rehearsal.advance(25 * 3600)
    for number in range(10):
        post(rehearsal, f"new{number}")
    assert sorted(row["key"] for row in rehearsal.rows("idempotency")) == [f"new{n}" for n in range(10)]


def test_a_key_of_more_than_255_characters_is_refused(rehearsal: Rehearsal) -> None:
    assert post(rehearsal, "k" * 255).status == 200
    assert post(rehearsal, "k" * 256).status == 400


def test_a_get_takes_no_notice_of_a_key(rehearsal: Rehearsal) -> None:
    headers = {**KEY, "Idempotency-Key": "k"}
    assert rehearsal.handle("GET", "/v1/payment_intents", headers).status == 200
    assert post(rehearsal, "k").status == 200
