"""What the shop tells of itself: tied together, without secrets, and only to whom the settings name."""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client

from rehearsal import Fault
from rehearsal.api import Rehearsal
from tests import shop
from tests.pages.visitor import Visitor
from todoku.catalog.models import Product
from todoku.telemetry import faults, logs, scrub, ties, tracing

PERSONAL = ("北野", "花子", "キタノ", "hanako", "09012345678", "0600001", "札幌市", "北一条", "_secret_", "ctoken_")


@pytest.fixture
def told() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Everything that is logged, as production logs it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.Json())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(before)


class Post:
    """Somebody who takes what is told by HTTP."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        post = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = self.headers.get("Content-Length")
                body = self.rfile.read(int(length)) if length else b""
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                post.taken.append((self.path, body))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def text(self) -> str:
        """All of it, as a person would read it."""
        told = b" ".join(body for _path, body in self.taken).decode(errors="replace")
        return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), told)


@pytest.fixture
def post() -> Iterator[Post]:
    """Somebody who listens."""
    opened = Post()
    yield opened
    opened.server.shutdown()
    opened.server.server_close()


def test_the_lines_of_a_purchase_are_tied_together_and_hold_nothing_about_anybody(
    rehearsal: Rehearsal, crab: Product, told: Callable[[], list[dict[str, Any]]]
) -> None:
    visitor = Visitor(Client(headers={"X-Request-ID": "proxy-gave-0001"}), rehearsal)
    visitor.put("KANI")
    visitor.to_confirm()
    rehearsal.faults.set(Fault("drop_before", path="/v1/payment_intents/*/confirm", times=3))
    order = shop.order_one(rehearsal, crab)
    shop.work_off()
    logging.getLogger("todoku.test").error("a line with %s", f"{order.email} {order.intent.client_secret}")
    lines = told()
    assert len(lines) > 2
    text = json.dumps(lines, ensure_ascii=False)
    assert [word for word in PERSONAL if word in text.replace("_secret_…", "").replace("ctoken_…", "")] == []
    failed = next(line for line in lines if line.get("execution") and "again in" in line["message"])
    assert failed["order"] == order.number and failed["execution"] == f"checkout-{order.pk}-1"
    assert failed["payment_intent"] == order.intent.stripe_id and failed["level"] == "WARNING"
    assert {"timestamp", "level", "logger", "message"} <= set(failed)


@pytest.mark.parametrize(
    ("claimed", "kept"),
    [
        ("abcdef0123456789", True), ("short", False), ("x" * 65, False), ("new\nline-and-more", False),
        ("a b c d e f g", False), ("", False),
    ],
)  # fmt: skip
def test_a_request_keeps_the_id_of_the_proxy_if_it_is_well_formed(claimed: str, kept: bool) -> None:
    assert (ties.request_id(claimed) == claimed) is kept
    assert 8 <= len(ties.request_id(claimed)) <= 64


def test_every_answer_names_its_request(transactional_db: None) -> None:
    named, before = {"X-Request-ID": "proxy-gave-0001"}, ties.present()
    assert Client().get("/healthz", headers=named).headers["X-Request-ID"] == "proxy-gave-0001"

    assert len(Client().get("/healthz").headers["X-Request-ID"]) == 32
    assert ties.present() == before


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("pi_3Abc_secret_XyZ at sk_live_51abc", "pi_3Abc_secret_… at sk_live_…"),
        ("GET /orders/AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_abcde/status/", "GET /orders/…/status/"),
        ("mail to hanako@example.com, 090-1234-5678", "mail to …@…, …"),
        ("card 4242 4242 4242 4242 declined", "card … declined"),
        ("T261128-ABC123 pi_3Abc re_1Abc 5400", "T261128-ABC123 pi_3Abc re_1Abc 5400"),
        ("checkout-42-1 at 2026-11-28 20:54:13,963", "checkout-42-1 at 2026-11-28 20:54:13,963"),
        ("duplicate key\nDETAIL:  Key (email)=(x) exists.", "duplicate key\nDETAIL: …"),
    ],
)
def test_secrets_are_taken_out_and_ids_stay(said: str, kept: str) -> None:
    assert scrub.text(said) == kept


def test_sentry_gets_the_fault_and_nothing_about_the_customer(
    post: Post, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from todoku.storefront import browse

    def broken(*args: Any, **more: Any) -> None:
        email = "hanako@example.com"
        raise RuntimeError(f"cannot reach {email} about pi_1_secret_abc")

    monkeypatch.setattr(browse, "show", broken)
    faults.start(f"http://public@127.0.0.1:{post.port}/1", environment="rehearsal", version="1")
    try:
        client = Client(raise_request_exception=False)
        client.cookies["todoku_shopper"] = "a-cookie-" + "that-nobody-may-see"
        answer = client.get("/?q=hanako@example.com", headers={"X-Request-ID": "proxy-gave-0001"})
        assert answer.status_code == 500
    finally:
        faults.stop()
    assert "RuntimeError" in post.text and "cannot reach …@… about pi_1_secret_…" in post.text
    assert "proxy-gave-0001" in post.text
    assert [word for word in (*PERSONAL[:8], "secret_abc", "cookie-that-nobody") if word in post.text] == []


def test_a_purchase_is_a_trace_of_play_steps_and_calls_to_stripe(
    rehearsal: Rehearsal, crab: Product, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{post.port}")
    tracing.start("1")
    try:
        Client().get("/cart/")
        order = shop.order_one(rehearsal, crab)
        shop.work_off()
    finally:
        tracing.stop()
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans = [
        span
        for path, body in post.taken
        if path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    by_id = {span.span_id: span for span in spans}
    names = {span.name for span in spans}
    assert {"GET /cart/", "play", "step TakeStock", "step TakePayment", "Stripe confirm", "step SendMail"} <= names
    [confirm] = [span for span in spans if span.name == "Stripe confirm"]
    step = by_id[confirm.parent_span_id]
    play = by_id[step.parent_span_id]
    assert (step.name, play.name) == ("step TakePayment", "play")
    facts = {one.key: one.value.string_value for one in play.attributes}
    assert facts["todoku.order"] == order.number and facts["todoku.payment_intent"] == order.intent.stripe_id
    assert [word for word in PERSONAL if word in post.text] == []


def test_nobody_is_told_when_the_settings_name_nobody() -> None:
    tracing.start("1")
    faults.start("", environment="x", version="1")
    assert tracing._tracer is None
    with tracing.span("nothing") as span:
        assert span is None
    import sentry_sdk

    assert not sentry_sdk.get_client().is_active()
