"""Thin events say only what happened to which object; whoever wants to know more asks for the object.

Sources: https://docs.stripe.com/event-destinations and https://docs.stripe.com/api/v2/core/events. Every event of v1
has a thin twin with an id of its own, `evt_test_…`; an endpoint is sent the one or the other.
"""

from __future__ import annotations

import time
from typing import Final

from rehearsal.call import Call
from rehearsal.errors import malformed, missing
from rehearsal.events import KEPT_SECONDS
from rehearsal.params import Shape, array, hash_of, integer, text
from rehearsal.store import Json

_PREFIX: Final = "evt_test_"
_ADDRESS: Final = {
    "charge": "/v1/charges/",
    "customer": "/v1/customers/",
    "dispute": "/v1/disputes/",
    "payment_intent": "/v1/payment_intents/",
    "payment_method": "/v1/payment_methods/",
    "radar.early_fraud_warning": "/v1/radar/early_fraud_warnings/",
    "refund": "/v1/refunds/",
    "setup_intent": "/v1/setup_intents/",
}
_TIMES: Shape = {"gt": text(40), "gte": text(40), "lt": text(40), "lte": text(40)}
LIST: Shape = {
    "created": hash_of(_TIMES),
    "limit": integer,
    "object_id": text(200),
    "page": text(200),
    "types": array(text(100), most=20),
}
RETRIEVE: Shape = {}


def notification(event: Json) -> Json:
    """Answers what is sent to an endpoint that wants thin payloads."""
    subject = event["data"]["object"]
    reason = None
    if event["request"]["id"]:
        reason = {
            "type": "request",
            "request": {
                "id": event["request"]["id"],
                "idempotency_key": event["request"]["idempotency_key"] or "",
            },
        }
    kind = subject["object"]
    return {
        "id": _PREFIX + event["id"].removeprefix("evt_"),
        "object": "v2.core.event",
        "context": event["account"],
        "created": _written(event["created"]),
        "livemode": event["livemode"],
        "reason": reason,
        "related_object": {
            "id": subject["id"],
            "type": kind,
            "url": _ADDRESS.get(kind, f"/v1/{kind}s/") + subject["id"],
        },
        "type": f"v1.{event['type']}",
    }


def retrieve(call: Call) -> Json:
    event = None
    if call.path_id.startswith(_PREFIX):
        event = call.store.get("events", "evt_" + call.path_id.removeprefix(_PREFIX))
    if event is None or event["created"] < call.now - KEPT_SECONDS:
        raise missing("event", call.path_id)
    return _whole(event)


def list_(call: Call) -> Json:
    """Lists thin events, newest first; the next page is asked for by the address in the answer."""
    params = call.params
    limit = params.get("limit", 20)
    if not 1 <= limit <= 100:
        raise malformed("limit is between 1 and 100", param="limit")
    wanted, about, created = params.get("types"), params.get("object_id"), params.get("created") or {}
    after = params.get("page")
    if after is not None and call.store.get("events", after) is None:
        raise malformed("There is no such page.", param="page")
    oldest = call.now - KEPT_SECONDS
    found: list[Json] = []
    more = False
    for event in call.store.table("events").newest_first(after):
        if event["created"] < oldest:
            break
        at = _written(event["created"])
        fits = (
            (wanted is None or f"v1.{event['type']}" in wanted)
            and about in (None, event["data"]["object"]["id"])
            and at > created.get("gt", "")
            and at >= created.get("gte", "")
            and at < created.get("lt", "~")
            and at <= created.get("lte", "~")
        )
        if fits and len(found) == limit:
            more = True
            break
        if fits:
            found.append(event)
    return {
        "data": [_whole(event) for event in found],
        "next_page_url": f"/v2/core/events?limit={limit}&page={found[-1]['id']}" if more else None,
        "previous_page_url": None,
    }


def _whole(event: Json) -> Json:
    return {**notification(event), "changes": None, "snapshot_event": event["id"]}


def _written(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(second))
