"""Stripe's keys: read from the environment, and refused at start when they contradict each other.

With none set, the shop talks to the rehearsal Stripe on this machine; never in production.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

STRIPE_API = "https://api.stripe.com"
STRIPE_JS = "https://js.stripe.com/endive/stripe.js"


@dataclass(frozen=True)
class StripeKeys:
    """All that is needed to talk to one Stripe account, or to the rehearsal Stripe."""

    secret: str = field(repr=False)
    publishable: str
    webhook_secrets: tuple[str, ...] = field(repr=False)
    api: str
    js: str
    rehearsal: bool
    livemode: bool


def read(environ: Mapping[str, str], *, production: bool, rehearsal_url: str) -> StripeKeys:
    """Read ``STRIPE_SECRET_KEY``, ``STRIPE_PUBLISHABLE_KEY`` and ``STRIPE_WEBHOOK_SECRET``.

    The webhook secret may be two, with a comma between, while it is being rotated. Raises
    ImproperlyConfigured, in words for the person who set them, when one is missing or malformed, when live and
    test are mixed, or when none is set in production.
    """
    secret = environ.get("STRIPE_SECRET_KEY", "").strip()
    publishable = environ.get("STRIPE_PUBLISHABLE_KEY", "").strip()
    webhook = environ.get("STRIPE_WEBHOOK_SECRET", "").strip()
    if not (secret or publishable or webhook):
        if production:
            raise ImproperlyConfigured(
                "In production the rehearsal Stripe is refused: set STRIPE_SECRET_KEY, STRIPE_PUBLISHABLE_KEY "
                "and STRIPE_WEBHOOK_SECRET."
            )
        if urlsplit(rehearsal_url).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ImproperlyConfigured(f"The rehearsal Stripe must be on this machine, not at {rehearsal_url}.")
        return StripeKeys(
            secret="sk_test_rehearsal",  # noqa: S106 - the same on every machine, and opens nothing
            publishable="pk_test_rehearsal",
            webhook_secrets=("whsec_rehearsal",),
            api=rehearsal_url,
            js=f"{rehearsal_url}/stripe.js",
            rehearsal=True,
            livemode=False,
        )
    missing = [
        name
        for name, value in (
            ("STRIPE_SECRET_KEY", secret),
            ("STRIPE_PUBLISHABLE_KEY", publishable),
            ("STRIPE_WEBHOOK_SECRET", webhook),
        )
        if not value
    ]
    if missing:
        raise ImproperlyConfigured(f"To use Stripe itself, also set {' and '.join(missing)}.")
    secret_shape = re.fullmatch(r"(?:sk|rk)_(test|live)_[A-Za-z0-9_]{8,}", secret)
    publishable_shape = re.fullmatch(r"pk_(test|live)_[A-Za-z0-9_]{8,}", publishable)
    if not secret_shape:
        raise ImproperlyConfigured("STRIPE_SECRET_KEY must look like sk_test_… or sk_live_… (or rk_…).")
    if not publishable_shape:
        raise ImproperlyConfigured("STRIPE_PUBLISHABLE_KEY must look like pk_test_… or pk_live_….")
    if "rehearsal" in secret:
        raise ImproperlyConfigured("STRIPE_SECRET_KEY is the rehearsal Stripe's; unset the STRIPE_ variables.")
    webhook_secrets = tuple(part.strip() for part in webhook.split(","))
    if not all(re.fullmatch(r"whsec_[A-Za-z0-9+/=_]{8,}", part) for part in webhook_secrets):
        raise ImproperlyConfigured("STRIPE_WEBHOOK_SECRET must look like whsec_… (two with a comma while rotating).")
    if secret_shape[1] != publishable_shape[1]:
        raise ImproperlyConfigured(
            f"STRIPE_SECRET_KEY is a {secret_shape[1]} key and STRIPE_PUBLISHABLE_KEY a {publishable_shape[1]} "
            "key: use two of the same mode."
        )
    if secret_shape[1] == "live" and not production:
        raise ImproperlyConfigured(
            "Live Stripe keys take real money: they are only used with TODOKU_ENV=production. Use test keys here."
        )
    return StripeKeys(
        secret=secret,
        publishable=publishable,
        webhook_secrets=webhook_secrets,
        api=STRIPE_API,
        js=STRIPE_JS,
        rehearsal=False,
        livemode=secret_shape[1] == "live",
    )
