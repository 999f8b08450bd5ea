"""Stripe, through its official SDK: the only file that imports it."""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import stripe
from django.conf import settings
from django.utils.module_loading import import_string

from todoku.bad_news import Unavailable
from todoku.database import let_go
from todoku.gateways import breaker, limiter
from todoku.gateways.gateway import (
    AnotherRequest,
    Declined,
    FailureKept,
    Happened,
    KeyRefused,
    NotAsked,
    Payment,
    Refused,
    Returned,
)
from todoku.gateways.reading import BadEvent as BadEvent
from todoku.gateways.reading import read_happened, read_listed, read_payment, read_returned
from todoku.telemetry import tracing

# Off: the SDK would write a file into the home directory and tell Stripe about this machine.
stripe.enable_telemetry = False

#: Seconds that a page waits for Stripe: a shopper is looking at it. With the wait for a free moment (two seconds)
#: and for the connection it is ten in all.
PAGE_TIMEOUT = 6.0
#: A page's request is sent a second time only if the first came back within so many seconds.
PAGE_SENDS_AGAIN_WITHIN = 1.0
#: Seconds that a worker waits; longer than Stripe takes for a slow bank.
WORKER_TIMEOUT = 40.0
#: Objects asked for at once when many are listed (Stripe gives 100 at most).
AT_ONCE = 100
#: The call that gives money back; it is sent once, and never a second time without a look in between.
REFUND = "refund"
#: How far in the future an event's timestamp may lie (seconds); the SDK itself refuses only old ones.
MOST_SKEW = 300


def requests_client(timeout: float) -> stripe.HTTPClient:
    """Make the HTTP client that the real shop uses, with its own connection pool per thread."""
    return stripe.RequestsClient(timeout=(min(timeout / 3, 5.0), timeout))


class _Steady(stripe.HTTPClient):
    """The SDK's HTTP client, with our own say about when a request is sent again.

    One that timed out is not: whoever asked looks first. All others wait for a free moment like the first one.
    """

    name = "steady"

    def __init__(self, inner: stripe.HTTPClient) -> None:
        super().__init__()
        self._inner: Any = inner
        self._call = threading.local()

    def begin(self, endpoint: str, patience: limiter.Patience) -> None:
        """Take note of the call that this thread is about to make."""
        self._call.began, self._call.endpoint, self._call.patience = time.monotonic(), endpoint, patience
        self._call.moment = 0.0

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **_: Any) -> Any:
        """Send it."""
        return self._inner.request(method, url, headers, post_data)

    def _should_retry(
        self, response: Any, api_connection_error: Any, num_retries: int, max_network_retries: Any
    ) -> bool:
        page = self._call.patience is limiter.PAGE
        if self._call.endpoint == REFUND:
            # A payment can succeed only once, whatever is sent again; a refund has no such wall behind its key.
            # Whoever asked looks at the refunds first, and then asks again.
            return False
        if api_connection_error is not None and _timed_out(api_connection_error):
            return False
        if page and time.monotonic() - self._call.began > PAGE_SENDS_AGAIN_WITHIN:
            return False
        # The SDK does not repeat a 429. A page cannot come back later; a worker's play can.
        too_many = page and response is not None and response[1] == 429 and num_retries < (max_network_retries or 0)
        if not too_many and not super()._should_retry(response, api_connection_error, num_retries, max_network_retries):
            return False
        try:
            self._call.moment = limiter.book(self._call.endpoint, self._call.patience)
        except NotAsked:
            return False
        finally:
            let_go()
        return True

    def _sleep_time_seconds(self, num_retries: int) -> float:
        pause = float(self._inner._sleep_time_seconds(num_retries))
        return max(pause, float(self._call.moment) - time.monotonic())

    def close(self) -> None:
        """Close this thread's connections."""
        self._inner.close()


def _timed_out(error: BaseException) -> bool:
    cause = error.__cause__
    return cause is not None and "Timeout" in type(cause).__name__


_Read = TypeVar("_Read")


