"""The rehearsal itself: one object that answers Stripe's API and keeps the state behind it."""

from __future__ import annotations

import threading
import time
from base64 import b64decode
from binascii import Error as BadBase64
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rehearsal import (
    disputes,
    due,
    errors,
    events,
    expand,
    faults,
    form,
    konbini,
    late_till,
    params,
    processing,
    refunds,
    routes,
    three_d_secure,
    webhook_endpoints,
)
from rehearsal.answer import Answer, Request
from rehearsal.call import Call
from rehearsal.clock import Clock
from rehearsal.deliveries import Deliveries, Policy, Sender
from rehearsal.errors import ApiError
from rehearsal.idempotency import IdempotencyKeys, fingerprint
from rehearsal.ids import Ids
from rehearsal.rate_limits import BY_NAME, Limits, RateLimiter
from rehearsal.store import Json, Store, to_json
from rehearsal.timers import Timers
from rehearsal.version import API_VERSION, BASE_URL, PUBLISHABLE_KEY, SECRET_KEY
from rehearsal.webhook_endpoints import Webhook

Observer = Callable[[Request, Answer], None]

_REQUESTS_LOGGED = 500


@dataclass(slots=True)
class Started:
    """A request between its two halves: checked, and about to be carried out after `wait` seconds."""

    request: Request
    answer: Answer | None = None
    route: routes.Route | None = None
    call: Call | None = None
    fault: Json | None = None
    print: str = ""
    wait: float = 0.0
    wait_after: float = 0.0
    locked: str | None = None
    began: float = field(default_factory=time.perf_counter)


