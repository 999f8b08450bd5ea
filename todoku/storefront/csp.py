"""Where a card is typed or a bank asks back, Stripe's origins are let in; nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

View = Callable[..., HttpResponseBase]


def stripe_origin() -> str:
    """Name the origin that Stripe.js comes from: Stripe's, or the rehearsal's on this machine."""
    parts = urlsplit(settings.STRIPE.js)
    return f"{parts.scheme}://{parts.netloc}"


def stripe_sources() -> dict[str, list[str]]:
    """List what Stripe's card form needs (docs.stripe.com/security/guide#content-security-policy)."""
    if settings.STRIPE.rehearsal:
        origin = stripe_origin()
        return {"script-src": [origin], "frame-src": [origin], "connect-src": [origin], "img-src": [origin]}
    return {
        "script-src": ["https://js.stripe.com", "https://*.js.stripe.com"],
        "frame-src": ["https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"],
        "connect-src": ["https://api.stripe.com"],
        "img-src": ["https://*.stripe.com"],
    }


def with_stripe(view: View) -> View:
    """Let Stripe's origins into this view's pages."""

    @wraps(view)
    def opened(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        # What django-csp's own csp_update does, but with the keys as they are at this moment.
        response._csp_update = stripe_sources()  # type: ignore[attr-defined]
        return response

    return opened