class StripeGateway:
    """One account at Stripe, or the rehearsal Stripe, with one patience."""

    def __init__(self, timeout: float, retries: int, patience: limiter.Patience) -> None:
        make: Callable[[float], stripe.HTTPClient] = import_string(settings.STRIPE_HTTP_CLIENT)
        self._patience = patience
        self._http = _Steady(make(timeout))
        self._client = stripe.StripeClient(
            settings.STRIPE.secret,
            base_addresses={"api": settings.STRIPE.api},
            max_network_retries=retries,
            http_client=self._http,
        )

    def create(
        self, *, key: str, amount: int, metadata: Mapping[str, str], methods: Sequence[str] = ("card",)
    ) -> Payment:
        """Create a PaymentIntent over ``amount`` yen, not yet confirmed, payable by these methods."""
        return self._ask(
            "create",
            lambda: self._client.v1.payment_intents.create(
                {
                    "amount": amount,
                    "currency": "jpy",
                    "metadata": dict(metadata),
                    "allowed_payment_method_types": _types(methods),
                },
                {"idempotency_key": key},
            ),
        )

    def update(
        self, intent: str, *, key: str, amount: int, metadata: Mapping[str, str], methods: Sequence[str] = ("card",)
    ) -> Payment:
        """Change an unconfirmed PaymentIntent's amount, methods and metadata."""
        return self._ask(
            "update",
            lambda: self._client.v1.payment_intents.update(
                intent,
                {
                    "amount": amount,
                    "metadata": dict(metadata),
                    "allowed_payment_method_types": _types(methods),
                },
                {"idempotency_key": key},
            ),
        )

    def look(self, intent: str) -> Payment:
        """Say how the PaymentIntent stands now."""
        return self._ask(
            "look",
            lambda: self._client.v1.payment_intents.retrieve(intent, {"expand": ["latest_charge", "payment_method"]}),
        )

    def confirm(
        self, intent: str, *, key: str, confirmation_token: str, return_url: str, konbini_days: int | None = None
    ) -> Payment | Declined:
        """Ask for the money; a konbini voucher, if that was chosen, lives until the end of so many days (JST)."""
        asked: Any = {
            "confirmation_token": confirmation_token,
            "return_url": return_url,
            "expand": ["latest_charge", "payment_method"],
        }
        if konbini_days is not None:
            asked["payment_method_options"] = {"konbini": {"expires_after_days": konbini_days}}
        try:
            return self._ask(
                "confirm",
                lambda: self._client.v1.payment_intents.confirm(intent, asked, {"idempotency_key": key}),
            )
        except stripe.CardError as error:
            found = error.error
            about = getattr(found, "payment_intent", None)
            return Declined(
                error_code=error.code or "",
                decline_code=(getattr(found, "decline_code", None) or "") if found else "",
                payment=read_payment(about) if about is not None else None,
            )

    def cancel(self, intent: str, *, key: str) -> Payment:
        """Make sure that the PaymentIntent can no longer be paid; raises Refused if it has been paid."""
        return self._ask("cancel", lambda: self._client.v1.payment_intents.cancel(intent, {}, {"idempotency_key": key}))

    def refund(
        self,
        intent: str,
        *,
        key: str,
        amount: int,
        metadata: Mapping[str, str],
        reason: str = "",
        instructions_email: str = "",
    ) -> Returned:
        """Give so many yen of a payment back. Only a refund that a person has asked for in the console comes here."""
        asked: Any = {"payment_intent": intent, "amount": amount, "metadata": dict(metadata)}
        if reason:
            asked["reason"] = reason
        if instructions_email:
            asked["instructions_email"] = instructions_email
        return self._sorted(
            REFUND, lambda: self._client.v1.refunds.create(asked, {"idempotency_key": key}), read_returned
        )

    def refunds_of(self, intent: str) -> Sequence[Returned]:
        """Say what has been given back of one payment, whoever did it, the newest first."""
        return list(
            self._list("look at refunds", self._client.v1.refunds.list, {"payment_intent": intent}, read_returned)
        )

    def payments(self, *, since: datetime, until: datetime | None = None) -> Iterator[Payment]:
        """List the PaymentIntents created since then (and before ``until``), the newest first."""
        created = {"gte": int(since.timestamp())}
        if until is not None:
            created["lt"] = int(until.timestamp())
        asked = {"created": created, "expand": ["data.latest_charge", "data.payment_method"]}
        return self._list("list payments", self._client.v1.payment_intents.list, asked, read_payment)

    def refunds(self, *, since: datetime) -> Iterator[Returned]:
        """List the refunds made since then, whoever made them, the newest first."""
        asked = {"created": {"gte": int(since.timestamp())}}
        return self._list("list refunds", self._client.v1.refunds.list, asked, read_returned)

    def disputes(self, *, since: datetime) -> Iterator[Returned]:
        """List the disputes opened since then, the newest first."""
        asked = {"created": {"gte": int(since.timestamp())}}
        return self._list("list disputes", self._client.v1.disputes.list, asked, read_returned)

    def events(self, *, since: datetime, types: Sequence[str]) -> Iterator[Happened]:
        """List the events of these types since then (Stripe keeps 30 days), the newest first."""
        asked = {"created": {"gte": int(since.timestamp())}, "types": list(types)}
        return self._list("list events", self._client.v1.events.list, asked, read_listed)

    def probe(self) -> None:
        """Ask Stripe something harmless, only to hear whether it answers."""
        self._sorted(
            "list payments", lambda: self._client.v1.payment_intents.list({"limit": 1}), lambda found: found.data
        )

    def _list(
        self, endpoint: str, page: Callable[[Any], Any], asked: Mapping[str, Any], read: Callable[[Any], _Read]
    ) -> Iterator[_Read]:
        """Walk through a list of Stripe's, page by page; each page is one call."""
        more: dict[str, Any] = {**asked, "limit": AT_ONCE}
        while True:
            rows, has_more = self._sorted(
                endpoint,
                functools.partial(page, dict(more)),
                lambda found: ([(str(row.id), read(row)) for row in found.data], bool(found.has_more)),
            )
            yield from (row for _id, row in rows)
            if not has_more or not rows:
                return
            more["starting_after"] = rows[-1][0]

    def _ask(self, endpoint: str, call: Callable[[], stripe.PaymentIntent]) -> Payment:
        """Make one call about a PaymentIntent; see ``_sorted`` for how it may end badly."""
        return self._sorted(endpoint, call, read_payment)

    def _sorted(self, endpoint: str, call: Callable[[], Any], read: Callable[[Any], _Read]) -> _Read:
        """Make one call, and tell the breaker how it went; a card error passes through."""
        patience = limiter.LIST if endpoint.startswith("list") else self._patience
        moment = limiter.book(endpoint, patience)
        if patience is limiter.PAGE:
            breaker.let_page_through()
        else:
            breaker.standing()
        let_go()
        if (wait := moment - time.monotonic()) > 0:
            time.sleep(wait)
        self._http.begin(endpoint, patience)
        try:
            with tracing.span(f"Stripe {endpoint}"):
                answer = _make(call, read)
        except (stripe.CardError, Refused, _Busy) as answered:
            if isinstance(answered, KeyRefused) and answered.revoked:
                breaker.failed(breaker.KEY)
            else:
                breaker.heard()
            raise
        except Unavailable:
            breaker.failed()
            raise
        breaker.heard()
        return answer


