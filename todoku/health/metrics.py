"""``/metrics``: numbers for Prometheus, for this machine or for whoever has the token, and for nobody else."""

from __future__ import annotations

import hmac
import ipaddress
import logging

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from todoku.health.read import Shop

log = logging.getLogger(__name__)

#: What a proxy writes into a request. Behind one, everybody's address is the proxy's, and it may be on this machine.
_PROXIED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Tell the shop's numbers, and those of the process that happens to answer."""
    if not may_read(request):
        return HttpResponse("Only this machine, or who has the token.\n", status=403, content_type="text/plain")
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    try:
        registry.register(Shop())
        text = generate_latest(registry)
    except Error as error:
        log.error("the database does not answer: %s", type(error).__name__)
        return HttpResponse("The database does not answer.\n", status=503, content_type="text/plain")
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def may_read(request: HttpRequest) -> bool:
    """Say whether whoever asks has the token, or is on this very machine with no proxy in between."""
    kind, _space, given = request.headers.get("Authorization", "").partition(" ")
    token = settings.METRICS_TOKEN
    if token and kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return True
    if settings.BEHIND_PROXY or any(name in request.META for name in _PROXIED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
