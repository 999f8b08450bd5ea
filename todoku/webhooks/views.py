"""The door that Stripe knocks on: stored, answered, and then the order's flow is played.

The event's body is never believed. It says which PaymentIntent to look at, and the play looks at Stripe.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from todoku.gateways.stripe import BadEvent, read_event
from todoku.telemetry import ties
from todoku.webhooks.take import is_ours, owners, take

log = logging.getLogger(__name__)

#: Stripe's events are far smaller; more is refused before it is read (bytes).
LARGEST_BODY = 256 * 1024


@csrf_exempt
@require_POST
def stripe(request: HttpRequest) -> HttpResponse:
    """Take one event: 200 after it is committed, 400 or 413 for what Stripe did not send, 503 to be sent again."""
    signature = request.headers.get("Stripe-Signature", "")
    if not signature or len(signature) > 4096:
        return _no("the Stripe-Signature header is missing or too long")
    try:
        length = int(request.headers.get("Content-Length") or 0)
    except ValueError:
        return _no("the Content-Length header is no number")
    if length > LARGEST_BODY:
        return _no("the body is too large", status=413)
    try:
        body = _body(request)
    except OSError:
        return _no("the body broke off")
    if len(body) > LARGEST_BODY:
        return _no("the body is too large", status=413)
    try:
        event = read_event(body, signature)
    except BadEvent as error:
        return _no(str(error))
    ties.note(payment_intent=event.payment_intent)
    if not is_ours(event):
        # Acknowledged, or Stripe would send it for days.
        return JsonResponse({"received": True, "used": False})
    try:
        order = owners([event.payment_intent]).get(event.payment_intent)
        used = take([event], order) == 1 and order is not None
    except (DatabaseError, InterfaceError):
        log.exception("event %r could not be stored; Stripe will send it again", event.id)
        return JsonResponse({"error": "The shop cannot store this now. Send it again."}, status=503)
    return JsonResponse({"received": True, "used": used})


def _body(request: HttpRequest) -> bytes:
    """Read the raw bytes that were signed, and one more than we take, past Django's limit for forms."""
    if "Content-Length" not in request.headers and request.META.get("wsgi.input_terminated"):
        # Sent in chunks, as some proxies do: Django reads nothing without a length, the server knows the end.
        return bytes(request.META["wsgi.input"].read(LARGEST_BODY + 1))
    return request.read(LARGEST_BODY + 1)


def _no(why: str, *, status: int = 400) -> JsonResponse:
    log.warning("webhook refused: %s", why)
    return JsonResponse({"error": why}, status=status)
