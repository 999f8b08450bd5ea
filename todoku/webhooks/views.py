"""The door that Stripe knocks on: stored, answered, and then the order's flow is played.

The event's body is never believed. It says which PaymentIntent to look at, and the play looks at Stripe.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from todoku.engines import engine
from todoku.gateways.stripe import BadEvent, StripeEventRead, read_event
from todoku.order.models import Order

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
    # Read from the stream, not through Django's form limit: the signature needs the raw bytes.
    body = request.read(LARGEST_BODY + 1)
    if len(body) > LARGEST_BODY:
        return _no("the body is too large", status=413)
    try:
        event = read_event(body, signature)
    except BadEvent as error:
        return _no(str(error))
    if event.livemode != settings.STRIPE.livemode:
        # Acknowledged and left alone: it is not about this shop's money.
        log.warning("event %s (%s) has livemode %s: ignored", event.id, event.type, event.livemode)
        return JsonResponse({"received": True, "used": False})
    try:
        used = _take(event)
    except (DatabaseError, InterfaceError):
        log.exception("event %s could not be stored; Stripe will send it again", event.id)
        return JsonResponse({"error": "The shop cannot store this now. Send it again."}, status=503)
    return JsonResponse({"received": True, "used": used})


def _take(event: StripeEventRead) -> bool:
    """Store the event, once, and knock on the order that it is about, in one transaction."""
    with transaction.atomic():
        order = None
        if event.payment_intent:
            order = Order.objects.filter(intent__stripe_id=event.payment_intent).only("pk").first()
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO webhooks_stripeevent"
                " (event_id, type, object_id, livemode, happened_at, received_at, order_id)"
                " VALUES (%s, %s, %s, %s, %s, now(), %s) ON CONFLICT (event_id) DO NOTHING",
                [
                    event.id,
                    event.type[:100],
                    event.payment_intent or event.object_id,
                    event.livemode,
                    event.happened_at,
                    order.pk if order is not None else None,
                ],
            )
            is_new = cursor.rowcount == 1
        if order is None or not is_new:
            return False
        engine.play("checkout", order, knock="webhook")
        return True


def _no(why: str, *, status: int = 400) -> JsonResponse:
    log.warning("webhook refused: %s", why)
    return JsonResponse({"error": why}, status=status)
