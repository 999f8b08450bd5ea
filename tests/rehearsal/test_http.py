"""The HTTP door, as a process of its own: the SDK over a socket, faults, webhooks, mail, and its guards."""

from __future__ import annotations

import json
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest
import stripe

from tests.rehearsal.served import Served, eventually

KEY = {"Authorization": "Bearer sk_test_rehearsal"}
PAY = {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}


class Shop:
    """A real webhook endpoint on a real socket; the first answers can be made to fail."""

    def __init__(self, fail: int = 0) -> None:
        self.events: list[str] = []
        self.connections = 0
        shop = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                shop.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                event = stripe.Webhook.construct_event(  # type: ignore[no-untyped-call]
                    body, self.headers["Stripe-Signature"], "whsec_rehearsal"
                )
                shop.events.append(event.type)
                self.send_response(500 if len(shop.events) <= fail else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    server = Served()
    yield server
    assert server.stop() == 0


def test_a_payment_goes_through_over_http(served: Served) -> None:
    client = served.client()
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy", "description": "毛蟹"})
    assert client.v1.payment_intents.confirm(intent.id, PAY).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.cancel(intent.id)
    assert caught.value.headers["Request-Id"].startswith("req_")
    declined = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    with pytest.raises(stripe.CardError):
        client.v1.payment_intents.confirm(
            declined.id, {**PAY, "payment_method": "pm_card_visa_chargeDeclined"}
        )


def test_health_is_told(served: Served) -> None:
    status, _, body = served.call("GET", "/healthz")
    assert (status, json.loads(body)) == (200, {"ok": True})


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        ("drop_before", False),
        ("drop_after", True),
        ("malformed", True),
        ("bad_gateway", True),
        ("error_after", True),
        ("rate_limit", False),
    ],
)
def test_faults_strike_on_the_wire(served: Served, kind: str, done: bool) -> None:
    client = served.client()
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    served.control("POST", "faults", {"kind": kind, "path": "*/confirm"})
    with pytest.raises(stripe.StripeError) as caught:
        client.v1.payment_intents.confirm(intent.id, PAY)
    if kind.startswith("drop"):
        assert isinstance(caught.value, stripe.APIConnectionError)
    status = client.v1.payment_intents.retrieve(intent.id).status
    assert status == ("succeeded" if done else "requires_payment_method")


def test_a_caller_that_gives_up_is_charged_all_the_same(served: Served) -> None:
    client = served.client(timeout=0.3)
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    served.control("POST", "faults", {"kind": "slow_before", "path": "*/confirm", "seconds": 0.8})
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.confirm(intent.id, PAY)
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"
    eventually(lambda: client.v1.payment_intents.retrieve(intent.id).status == "succeeded")


def test_slow_confirms_do_not_wait_for_one_another(served: Served) -> None:
    client = served.client()
    ids = [client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}).id for _ in range(40)]
    served.control("POST", "settings", {"confirm_seconds": 1.0})
    try:
        began = time.monotonic()
        threads = [
            threading.Thread(target=lambda id=id: served.client().v1.payment_intents.confirm(id, PAY))
            for id in ids
        ]
        for thread in threads:
            thread.start()
        looked = time.monotonic()
        client.v1.payment_intents.retrieve(ids[0])
        assert time.monotonic() - looked < 0.9
        for thread in threads:
            thread.join()
        assert time.monotonic() - began < 4
    finally:
        served.control("POST", "settings", {"confirm_seconds": 0})
    assert {client.v1.payment_intents.retrieve(id).status for id in ids} == {"succeeded"}


def test_webhooks_arrive_over_a_kept_connection_and_again_after_a_500() -> None:
    shop = Shop(fail=1)
    served = Served(
        "--webhook", shop.url, "--webhook-events", "payment_intent.created,payment_intent.succeeded"
    )
    try:
        client = served.client()
        for _ in range(10):
            intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
            client.v1.payment_intents.confirm(intent.id, PAY)
        eventually(lambda: len(shop.events) == 21)
        assert shop.connections <= 5
        assert set(shop.events) == {"payment_intent.created", "payment_intent.succeeded"}
        eventually(lambda: client.v1.events.list({"delivery_success": False}).data == [])
        event = served.control("GET", "state?table=events")["events"][0]
        assert served.control("POST", f"events/{event['id']}/redeliver", {})["deliveries"] == 1
        eventually(lambda: len(shop.events) == 22)
    finally:
        assert served.stop() == 0
        shop.close()


