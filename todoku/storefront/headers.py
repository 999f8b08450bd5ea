"""What every answer says to the browser besides its content security policy."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from todoku.storefront import csp

#: Nothing that a shop does not need; payment only for the page itself and Stripe.
PERMISSIONS = ", ".join(
    [
        *(f"{name}=()" for name in ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope")),
        *(f"{name}=()" for name in ("magnetometer", "microphone", "midi", "usb", "browsing-topics")),
    ]
)


class HeadersMiddleware:
    """Add the permissions policy to every answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.permissions = f'{PERMISSIONS}, payment=(self "{csp.stripe_origin()}")'

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", self.permissions)
        return response