class _Busy(Unavailable):
    """Stripe is there, but says nothing of what became of it: 409, 429, or a failure that it keeps."""


class _Kept(FailureKept, _Busy):
    """A failure that Stripe keeps is Stripe's answer all the same."""


def _make(call: Callable[[], Any], read: Callable[[Any], _Read]) -> _Read:
    """Make one call and sort its bad endings into "unknown" and "refused"; a card error passes through."""
    try:
        return read(call())
    except stripe.CardError:
        raise
    except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        about = getattr(error.error, "payment_intent", None) if error.error else None
        refused = AnotherRequest if isinstance(error, stripe.IdempotencyError) else Refused
        raise refused(_code(error), _plain(error), read_payment(about) if about is not None else None) from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        # A restricted key may lack one right only; a key that is wrong or revoked is good for nothing.
        raise KeyRefused(_code(error), _plain(error), revoked=isinstance(error, stripe.AuthenticationError)) from error
    except stripe.StripeError as error:
        # No answer, 409 in use, 429, 5xx, or an answer that is none: what happened is not known.
        raise _unknown(error)(f"Stripe: {type(error).__name__} {_plain(error)}") from error
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
        # The SDK or we could make nothing of it: an answer that is not shaped like one is no answer.
        raise Unavailable(f"Stripe: malformed answer ({type(error).__name__})") from error