def test_webhooks_wait_for_a_shop_that_is_down_and_survive_kill_9(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ("--state", str(tmp_path), "--webhook", f"http://127.0.0.1:{port}/hook")
    served = Served(*arguments)
    client = served.client()
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}, {"idempotency_key": "k"})
    client.v1.payment_intents.confirm(intent.id, PAY)
    eventually(lambda: served.control("GET", "state?table=deliveries")["deliveries"][0]["count"] > 0)
    served.kill()
    served = Served(*arguments)
    try:
        client = served.client()
        assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"
        again = client.v1.payment_intents.create(
            {"amount": 5400, "currency": "jpy"}, {"idempotency_key": "k"}
        )
        assert again.id == intent.id
        served.control("POST", "clock", {"advance": 3600})
        undelivered = client.v1.events.list({"delivery_success": False}).data
        assert sorted(e.type for e in undelivered) == [
            "charge.succeeded",
            "charge.updated",
            "payment_intent.created",
            "payment_intent.succeeded",
        ]
    finally:
        served.stop()


def test_only_pages_of_this_machine_may_call_from_a_browser(served: Served) -> None:
    for origin, allowed in (("http://127.0.0.1:8000", True), ("https://evil.test", False)):
        status, headers, _ = served.call("OPTIONS", "/v1/payment_intents/pi_1", headers={"Origin": origin})
        assert status == 204
        assert ("access-control-allow-origin" in headers) == allowed


def test_another_host_name_is_refused(served: Served) -> None:
    status, _, _ = served.call("GET", "/_rehearsal/state", headers={"Host": "evil.test"})
    assert status == 403


def test_a_huge_request_is_refused(served: Served) -> None:
    status, _, _ = served.call("POST", "/v1/payment_intents", b"a=" + b"x" * 2_000_000, KEY)
    assert status == 413


def test_the_control_door_takes_json_only_and_says_what_is_wrong(served: Served) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("reset", "faults", "clock", "settings"):
        assert served.call("POST", f"/_rehearsal/{path}", "x=1", form)[0] == 415
    json_type = {"Content-Type": "application/json"}
    for path, body in (
        ("faults", '{"kind": "nothing"}'),
        ("faults", "[1]"),
        ("faults", "{"),
        ("clock", '{"advance": -1}'),
        ("clock", '{"advance": "soon"}'),
        ("settings", '{"confirm_seconds": 1e9}'),
        ("mails/refusal", '{"mode": "loud"}'),
    ):
        assert served.call("POST", f"/_rehearsal/{path}", body, json_type)[0] == 400, (path, body)


def test_a_host_that_others_could_reach_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rehearsal", "--host", "0.0.0.0"], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2
    assert "loopback only" in done.stderr


def test_a_taken_port_is_told_in_one_sentence(served: Served) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rehearsal", "--port", str(served.port)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 2
    assert f"port {served.port}" in done.stderr
    assert "Traceback" not in done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_mail_is_kept_shown_and_refused_on_demand(tmp_path: Path) -> None:
    port = free_port()
    served = Served("--smtp-port", str(port), "--state", str(tmp_path))
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = (
        "shop@example.com",
        "hanako@example.com",
        "ご注文ありがとうございます",
    )
    mail["Message-ID"] = "<42@shop>"
    mail.set_content("届 花子 様\nhttp://127.0.0.1:8000/orders/x?a=1&b=2")
    mail.add_alternative("<p onclick='x()'>毛蟹</p><script>alert(1)</script>", subtype="html")

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as smtp:
            smtp.send_message(mail)

    try:
        send()
        (kept,) = served.control("GET", "mails")["mails"]
        assert (kept["subject"], kept["to"], kept["message_id"]) == (
            mail["Subject"],
            ["hanako@example.com"],
            "<42@shop>",
        )
        assert "届 花子 様" in kept["text"]
        _, _, page = served.call("GET", f"/mail/{kept['id']}")
        assert 'href="http://127.0.0.1:8000/orders/x?a=1&amp;b=2"' in page
        assert "<script>" not in page
        _, headers, _ = served.call("GET", f"/mail/{kept['id']}/html")
        assert "sandbox" in headers["content-security-policy"]
        for mode, error in (
            ("closed", (smtplib.SMTPServerDisconnected, ConnectionError)),
            ("later", smtplib.SMTPRecipientsRefused),
            ("never", smtplib.SMTPRecipientsRefused),
        ):
            served.control("POST", "mails/refusal", {"mode": mode})
            with pytest.raises(error) as caught:
                send()
            if mode != "closed":
                ((code, _),) = caught.value.recipients.values()  # type: ignore[union-attr]
                assert code == (451 if mode == "later" else 550)
        served.control("POST", "mails/refusal", {"mode": None})
        send()
        assert len(served.control("GET", "mails")["mails"]) == 2
        served.stop()
        served = Served("--state", str(tmp_path))
        assert len(served.control("GET", "mails")["mails"]) == 2
        assert served.control("DELETE", "mails")["mails"] == []
    finally:
        served.stop()