class Rehearsal:
    """A stateful stand-in for Stripe.

    `handle` answers one request. It is safe to call from many threads, and it waits (for a slow confirm or a
    slow fault) without holding anything up. A door of its own may instead call `begin`, wait `wait` seconds in
    its own way, call `finish`, and wait `wait_after` seconds before it sends the answer.
    """

    def __init__(
        self,
        *,
        state: Path | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        secret_key: str = SECRET_KEY,
        publishable_key: str = PUBLISHABLE_KEY,
        webhooks: Iterable[Webhook] = (),
        base_url: str = BASE_URL,
        confirm_seconds: float = 0.0,
        sender: Sender | None = None,
        policy: Policy | None = None,
        sleep: Callable[[float], None] = time.sleep,
        sign_with_real_time: bool = True,
        rate_limits: str | Limits | None = None,
        dashboard_types: tuple[str, ...] = ("card",),
        konbini_pays_by_itself: bool = False,
    ) -> None:
        """Opens a rehearsal, with its state in the directory `state` or, without one, in memory only.

        `confirm_seconds` is how long a confirm takes. `seed` makes the ids repeatable. `sign_with_real_time`
        stamps webhook signatures with the real time, so that receivers accept them whatever the rehearsal's
        clock says; turn it off when the receiver shares the rehearsal's clock. `rate_limits` is "live", "sandbox"
        or Limits of your own. `dashboard_types` are the kinds of payment of an intent that does not say which.
        `konbini_pays_by_itself` pays every ordinary voucher after three minutes, as Stripe's test mode does;
        without it a voucher waits for somebody to pay it.
        """
        if not 0 <= confirm_seconds <= faults.LONGEST_SECONDS:
            raise ValueError(f"confirm_seconds is between 0 and {faults.LONGEST_SECONDS:.0f}")
        self.lock = threading.RLock()
        self.store = Store(state)
        self.clock = clock or Clock()
        kept = self.store.get("meta", "clock")
        if kept is not None:
            self.clock.offset = kept["offset"]
        self.ids = Ids(seed)
        self.secret_key = secret_key
        self.publishable_key = publishable_key
        self.base_url = base_url.rstrip("/")
        self.confirm_seconds = confirm_seconds
        self.faults = faults.Faults(self.store)
        self.observers: list[Observer] = []
        self.requests: deque[Json] = deque(maxlen=_REQUESTS_LOGGED)
        self._keys = IdempotencyKeys(self.store)
        self._busy: set[str] = set()
        self._sleep = sleep
        self._sign_with_real_time = sign_with_real_time
        self._webhooks = tuple(webhooks)
        webhook_endpoints.configure(self.store, self._webhooks, self.clock.second())
        self.limiter = RateLimiter(self.clock.now)
        self.limit(rate_limits)
        self.dashboard_types = dashboard_types
        self.konbini_pays_by_itself = konbini_pays_by_itself
        self.timers = Timers(self)
        self.deliveries = Deliveries(self, sender, policy)
        self.store.commit()

    # Answering.

    def handle(self, method: str, url: str, headers: Mapping[str, str], body: bytes | str = b"") -> Answer:
        """Answers one request: `url` may be whole or just a path, `body` is a form as Stripe's SDKs send it."""
        started = self.begin(make_request(method, url, headers, body))
        if started.wait:
            self._sleep(started.wait)
        answer = self.finish(started)
        if started.wait_after:
            self._sleep(started.wait_after)
        return answer

    def begin(self, request: Request) -> Started:
        """Checks a request, up to the point where the endpoint would begin its work."""
        started = Started(request)
        with self.lock:
            self.run_due()
            request.id = self.ids.new("req", 14)
            try:
                self._begin(started)
            except ApiError as refused:
                started.answer = self._refusal(request, refused)
        return started

    def finish(self, started: Started) -> Answer:
        """Carries the request out and answers it."""
        with self.lock:
            if started.answer is None:
                if started.wait:
                    self.run_due()
                started.answer = self._execute(started)
            answer = started.answer
            fault = started.fault
            if fault is not None:
                answer = _spoilt(answer, fault["kind"])
            self.store.commit()
            self._log(started, answer)
        for observer in self.observers:
            observer(started.request, started.answer)
        return answer

    def _begin(self, started: Started) -> None:
        request = started.request
        found = routes.find(request.method, request.path)
        self._authenticate(request, found[0] if found else None)
        if found is None:
            raise errors.no_such_route(request.method, request.path)
        route, path_id = found
        # The rate limiter stands before the idempotency layer, so its 429 is never kept.
        if self.limiter.limits is not None:
            self.limiter.check(request.method, route.path, path_id)
        try:
            fields = form.pairs(request.query) if request.query else []
            if request.body:
                fields += form.pairs(request.body.decode())
            request.params = form.nested(fields)
        except (form.BadForm, UnicodeDecodeError) as wrong:
            raise errors.malformed(str(wrong)) from None
        now = self.clock.now()
        key = request.idempotency_key if request.method == "POST" else None
        kept: Json | None = None
        refused: ApiError | None = None
        started.print = fingerprint(fields) if key else ""
        if key:
            try:
                kept = self._keys.look_up(self._scoped(key, request), request.path, started.print, now)
            except ApiError as wrong:
                refused = wrong
        # So does the fault that plays it.
        fault = started.fault = self.faults.take(
            request.method, request.path, executing=kept is None and refused is None
        )
        if fault is not None:
            kind = fault["kind"]
            if kind == "rate_limit":
                raise errors.rate_limited()
            if kind == "lock_timeout":
                raise errors.locked(path_id or request.path)
            if kind == "conflict":
                raise errors.key_in_use(key or "none")
            if kind == "drop_before":
                started.answer = Answer(0, {}, "", dropped=True)
                started.wait = fault["seconds"]
                return
            if kind == "slow_before":
                started.wait = fault["seconds"]
            elif kind in ("slow_after", "drop_after"):
                started.wait_after = fault["seconds"]
        if refused is not None:
            raise refused
        if kept is not None:
            headers = self._headers(request)
            headers["Idempotent-Replayed"] = "true"
            headers["Original-Request"] = kept["request"]
            if kept["status"] >= 500:
                headers["Stripe-Should-Retry"] = "false"
            started.answer = Answer(kept["status"], headers, kept["body"])
            return
        checked = params.check(request.params, route.shape)
        if route.takes_money and self.confirm_seconds and (path_id or checked.get("confirm")):
            started.wait += self.confirm_seconds
        if path_id and request.method == "POST":
            if path_id in self._busy:
                raise errors.locked(path_id)
            if started.wait:
                self._busy.add(path_id)
                started.locked = path_id
        started.route = route
        started.call = Call(self, request.id, key, path_id, checked, request.publishable)
        if key:
            self._keys.begin(self._scoped(key, request))

    def _execute(self, started: Started) -> Answer:
        request, route, call = started.request, started.route, started.call
        assert route is not None and call is not None, "a request without an answer has its route and call"
        fault = started.fault["kind"] if started.fault else None
        stored = True
        if fault == "processing":
            call.processing_seconds = started.fault["seconds"] if started.fault else None
        try:
            if fault in ("error_before", "error_before_unkept"):
                raise errors.broken(stored=fault == "error_before")
            if fault == "not_available":
                raise errors.not_available()
            body = route.action(call)
            if "expand" in call.params:
                body = expand.expanded(self.store, body, call.params["expand"], self.clock.second())
            if fault in ("error_after", "error_after_unkept"):
                raise errors.broken(stored=fault == "error_after")
            answer = Answer(200, self._headers(request), to_json(body))
        except ApiError as refused:
            stored = refused.stored
            if fault in ("error_after", "error_after_unkept") and refused.status != 500:
                # It was declined, but what the caller gets to see is the 500.
                stored = fault == "error_after"
                refused = errors.broken(stored)
            answer = self._refusal(request, refused)
        finally:
            if started.locked is not None:
                self._busy.discard(started.locked)
            if call.idempotency_key:
                self._keys.end(self._scoped(call.idempotency_key, request))
        if call.idempotency_key and stored:
            self._keys.keep(
                self._scoped(call.idempotency_key, request),
                request.path,
                started.print,
                self.clock.now(),
                answer.status,
                answer.body,
                request.id,
            )
        return answer

    def _authenticate(self, request: Request, route: routes.Route | None) -> None:
        key = _key_of(request.headers.get("authorization", ""))
        if not key:
            raise errors.unauthorized(
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
            )
        if key == self.secret_key:
            if route is not None and not route.secret:
                raise errors.forbidden(
                    "This API call can only be made with a publishable API key, from a browser. On a server use "
                    "/v1/test_helpers/confirmation_tokens.",
                    "publishable_key_required",
                )
            return
        if key != self.publishable_key:
            raise errors.unauthorized(f"Invalid API Key provided: {_masked(key)}")
        request.publishable = True
        if route is not None and not route.publishable:
            raise errors.forbidden(
                "This API call cannot be made with a publishable API key. Please use a secret API key. You can find "
                "a list of your API keys at https://dashboard.stripe.com/account/apikeys.",
                "secret_key_required",
            )

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Request-Id": request.id,
            "Stripe-Version": API_VERSION,
        }
        key = request.idempotency_key
        if key and request.method == "POST":
            headers["Idempotency-Key"] = "".join(c for c in key[:255] if " " <= c <= "~")
            headers["Original-Request"] = request.id
        return headers

    def _refusal(self, request: Request, refused: ApiError) -> Answer:
        headers = self._headers(request)
        if refused.should_retry is not None:
            headers["Stripe-Should-Retry"] = "true" if refused.should_retry else "false"
        if refused.headers:
            headers.update(refused.headers)
        return Answer(refused.status, headers, to_json(refused.body(request.id)))

    def _scoped(self, key: str, request: Request) -> str:
        return f"pk:{key}" if request.publishable else key

    def _log(self, started: Started, answer: Answer) -> None:
        request = started.request
        hidden = started.route is not None and started.route.carries_cards
        self.requests.append(
            {
                "id": request.id,
                "at": self.clock.now(),
                "method": request.method,
                "path": request.path,
                "status": answer.status,
                "dropped": answer.dropped,
                "milliseconds": round((time.perf_counter() - started.began) * 1000, 2),
                "key": request.idempotency_key,
                "replayed": "Idempotent-Replayed" in answer.headers,
                "fault": started.fault["kind"] if started.fault else None,
                "browser": request.publishable,
                "params": without_secrets(request.params)
                if hidden or "client_secret" in request.params
                else request.params,
            }
        )

    # Steering.

    def advance(self, seconds: float, deliver: bool = False) -> None:
        """Moves the rehearsal's clock forward by so many seconds and does what becomes due by it, in order.

        With `deliver`, webhooks due meanwhile are sent in this thread, in their order among everything else;
        without it they are due afterwards, for `deliveries.deliver_due` or for the threads of a server.
        """
        with self.lock:
            self.clock.advance(seconds)
            self.store.put("meta", "clock", {"offset": self.clock.offset})
            self._keys.prune(self.clock.now())
            if not deliver or self.deliveries.runs:
                self.run_due()
            self.store.commit()
        if deliver and not self.deliveries.runs:
            self._run_all_due()
        self.timers.time_moved()
        self.deliveries.time_moved()

    def run_due(self) -> int:
        """Does what is due by now except webhooks, each at its own time; answers how much it was.

        Nobody needs to call it: every request does, and every move of the clock.
        """
        done = 0
        with self.lock:
            while (timer := self.timers.take(self.clock.now())) is not None:
                # What a person did meanwhile, as settling a payment, comes first: then nothing is left to do.
                with self.clock.held_at(timer["at"]), suppress(LookupError):
                    due.ACTIONS[timer["kind"]](Call(self, params={}), timer["subject"])
                done += 1
            if done:
                self.store.commit()
        return done

    def next_due(self) -> float | None:
        """Answers when the next thing happens by itself or the next webhook is due, or None."""
        with self.lock:
            times = [at for at in (self.timers.next_due(), self.deliveries.next_due()) if at is not None]
        return min(times, default=None)

    def _run_all_due(self) -> None:
        now = self.clock.now()
        while (at := self.next_due()) is not None and at <= now:
            with self.clock.held_at(at):
                if not self.run_due():
                    self.deliveries.deliver_next()

    def limit(self, limits: str | Limits | None) -> None:
        """Switches Stripe's rate limits on: "live", "sandbox" or Limits of your own; None or "off" for none."""
        if isinstance(limits, str) and limits not in BY_NAME:
            raise ValueError(f"rate limits are one of {', '.join(BY_NAME)}")
        self.limiter.limits = BY_NAME[limits] if isinstance(limits, str) else limits
        self.limiter.forget()

    def pay_at_till(self, intent_id: str, chain: str = "familymart") -> Json:
        """The customer pays their konbini voucher; raises LookupError if there is none to pay."""
        return self._steered(lambda call: konbini.pay(call, intent_id, chain))

    def go_to_till(self, intent_id: str) -> Json:
        """The customer stands at the till: until they pay or walk away, for half an hour at most, no cancel works."""
        return self._steered(lambda call: konbini.go_to_till(call, intent_id))

    def walk_away(self, intent_id: str) -> Json:
        """The customer leaves the till without paying."""
        return self._steered(lambda call: konbini.walk_away(call, intent_id))

    def expire_voucher(self, intent_id: str) -> Json:
        """Stripe gives the voucher up now: `payment_failed`, without waiting for its time."""
        return self._steered(lambda call: konbini.expire(call, intent_id))

    def report_late(self, intent_id: str, chain: str = "familymart") -> Json:
        """A till that was offline reports a payment after the voucher's end; see `late_till.py`."""
        return self._steered(lambda call: late_till.tell(call, intent_id, chain))

    def refund_by_hand(self, charge_id: str, amount: int | None = None, reason: str | None = None) -> Json:
        """Refunds as a person does in Stripe's Dashboard; raises ApiError where Stripe would refuse."""

        def refund(call: Call) -> Json:
            return refunds.refund(call, self._charge(charge_id), amount, reason)

        return self._steered(refund)

    def move_refund(self, refund_id: str, what: str) -> Json:
        """Moves a refund on: "bank_account" (the customer answers), "arrives", "returned" by the bank, or "fails"."""

        def move(call: Call) -> Json:
            if what == "bank_account":
                return refunds.give_bank_account(call, refund_id)
            if what == "returned":
                return refunds.return_by_bank(call, refund_id)
            if what == "fails":
                return refunds.fail(call, refund_id)
            row = self.store.get("refunds", refund_id)
            if what != "arrives" or row is None or row["status"] != "pending":
                raise LookupError(f"{refund_id} is not on its way")
            self.timers.clear("refund_arrives", refund_id)
            refunds.arrive(call, refund_id)
            return self.store.get("refunds", refund_id) or row

        return self._steered(move)

    def dispute(self, charge_id: str, reason: str = "fraudulent", inquiry: bool = False) -> Json:
        """The card's owner disputes a charge."""

        def open_one(call: Call) -> Json:
            return disputes.open_dispute(call, self._charge(charge_id), reason, inquiry)

        return self._steered(open_one)

    def decide_dispute(self, dispute_id: str, won: bool) -> Json:
        """The bank decides a dispute."""
        return self._steered(lambda call: disputes.decide(call, dispute_id, won))

    def warn_of_fraud(self, charge_id: str) -> Json:
        """The card's bank sends an early fraud warning."""
        return self._steered(lambda call: disputes.warn(call, self._charge(charge_id)))

    def hold_in_processing(self, intent_id: str, seconds: float = 0.0) -> Json:
        """Puts an open card payment into `processing`; with seconds, it ends by itself after them."""
        return self._steered(lambda call: processing.plant(call, intent_id, seconds))

    def settle_processing(self, intent_id: str, paid: bool | None = None) -> Json:
        """Ends a payment in `processing`: paid, declined, or (None) as its card does."""
        return self._steered(lambda call: processing.settle(call, intent_id, paid))

    def send_event(self, type: str, object: Json, livemode: bool = False, account: str | None = None) -> Json:
        """Plants an event that nothing caused: of live mode, of another account, about an object you make up."""
        return self._steered(lambda call: events.emit(call, type, object, livemode=livemode, account=account))

    def rotate_webhook_secret(self, endpoint_id: str, secret: str, keep_old_seconds: float = 86400.0) -> None:
        """Gives an endpoint a new secret; for so long every delivery is signed with both."""
        with self.lock:
            webhook_endpoints.rotate(self.store, endpoint_id, secret, self.clock.now() + keep_old_seconds)
            self.store.commit()

    def _steered(self, action: Callable[[Call], Json]) -> Json:
        with self.lock:
            self.run_due()
            try:
                return action(Call(self, params={}))
            finally:
                self.store.commit()

    def _charge(self, id: str) -> Json:
        charge = self.store.get("charges", id)
        if charge is None:
            raise LookupError(f"there is no charge {id}")
        return charge

    def authenticate(self, intent_id: str, passed: bool = True) -> Json:
        """Answers an intent's open 3-D Secure challenge for the customer, and answers the intent as it is then."""
        with self.lock:
            self.run_due()
            call = Call(self, params={})
            challenge = three_d_secure.open_challenge(call, intent_id)
            if challenge is None:
                raise LookupError(f"{intent_id} is not waiting for the customer")
            return self.answer_challenge(challenge["id"], passed)

    def answer_challenge(self, challenge_id: str, passed: bool) -> Json:
        """Takes the customer's answer on a challenge page; raises ApiError if that challenge is over."""
        with self.lock:
            try:
                return three_d_secure.answer(Call(self, params={}), challenge_id, passed)
            finally:
                self.store.commit()

    def find(self, table: str, id: str) -> Json | None:
        """Looks at one row of the state, for panels and tests; the row must not be altered."""
        with self.lock:
            return self.store.get(table, id)

    def rows(self, table: str, most: int = 100) -> list[Json]:
        """Looks at the newest rows of one table."""
        with self.lock:
            found: list[Json] = []
            for row in self.store.table(table).newest_first():
                if len(found) == most:
                    break
                found.append(row)
            return found

    def dump(self) -> dict[str, Any]:
        """Answers the whole state but for secrets: for tests, and for a look at what happened."""
        with self.lock:
            return {
                name: without_secrets(rows)
                for name, rows in self.store.dump().items()
                if name not in ("idempotency", "webhook_secrets")
            }

    def reset(self) -> None:
        """Forgets everything, the clock's offset and the faults too, and begins anew with the same settings."""
        with self.lock:
            self.store.clear()
            self.clock.offset = 0.0
            self.timers.forget()
            self.limiter.forget()
            self.deliveries.forget()
            self.requests.clear()
            webhook_endpoints.configure(self.store, self._webhooks, self.clock.second())
            self.store.commit()

    def signing_time(self) -> float:
        """The time that webhook signatures carry, in seconds since 1970."""
        return time.time() if self._sign_with_real_time else self.clock.now()

    def start(self) -> None:
        """Lets time pass by itself: timers go off and webhooks are sent in the background."""
        self.timers.start()
        self.deliveries.start()

    def close(self) -> None:
        """Stops the deliveries and closes the journal."""
        self.timers.stop()
        self.deliveries.stop()
        with self.lock:
            self.store.close()

    def __enter__(self) -> Rehearsal:
        return self

    def __exit__(self, *wrong: object) -> None:
        self.close()


