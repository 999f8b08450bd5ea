"""Events tell what happened: each carries the object as it was at that moment.

They can be listed for 30 days (https://docs.stripe.com/api/events), by type, time and delivery.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from rehearsal import lists
from rehearsal.call import Call
from rehearsal.errors import malformed, missing
from rehearsal.params import CREATED, EXPAND, PAGING, Shape, array, boolean, text
from rehearsal.store import Json
from rehearsal.version import API_VERSION

KEPT_SECONDS = 30 * 86400

LIST: Shape = {
    **PAGING,
    "created": CREATED,
    "delivery_success": boolean,
    "type": text(100),
    "types": array(text(100), most=20),
}
RETRIEVE: Shape = {"expand": EXPAND}


def emit(
    call: Call,
    type: str,
    object: Json,
    previous: Json | None = None,
    *,
    livemode: bool = False,
    account: str | None = None,
) -> Json:
    """Records an event and asks for its delivery to every endpoint that wants its type.

    A delivery policy may want twins: further events, with ids of their own, that tell the same fact.
    """
    data: Json = {"object": object}
    if previous is not None:
        data["previous_attributes"] = previous
    event = _record(call, type, data, livemode, account)
    twins = getattr(call.rehearsal.deliveries.policy, "twins", None)
    for _ in range(twins(event) if twins is not None else 0):
        _record(call, type, data, livemode, account)
    return event


def _record(call: Call, type: str, data: Json, livemode: bool, account: str | None) -> Json:
    event = call.store.put(
        "events",
        (id := call.new_id("evt")),
        {
            "id": id,
            "object": "event",
            "account": account,
            "api_version": API_VERSION,
            "context": None,
            "created": call.now,
            "data": data,
            "livemode": livemode,
            "pending_webhooks": 0,
            "request": {"id": call.request_id or None, "idempotency_key": call.idempotency_key},
            "type": type,
        },
    )
    waiting = call.rehearsal.deliveries.plan(event)
    if waiting:
        event = call.store.change("events", id, pending_webhooks=waiting)
    return event


def retrieve(call: Call) -> Json:
    event = call.find("events", "event")
    if event["created"] < call.now - KEPT_SECONDS:
        raise missing("event", call.path_id)
    return event


def list_(call: Call) -> Json:
    params = call.params
    if "type" in params and "types" in params:
        raise malformed("You may pass either type or types, but not both.", param="types")
    wanted = params.get("types") or ([params["type"]] if "type" in params else None)
    delivered = params.get("delivery_success")
    oldest = call.now - KEPT_SECONDS
    undelivered = call.rehearsal.deliveries.undelivered_events() if delivered is not None else set()

    def fits(event: Json) -> bool:
        if event["created"] < oldest:
            return False
        if wanted is not None and not any(_matches(event["type"], pattern) for pattern in wanted):
            return False
        return delivered is None or (event["id"] not in undelivered) == delivered

    return lists.page(call, "events", "/v1/events", fits)


def _matches(type: str, pattern: str) -> bool:
    return type == pattern or ("*" in pattern and fnmatchcase(type, pattern))