PAGES = ("/", "/events", "/webhooks", "/requests", "/mail", "/cards", "/steer")


def test_every_panel_page_opens_and_escapes_what_came_from_outside(served: Served) -> None:
    client = served.client()
    evil = "<script>alert('x')</script>"
    intent = client.v1.payment_intents.create(
        {"amount": 5400, "currency": "jpy", "description": evil, "metadata": {"order": evil, evil: evil}}
    )
    event = client.v1.events.list().data[0]
    for path in (*PAGES, f"/payments/{intent.id}", f"/events/{event.id}"):
        status, headers, page = served.call("GET", path)
        assert status == 200, path
        assert evil not in page, path
        assert str(intent.client_secret) not in page, path
        assert "default-src 'none'" in headers["content-security-policy"]
    for path in ("/payments/pi_nothing", "/events/evt_nothing", "/mail/nothing"):
        assert served.call("GET", path)[0] == 404


def test_the_panel_s_forms_work_and_refuse_other_sites(served: Served) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for given in (
        {},
        {"Origin": "https://evil.test"},
        {"Referer": "https://evil.test/x"},
        {"Origin": "null"},
    ):
        for path in ("/steer/reset", "/steer/faults", "/steer/clock", "/mail/empty", "/mail/refusal"):
            assert served.call("POST", path, "", {**form, **given})[0] == 403
    own = {**form, "Origin": served.url}
    assert (
        served.call("POST", "/steer/faults", "call=0&kind=drop_after&times=always&seconds=5", own)[0] == 303
    )
    (rule,) = served.control("GET", "faults")["faults"]
    assert (rule["path"], rule["kind"], rule["times"]) == ("*/confirm", "drop_after", None)
    assert served.call("POST", "/steer/faults/clear", "", own)[0] == 303
    assert served.control("GET", "faults")["faults"] == []
    for wrong in (
        "call=99&kind=drop_after",
        "call=0&kind=other",
        "call=x",
        "call=0&kind=slow_after&seconds=0",
    ):
        assert served.call("POST", "/steer/faults", wrong, own)[0] == 400
    assert served.call("POST", "/steer/clock", "amount=x&unit=1", own)[0] == 400
    before = served.control("GET", "clock")["offset"]
    assert served.call("POST", "/steer/clock", "amount=2&unit=3600", own)[0] == 303
    assert served.control("GET", "clock")["offset"] == before + 7200
    assert served.call("POST", "/steer/slowness", "seconds=0.5", own)[0] == 303
    assert served.call("POST", "/steer/slowness", "seconds=0", own)[0] == 303


def test_the_bank_s_question_takes_answers_from_its_own_page_only(served: Served) -> None:
    client = served.client()
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    waiting = client.v1.payment_intents.confirm(
        intent.id,
        {"payment_method": "pm_card_threeDSecure2Required", "return_url": "http://127.0.0.1:1/back"},
    )
    path = waiting.next_action.redirect_to_url.url.removeprefix(served.url)
    assert served.call("POST", path, "answer=pass", {"Origin": "https://evil.test"})[0] == 403
    own = {"Origin": served.url}
    assert served.call("POST", path, "answer=other", own)[0] == 400
    assert served.call("POST", path, "answer=leave", own)[0] == 200
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_action"
    status, headers, _ = served.call("POST", path, "answer=pass", own)
    assert status == 303
    assert headers["location"].startswith(f"http://127.0.0.1:1/back?payment_intent={intent.id}&")
    assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"
    assert served.call("POST", path, "answer=fail", own)[0] == 200
    assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.parametrize("sent", [0, 20])
def test_a_request_whose_sender_dies_before_its_end_has_not_been_made(served: Served, sent: int) -> None:
    """A process that is killed may have sent its headers only: no server may take that for a request without fields."""
    intent = served.client().v1.payment_intents.create(
        {"amount": 1200, "currency": "jpy"}
    )
    path, body = f"/v1/payment_intents/{intent.id}/confirm", urlencode(PAY)
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        line.sendall(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {KEY['Authorization']}\r\n"
            f"Idempotency-Key: died-{sent}\r\nContent-Length: {len(body)}\r\n\r\n{body[:sent]}".encode()
        )
        # The server is to have begun it.
        time.sleep(0.2)
    time.sleep(0.2)
    status, _, said = served.call("POST", path, body, {**KEY, "Idempotency-Key": f"died-{sent}"})
    assert (status, json.loads(said).get("status")) == (200, "succeeded"), said
