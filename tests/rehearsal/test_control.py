"""Everything a person can do at the panel, a tool can do through the control door; and the command line's options."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from tests.rehearsal.served import Served, eventually

KEY = {"Authorization": "Bearer sk_test_rehearsal"}


class Listening:
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        came: list[tuple[dict[str, Any], str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                came.append((json.loads(body), self.headers["Stripe-Signature"]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.came = came
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def types(self) -> list[str]:
        return [body["type"] for body, _ in self.came]


@pytest.fixture(scope="module")
def listening() -> Iterator[Listening]:
    opened = Listening()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def served(listening: Listening) -> Iterator[Served]:
    server = Served("--webhook", listening.url, "--webhook-payload", "thin")
    yield server
    assert server.stop() == 0


def voucher(client: stripe.StripeClient, number: str | None = None) -> str:
    options = {"konbini": {"confirmation_number": number}} if number else {}
    return client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "allowed_payment_method_types": ["konbini"],
            "confirm": True,
            "payment_method_data": {
                "type": "konbini",
                "billing_details": {"name": "届 花子", "email": "hanako@example.com"},
            },
            "payment_method_options": options,  # type: ignore[typeddict-item]
        }
    ).id


def refused(served: Served, path: str, given: dict[str, Any]) -> int:
    status, _, _ = served.call(
        "POST", f"/_rehearsal/{path}", json.dumps(given), {"Content-Type": "application/json"}
    )
    return status


def test_a_voucher_is_paid_left_and_given_up_through_the_door(served: Served) -> None:
    client = served.client()
    id = voucher(client)
    served.control("POST", f"payment_intents/{id}/till", {})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.cancel(id)
    served.control("POST", f"payment_intents/{id}/walk_away", {})
    assert refused(served, f"payment_intents/{id}/pay", {"chain": "seven"}) == 400
    assert served.control("POST", f"payment_intents/{id}/pay", {"chain": "lawson"})["status"] == "succeeded"
    assert refused(served, f"payment_intents/{id}/pay", {}) == 409
    assert refused(served, f"payment_intents/{id}/burn", {}) == 404
    other = voucher(client)
    assert (
        served.control("POST", f"payment_intents/{other}/expire", {})["status"] == "requires_payment_method"
    )
    late = served.control("POST", f"payment_intents/{other}/late", {"chain": "ministop"})
    assert late["status"] == "succeeded"
    assert refused(served, f"payment_intents/{other}/late", {}) == 409


def test_time_passes_by_itself_while_it_serves(served: Served) -> None:
    client = served.client()
    now, later = voucher(client, "22222222220"), voucher(client, "11111111110")
    eventually(lambda: client.v1.payment_intents.retrieve(now).status == "succeeded")
    assert client.v1.payment_intents.retrieve(later).status == "requires_action"
    served.control("POST", "clock", {"advance": 180})
    assert client.v1.payment_intents.retrieve(later).status == "succeeded"


def test_thin_events_are_sent_when_they_were_asked_for(served: Served, listening: Listening) -> None:
    client = served.client()
    id = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}).id
    (body, signature) = eventually(
        lambda: [one for one in listening.came if one[0]["related_object"]["id"] == id]
    )[0]
    assert body["type"] == "v1.payment_intent.created"
    assert signature.startswith("t=")
    assert client.v2.core.events.retrieve(body["id"]).type == body["type"]


def test_money_is_moved_by_hand_through_the_door(served: Served) -> None:
    client = served.client()
    paid = client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "return_url": "https://shop.test/",
        }
    )
    charge = paid.latest_charge
    assert refused(served, f"charges/{charge}/refund", {"amount": "many"}) == 400
    assert served.control("POST", f"charges/{charge}/refund", {"amount": 400})["status"] == "succeeded"
    refund = client.v1.refunds.list({"payment_intent": paid.id}).data[0]
    assert served.control("POST", f"refunds/{refund.id}/fails", {})["status"] == "failed"
    assert refused(served, f"refunds/{refund.id}/fails", {}) == 409
    served.control("POST", f"charges/{charge}/warn", {})
    dispute = served.control("POST", f"charges/{charge}/dispute", {"reason": "product_not_received"})
    assert served.control("POST", f"disputes/{dispute['id']}/decide", {"won": True})["status"] == "won"
    assert refused(served, f"disputes/{dispute['id']}/decide", {"won": "yes"}) == 400


def test_a_payment_can_be_held_in_processing_through_the_door(served: Served) -> None:
    client = served.client()
    intent = client.v1.payment_intents.create(
        {"amount": 5400, "currency": "jpy", "payment_method": "pm_card_visa"}
    )
    assert served.control("POST", f"payment_intents/{intent.id}/processing", {})["status"] == "processing"
    assert (
        served.control("POST", f"payment_intents/{intent.id}/settle", {"paid": True})["status"] == "succeeded"
    )


def test_events_are_planted_roads_chosen_and_secrets_changed_through_the_door(
    served: Served, listening: Listening
) -> None:
    client = served.client()
    id = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}).id
    served.control("POST", "road", {"lose": 1})
    assert served.control("GET", "road")["lose"] == 1
    lost = served.control("POST", "events", {"type": "payment_intent.succeeded", "object": id})["id"]
    assert served.control("DELETE", "road") == {"road": "AtOnce"}
    planted = {"type": "payment_intent.succeeded", "object": id, "livemode": True}
    served.control("POST", "events", planted)
    eventually(lambda: any(body["livemode"] for body, _ in listening.came))
    undelivered = [event.id for event in client.v1.events.list({"delivery_success": False}).data]
    assert undelivered == [lost]
    for wrong in ({}, {"type": "x", "object": "pi_nothing"}, {"type": "x", "object": 5}):
        assert refused(served, "events", wrong) == 400
    assert refused(served, "road", {"lose": 3}) == 400
    assert refused(served, "road", {"lost": 1}) == 400
    served.control("POST", "webhook_endpoints/we_configured1/rotate", {"secret": "whsec_new"})
    client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    eventually(lambda: listening.came[-1][1].count("v1=") == 2)
    assert refused(served, "webhook_endpoints/we_nothing/rotate", {"secret": "whsec_new"}) == 404
    assert refused(served, "webhook_endpoints/we_configured1/rotate", {"secret": "new"}) == 400


def test_limits_are_switched_on_through_the_door(served: Served) -> None:
    served.control("POST", "settings", {"rate_limits": "sandbox"})
    try:
        answers = {served.call("GET", "/v1/events?limit=1", headers=KEY)[0] for _ in range(60)}
        assert answers == {200, 429}
    finally:
        served.control("POST", "settings", {"rate_limits": "off"})
    assert served.control("GET", "settings")["rate_limits"] is None
    for wrong in ({"rate_limits": "huge"}, {"speed": 1}, {}):
        assert refused(served, "settings", wrong) == 400


def test_an_answer_can_break_off_in_the_middle_on_the_wire(served: Served) -> None:
    client = served.client()
    for kind in ("truncated", "wrong_type"):
        served.control("POST", "faults", {"kind": kind, "path": "/v1/payment_intents"})
        with pytest.raises(stripe.StripeError) as caught:
            client.v1.payment_intents.create({"amount": 777, "currency": "jpy"})
        assert isinstance(caught.value, stripe.APIConnectionError) == (kind == "truncated")
    made = [i.amount for i in client.v1.payment_intents.list({"limit": 2}).data]
    assert made == [777, 777]


def test_the_panel_says_why_something_cannot_be_done(served: Served) -> None:
    id = voucher(served.client())
    origin = {"Origin": served.url, "Content-Type": "application/x-www-form-urlencoded"}
    status, _, body = served.call("POST", f"/payments/{id}/do/settle", "paid=yes", origin)
    assert (status, "not processing" in body) == (409, True)
    status, _, _ = served.call(
        "POST", f"/payments/{id}/do/pay", "chain=lawson", {**origin, "Origin": "http://evil.test"}
    )
    assert status == 403
    status, _, _ = served.call("POST", f"/payments/{id}/do/pay", "chain=lawson", origin)
    assert status == 303
    for path in ("/", f"/payments/{id}", "/steer", "/cards", "/webhooks", "/events"):
        assert served.call("GET", path)[0] == 200
    for name, value in (("road", "rough"), ("road", "good"), ("limits", "off")):
        assert served.call("POST", f"/steer/{name}", f"{name}={value}", origin)[0] == 303
        assert served.call("POST", f"/steer/{name}", f"{name}=nonsense", origin)[0] == 400
