"""The doors for whatever watches over the shop: they open by any host name, as a probe inside the house uses."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from todoku.health.metrics import metrics
from todoku.health.ready import readyz
from todoku.storefront.about import healthz

DOORS = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}


class DoorMiddleware:
    """Answers before the host's name is examined: a probe knows the machine's address only."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        door = DOORS.get(request.path)
        return door(request) if door is not None else self.get_response(request)
