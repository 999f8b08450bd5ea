"""Webhook deliveries: every event is sent, signed, to the endpoints that want it, and again until one says 2xx.

Source: https://docs.stripe.com/webhooks. Live Stripe tries for three days with growing pauses; here the first
pauses are short, so that a shop that was just restarted hears soon. All pauses are in the rehearsal's time.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import http.client
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from rehearsal import thin_events, webhook_endpoints
from rehearsal.store import Json, to_json

if TYPE_CHECKING:
    from rehearsal.api import Rehearsal

PAUSES = (1.0, 5.0, 30.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 43200.0, 43200.0, 43200.0)
"""Seconds between one attempt and the next; together a little under three days."""
TIMEOUT_SECONDS = 20.0
MOST_ATTEMPTS_KEPT = 30
WORKERS = 4


@dataclass(frozen=True, slots=True)
class Sent:
    """How one attempt went: the receiver's status, or the reason why there is none."""

    status: int | None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Sender(Protocol):
    """Whatever can send a body to an address; tests give their own."""

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> Sent: ...


class Policy(Protocol):
    """How an event travels: after how many seconds it is sent, how often, and how long to wait after a failure."""

    def departures(self, event: Json, endpoint: Json) -> list[float]:
        """Seconds from now for each copy to be sent: [0.0] is one at once, [] loses it, two send it twice.

        A policy may also have `twins(event)`: how many further events, with other ids, tell the same fact.
        """
        ...

    def pause(self, attempts: int) -> float | None:
        """Seconds to wait after so many failed attempts, or None to give up."""
        ...


class AtOnce:
    """The ordinary way: one copy, at once, with Stripe's growing pauses after failures."""

    def departures(self, event: Json, endpoint: Json) -> list[float]:
        return [0.0]

    def pause(self, attempts: int) -> float | None:
        return PAUSES[attempts - 1] if attempts <= len(PAUSES) else None