def make_request(method: str, url: str, headers: Mapping[str, str], body: bytes | str = b"") -> Request:
    """Puts a request together from what an HTTP client has at hand."""
    path, _, query = url.partition("?")
    if "://" in path:
        path = urlsplit(path).path
    if "%" in path:
        path = unquote(path)
    return Request(
        method.upper(),
        path,
        {name.lower(): value for name, value in headers.items()},
        query,
        body.encode() if isinstance(body, str) else body,
    )


def without_secrets(value: Any) -> Any:
    """Answers a copy in which client secrets, card numbers and security codes are masked."""
    if isinstance(value, dict):
        return {
            key: _hidden(key, inner) if key in _SECRET and isinstance(inner, str) else without_secrets(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return value


_SECRET = {"client_secret", "number", "cvc", "secret"}


def _hidden(key: str, value: str) -> str:
    if key == "number":
        return "•" * 12 + value[-4:] if len(value) > 8 else "••••"
    return "•••"


def _key_of(header: str) -> str:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(rest, validate=True).decode().partition(":")[0]
        except (BadBase64, ValueError):
            return ""
    return ""


def _masked(key: str) -> str:
    shown = key[:8] if key.startswith(("sk_", "pk_", "rk_")) else ""
    return f"{shown}{'*' * 8}{key[-4:]}" if len(key) > 16 else "*" * 8


def _spoilt(answer: Answer, kind: str) -> Answer:
    """Answers what the caller gets to see when a fault strikes on the way back."""
    if answer.dropped:
        return answer
    if kind == "drop_after":
        return Answer(answer.status, answer.headers, answer.body, dropped=True)
    if kind == "truncated":
        return Answer(answer.status, answer.headers, answer.body, cut=True)
    if kind == "wrong_type":
        return Answer(200, {"Content-Type": "text/html"}, "<html><body><h1>Please log in</h1></body></html>")
    if kind == "malformed":
        return Answer(
            200, {**answer.headers, "Content-Type": "application/json"}, answer.body[: len(answer.body) // 2]
        )
    if kind == "bad_gateway":
        return Answer(
            502, {"Content-Type": "text/html"}, "<html><body><h1>502 Bad Gateway</h1></body></html>"
        )
    return answer
