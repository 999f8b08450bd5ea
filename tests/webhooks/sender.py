"""Whoever sends to the webhook door: Stripe with its signature, or somebody else."""

from __future__ import annotations

import json
import time
from typing import Any

from django.test import Client

from rehearsal import thin_events
from rehearsal.api import Rehearsal
from rehearsal.deliveries import signature

DOOR = "/webhooks/stripe/"
SECRET = "whsec_rehearsal"


def event(intent: str = "pi_none", id: str = "evt_1", type: str = "payment_intent.succeeded", **more: Any) -> Any:
    """A snapshot event about a PaymentIntent, as Stripe would send it."""
    return {
        "id": id,
        "object": "event",
        "type": type,
        "created": 1_795_000_000,
        "livemode": False,
        "data": {"object": {"id": intent, "object": "payment_intent", "client_secret": f"{intent}_secret_42"}},
        **more,
    }


def knock(body: Any, *, secret: str = SECRET, late: float = 0, sign: bool = True, **headers: str) -> Any:
    """Send a body to the door, signed so many seconds ago."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    if sign:
        headers.setdefault("HTTP_STRIPE_SIGNATURE", signature(raw, secret, int(time.time() - late)))
    content_type = headers.pop("content_type", "application/json")
    return Client(enforce_csrf_checks=True).post(DOOR, raw, content_type=content_type, **headers)


def used(answer: Any) -> bool:
    """Say whether an accepted event has knocked."""
    assert answer.status_code == 200, answer.content
    return bool(json.loads(answer.content)["used"])


def told(rehearsal: Rehearsal, intent: str | None, type: str = "", *, thin: bool = False) -> list[dict[str, Any]]:
    """The events that Stripe really has about a PaymentIntent, the oldest first."""
    found = []
    for row in reversed(rehearsal.rows("events", 1000)):
        about = row["data"]["object"]
        if intent in (about["id"], about.get("payment_intent")) and row["type"].startswith(type):
            found.append(thin_events.notification(row) if thin else row)
    return found