class KeepAliveSender:
    """Sends over HTTP and keeps each thread's connection open for the next event."""

    def __init__(self, timeout: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout
        self._local = threading.local()

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> Sent:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        open_ones: dict[str, http.client.HTTPConnection] = self._local.__dict__.setdefault("open", {})
        kept = open_ones.pop(parts.netloc, None)
        for connection in [kept, self._connect(parts.scheme, parts.netloc)] if kept else [None]:
            connection = connection or self._connect(parts.scheme, parts.netloc)
            try:
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                response.read(65536)
            except (OSError, http.client.HTTPException) as wrong:
                connection.close()
                # A connection kept from before may have been closed by the receiver meanwhile: try a fresh one.
                stale = isinstance(
                    wrong, (ConnectionError, http.client.BadStatusLine, http.client.CannotSendRequest)
                )
                if connection is kept and stale:
                    continue
                return Sent(None, f"{type(wrong).__name__}: {wrong}"[:200])
            if response.isclosed() and not response.will_close:
                open_ones[parts.netloc] = connection
            else:
                connection.close()
            return Sent(response.status)
        return Sent(None, "the connection was closed")

    def _connect(self, scheme: str, netloc: str) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        return kind(netloc, timeout=self._timeout)


class Deliveries:
    """The post office: it plans a delivery per event and endpoint, attempts those that are due, and keeps a log."""

    def __init__(
        self, rehearsal: Rehearsal, sender: Sender | None = None, policy: Policy | None = None
    ) -> None:
        self._rehearsal = rehearsal
        self._sender: Sender = sender or KeepAliveSender()
        self.policy: Policy = policy or AtOnce()
        self._due: list[tuple[float, int, str]] = []
        self._number = 0
        self._undelivered: dict[str, int] = {}
        self._wake = threading.Condition(rehearsal.lock)
        self._threads: list[threading.Thread] = []
        self._stopping = False
        for row in rehearsal.store.table("deliveries").oldest_first():
            if row["state"] in ("waiting", "given_up"):
                self._undelivered[row["event"]] = self._undelivered.get(row["event"], 0) + 1
            if row["state"] == "waiting":
                self._push(row["next_at"], row["id"])

    def plan(self, event: Json) -> int:
        """Plans an event's deliveries and answers how many; called with the lock held, so nothing is sent here."""
        planned = 0
        store = self._rehearsal.store
        for endpoint in store.table("webhook_endpoints").rows.values():
            if webhook_endpoints.wants(endpoint, event["type"]):
                departures = self.policy.departures(event, endpoint)
                for seconds in departures:
                    self._plan_one(event, endpoint, self._rehearsal.clock.now() + seconds)
                    planned += 1
                if not departures:
                    self._plan_one(event, endpoint, None)
                    planned += 1
        if planned and self._threads:
            self._wake.notify_all()
        return planned

    def redeliver(self, event_id: str, endpoint_id: str | None = None) -> int:
        """Sends an event again, to one endpoint or to all that want it; answers how many are on their way."""
        with self._rehearsal.lock:
            event = self._rehearsal.store.get("events", event_id)
            if event is None:
                raise KeyError(event_id)
            count = 0
            for endpoint in list(self._rehearsal.store.table("webhook_endpoints").rows.values()):
                if endpoint_id in (None, endpoint["id"]) and webhook_endpoints.wants(endpoint, event["type"]):
                    if not self._supersede(event_id, endpoint["id"]):
                        pending = self._rehearsal.store.table("events").rows[event_id]["pending_webhooks"]
                        self._rehearsal.store.change("events", event_id, pending_webhooks=pending + 1)
                    self._plan_one(event, endpoint, self._rehearsal.clock.now())
                    count += 1
            self._rehearsal.store.commit()
            self._wake.notify_all()
            return count

    def _supersede(self, event_id: str, endpoint_id: str) -> bool:
        """Puts aside what is still undelivered of an event to an endpoint; a new delivery takes its place."""
        store, found = self._rehearsal.store, False
        for row in list(store.table("deliveries").rows.values()):
            undelivered = row["state"] in ("waiting", "given_up")
            if row["event"] == event_id and row["endpoint"] == endpoint_id and undelivered:
                store.change("deliveries", row["id"], state="superseded", next_at=None)
                self._settled(event_id)
                found = True
        return found

    def _settled(self, event_id: str) -> None:
        left = self._undelivered.get(event_id, 1) - 1
        if left > 0:
            self._undelivered[event_id] = left
        else:
            self._undelivered.pop(event_id, None)

    def undelivered_events(self) -> set[str]:
        """Answers the ids of the events that some endpoint has not accepted yet."""
        return set(self._undelivered)

    def deliver_due(self) -> int:
        """Attempts everything that is due now, one after the other, in this thread; answers how many were tried.

        For tests and simulations; a server runs the same in threads of its own.
        """
        self._rehearsal.run_due()
        tried = 0
        while (next := self._take_due()) is not None:
            self._attempt(next)
            tried += 1
        return tried

    def deliver_next(self) -> bool:
        """Attempts the next one that is due, and tells whether there was one."""
        next = self._take_due()
        if next is not None:
            self._attempt(next)
        return next is not None

    @property
    def runs(self) -> bool:
        """Whether threads of its own deliver."""
        return bool(self._threads)

    def next_due(self) -> float | None:
        """Answers the rehearsal time of the next attempt, in seconds since 1970, or None."""
        with self._rehearsal.lock:
            return self._due[0][0] if self._due else None

    def start(self, workers: int = WORKERS) -> None:
        """Begins to deliver in the background."""
        self._stopping = False
        for number in range(workers):
            thread = threading.Thread(target=self._run, name=f"webhooks-{number + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Ends the background threads after the attempts under way; what is left is kept for the next start."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=2.0)
        self._threads.clear()

    def time_moved(self) -> None:
        """Looks again at what is due, after the clock was moved."""
        with self._wake:
            self._wake.notify_all()

    def forget(self) -> None:
        """Drops everything planned, when the whole state is reset."""
        self._due.clear()
        self._undelivered.clear()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._stopping:
                    if not self._due:
                        self._wake.wait()
                        continue
                    wait = self._due[0][0] - self._rehearsal.clock.now()
                    if wait <= 0:
                        break
                    self._wake.wait(min(wait, 60.0))
                if self._stopping:
                    return
                delivery_id = heapq.heappop(self._due)[2]
            self._attempt(delivery_id)

    def _take_due(self) -> str | None:
        with self._rehearsal.lock:
            if self._due and self._due[0][0] <= self._rehearsal.clock.now():
                return heapq.heappop(self._due)[2]
            return None

    def _plan_one(self, event: Json, endpoint: Json, at: float | None) -> None:
        """Plans one delivery; without a time it is lost on its way, and nobody will ever try again."""
        id = self._rehearsal.ids.new("whdel", 16)
        self._rehearsal.store.put(
            "deliveries",
            id,
            {
                "id": id,
                "event": event["id"],
                "type": event["type"],
                "endpoint": endpoint["id"],
                "url": endpoint["url"],
                "state": "waiting" if at is not None else "given_up",
                "next_at": at,
                "created": event["created"],
                "count": 0,
                "attempts": [],
            },
        )
        self._undelivered[event["id"]] = self._undelivered.get(event["id"], 0) + 1
        if at is not None:
            self._push(at, id)

    def _push(self, at: float, id: str) -> None:
        self._number += 1
        heapq.heappush(self._due, (at, self._number, id))

    def _attempt(self, delivery_id: str) -> None:
        rehearsal = self._rehearsal
        with rehearsal.lock:
            delivery = rehearsal.store.get("deliveries", delivery_id)
            if delivery is None or delivery["state"] != "waiting":
                return
            event = rehearsal.store.get("events", delivery["event"])
            endpoint = rehearsal.store.get("webhook_endpoints", delivery["endpoint"])
            if event is None or endpoint is None or endpoint["status"] != "enabled":
                self._record(delivery, Sent(None, "the endpoint is gone or disabled"), 0.0, give_up=True)
                return
            secrets = webhook_endpoints.secrets_of(rehearsal.store, endpoint["id"], rehearsal.clock.now())
            thin = webhook_endpoints.is_thin(rehearsal.store, endpoint["id"])
            stamp = int(rehearsal.signing_time())
        body = to_json(thin_events.notification(event) if thin else event).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, secrets[0], stamp, *secrets[1:]),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        began = time.perf_counter()
        sent = self._sender(endpoint["url"], body, headers)
        with rehearsal.lock:
            current = rehearsal.store.get("deliveries", delivery_id)
            if current is not None and current["state"] == "waiting":
                self._record(current, sent, time.perf_counter() - began)

    def _record(self, delivery: Json, sent: Sent, seconds: float, give_up: bool = False) -> None:
        rehearsal = self._rehearsal
        now = rehearsal.clock.now()
        count = delivery["count"] + 1
        attempt = {
            "number": count,
            "at": now,
            "status": sent.status,
            "error": sent.error,
            "milliseconds": round(seconds * 1000, 1),
        }
        pause = None if sent.accepted or give_up else self.policy.pause(count)
        state = "delivered" if sent.accepted else "waiting" if pause is not None else "given_up"
        next_at = now + pause if pause is not None else None
        rehearsal.store.put(
            "deliveries",
            delivery["id"],
            {
                **delivery,
                "state": state,
                "count": count,
                "next_at": next_at,
                "attempts": [*delivery["attempts"], attempt][-MOST_ATTEMPTS_KEPT:],
            },
        )
        if next_at is not None:
            self._push(next_at, delivery["id"])
            if self._threads:
                self._wake.notify()
        if sent.accepted:
            event_id = delivery["event"]
            self._settled(event_id)
            event = rehearsal.store.get("events", event_id)
            if event is not None and event["pending_webhooks"] > 0:
                rehearsal.store.change("events", event_id, pending_webhooks=event["pending_webhooks"] - 1)
        rehearsal.store.commit()


def signature(body: bytes, secret: str, stamp: int, *more: str) -> str:
    """Answers the `Stripe-Signature` header: the time and the HMAC-SHA256 of time and body under each secret.

    Source: https://docs.stripe.com/webhooks/signature#verify-manually
    """
    text = f"{stamp}.".encode() + body
    signed = [hmac.new(one.encode(), text, hashlib.sha256).hexdigest() for one in (secret, *more)]
    return ",".join([f"t={stamp}", *(f"v1={one}" for one in signed)])