def _types(methods: Sequence[str]) -> Any:
    return list(methods)


def _unknown(error: stripe.StripeError) -> type[Unavailable]:
    """Tell a busy Stripe and a stored 5xx that comes back under its key (docs.stripe.com/api/idempotent_requests) apart
    from one that does not answer."""
    if isinstance(error, stripe.RateLimitError) or error.http_status == 409:
        return _Busy
    headers = {str(name).lower(): str(value) for name, value in dict(error.headers or {}).items()}
    kept = (error.http_status or 0) >= 500 and headers.get("idempotent-replayed", "").lower() == "true"
    return _Kept if kept else Unavailable


def _code(error: stripe.StripeError) -> str:
    # ``error.code`` is None for several classes; the body has it (stripe-python 16). An error without any, such as
    # that of a card's token that has expired, is told by the parameter that it is about.
    body = error.error
    return str(error.code or getattr(body, "code", None) or getattr(body, "param", None) or type(error).__name__)


def _plain(error: stripe.StripeError) -> str:
    """Stripe's own sentence and the request's id, for the log: never the object, which holds a secret."""
    # The library quotes an answer that it could not read, with the customer's name in it.
    quoted = re.sub(r"(Invalid response body from API: ).*", r"\1…", error.user_message or str(error), flags=re.DOTALL)
    said = re.sub(r"_secret_\w+", "_secret_…", quoted)
    return f"{said[:200]} (request {error.request_id or 'unknown'})"


@functools.cache
def _gateway(patience: str) -> StripeGateway:
    if patience == "page":
        return StripeGateway(PAGE_TIMEOUT, 1, limiter.PAGE)
    return StripeGateway(WORKER_TIMEOUT, 2, limiter.WORKER)


_making = threading.Lock()


def for_page() -> StripeGateway:
    """The gateway for a page that a shopper is waiting for."""
    with _making:
        return _gateway("page")


def for_worker() -> StripeGateway:
    """The gateway for a worker, which can wait."""
    with _making:
        return _gateway("worker")


def forget() -> None:
    """Make new gateways at the next call, with the settings of that time."""
    _gateway.cache_clear()
    breaker.forget()
    limiter.forget()


def read_event(body: bytes, signature: str) -> Happened:
    """Check a webhook's signature with each of our secrets and read the event. Raises BadEvent.

    Old signatures are refused by the SDK (300 seconds, docs.stripe.com/webhooks); future ones by us.
    """
    import json

    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadEvent("the body is not UTF-8") from error
    if not signature.isascii():
        # The SDK compares it in constant time, and that knows ASCII only.
        raise BadEvent("the signature header is not ASCII")
    stamp = _stamp(signature)
    if stamp > datetime.now(UTC).timestamp() + MOST_SKEW:
        raise BadEvent("the signature's time lies in the future")
    for secret in settings.STRIPE.webhook_secrets:
        try:
            stripe.WebhookSignature.verify_header(text, signature, secret, tolerance=MOST_SKEW)
            break
        except stripe.SignatureVerificationError:
            continue
    else:
        raise BadEvent("no secret of ours made this signature, or it is too old")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadEvent("the body is not JSON") from error
    if not isinstance(parsed, dict):
        raise BadEvent("the body is not an event")
    return read_happened(parsed)


def _stamp(signature: str) -> float:
    for part in signature.split(","):
        name, _, value = part.partition("=")
        if name == "t" and value.isascii() and value.isdigit() and len(value) <= 12:
            return float(value)
    raise BadEvent("the signature header has no time")
