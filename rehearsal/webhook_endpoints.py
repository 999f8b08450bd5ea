"""A webhook endpoint is an address that wants to hear of events of certain types.

Source: https://docs.stripe.com/api/webhook_endpoints. Events are sent in the rehearsal's one API version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from rehearsal import lists
from rehearsal.call import Call
from rehearsal.errors import malformed, missing
from rehearsal.params import (
    EXPAND,
    PAGING,
    Shape,
    array,
    boolean,
    emptyable,
    merged_metadata,
    metadata,
    missing_here,
    text,
)
from rehearsal.store import Json, Store
from rehearsal.version import API_VERSION, WEBHOOK_SECRET

CREATE: Shape = {
    "url": text(2048),
    "enabled_events": array(text(100)),
    "description": emptyable(text()),
    "metadata": metadata,
    "api_version": text(40),
    "connect": missing_here("there are no connected accounts."),
    "expand": EXPAND,
}
UPDATE: Shape = {
    "url": text(2048),
    "enabled_events": array(text(100)),
    "description": emptyable(text()),
    "metadata": metadata,
    "disabled": boolean,
    "expand": EXPAND,
}
RETRIEVE: Shape = {"expand": EXPAND}
LIST: Shape = PAGING


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint set at start-up: where to send events, the secret to sign with, and which types it wants."""

    url: str
    secret: str = WEBHOOK_SECRET
    events: tuple[str, ...] = ("*",)
    payload: Literal["snapshot", "thin"] = "snapshot"
    """Whether events carry the object as it was, or only say which object to look at."""


def create(call: Call) -> Json:
    """Registers an endpoint; this answer is the only one that shows its secret."""
    params = call.params
    for name in ("url", "enabled_events"):
        if not params.get(name):
            raise malformed(f"Missing required param: {name}.", param=name, code="parameter_missing")
    if params.get("api_version", API_VERSION) != API_VERSION:
        raise malformed(f"The rehearsal speaks {API_VERSION} only.", param="api_version")
    _check_url(params["url"])
    secret = f"whsec_{call.rehearsal.ids.letters(32)}"
    endpoint = _put(call.store, call.new_id("we"), params["url"], params["enabled_events"], secret, call.now)
    endpoint = call.store.change(
        "webhook_endpoints",
        endpoint["id"],
        description=params.get("description"),
        metadata=merged_metadata({}, params.get("metadata", {})),
    )
    return {**endpoint, "secret": secret}


def retrieve(call: Call) -> Json:
    return call.find("webhook_endpoints", "webhook endpoint")


def list_(call: Call) -> Json:
    return lists.page(call, "webhook_endpoints", "/v1/webhook_endpoints")


def update(call: Call) -> Json:
    endpoint = call.find("webhook_endpoints", "webhook endpoint")
    params = call.params
    changes: Json = {
        name: params[name] for name in ("url", "enabled_events", "description") if name in params
    }
    if "url" in changes:
        _check_url(changes["url"])
    if "enabled_events" in changes and not changes["enabled_events"]:
        raise malformed("enabled_events must name at least one type.", param="enabled_events")
    if "metadata" in params:
        changes["metadata"] = merged_metadata(endpoint["metadata"], params["metadata"])
    if "disabled" in params:
        changes["status"] = "disabled" if params["disabled"] else "enabled"
    return call.store.change("webhook_endpoints", endpoint["id"], **changes)


def delete(call: Call) -> Json:
    endpoint = call.store.get("webhook_endpoints", call.path_id)
    if endpoint is None:
        raise missing("webhook endpoint", call.path_id)
    call.store.delete("webhook_endpoints", call.path_id)
    return {"id": call.path_id, "object": "webhook_endpoint", "deleted": True}


def configure(store: Store, webhooks: tuple[Webhook, ...], now: int) -> None:
    """Makes the endpoints of the start-up settings what they are now; those made over the API stay."""
    made: dict[str, int] = {}
    for row in list(store.table("webhook_endpoints").oldest_first()):
        if row["id"].startswith("we_configured"):
            made[row["id"]] = row["created"]
            store.delete("webhook_endpoints", row["id"])
    for number, webhook in enumerate(webhooks, start=1):
        _check_url(webhook.url)
        id = f"we_configured{number}"
        # Thin events have "v1." before their types; an endpoint may name them either way.
        events = [type.removeprefix("v1.") for type in webhook.events]
        _put(store, id, webhook.url, events, webhook.secret, made.get(id, now), webhook.payload)


def wants(endpoint: Json, type: str) -> bool:
    """Tells whether an endpoint hears of a type; an exact name or `*` for all, as at Stripe."""
    return endpoint["status"] == "enabled" and (
        "*" in endpoint["enabled_events"] or type in endpoint["enabled_events"]
    )


def secrets_of(store: Store, id: str, now: float) -> list[str]:
    """Answers the secrets that deliveries are signed with: the current one and, for a while, the one before."""
    row = store.get("webhook_secrets", id)
    if row is None:
        return [WEBHOOK_SECRET]
    old = row.get("old")
    return [row["secret"], old["secret"]] if old and now < old["until"] else [row["secret"]]


def is_thin(store: Store, id: str) -> bool:
    row = store.get("webhook_secrets", id)
    return row is not None and row.get("payload") == "thin"


def rotate(store: Store, id: str, secret: str, old_until: float) -> None:
    """Gives an endpoint a new secret; until then every delivery is signed with both."""
    row = store.get("webhook_secrets", id)
    if row is None:
        raise LookupError(f"there is no endpoint {id}")
    store.change("webhook_secrets", id, secret=secret, old={"secret": row["secret"], "until": old_until})


def _put(
    store: Store, id: str, url: str, events: list[str], secret: str, now: int, payload: str = "snapshot"
) -> Json:
    store.put("webhook_secrets", id, {"id": id, "secret": secret, "payload": payload})
    return store.put(
        "webhook_endpoints",
        id,
        {
            "id": id,
            "object": "webhook_endpoint",
            "api_version": API_VERSION,
            "application": None,
            "created": now,
            "description": None,
            "enabled_events": events,
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": url,
        },
    )


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise malformed(
            "Invalid URL: it must begin with http:// or https://", param="url", code="url_invalid"
        )
