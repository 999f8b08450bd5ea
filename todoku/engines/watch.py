"""The watch over Stripe: sees whether it is back while the gate is shut, and tells a person once if it stays away.

It runs in every worker, every few seconds; one of them asks Stripe at a time. So a shop without a single open order
finds out too, and no shopper has to wait for it.
"""

from __future__ import annotations

import logging
from datetime import UTC, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from todoku.bad_news import Unavailable
from todoku.gateways import breaker
from todoku.gateways import stripe as stripe_gateway
from todoku.gateways.gateway import Refused
from todoku.notify import bell
from todoku.notify.models import Case

log = logging.getLogger(__name__)

#: A shorter outage heals without a person.
TELL_AFTER = timedelta(minutes=5)

FINDINGS = {
    breaker.AWAY: (
        "stripe_away",
        gettext_noop(
            "Stripe does not answer. New checkouts are refused kindly; open orders are settled when it is back. "
            "Look at status.stripe.com and at your own network; nothing else has to be done."
        ),
    ),
    breaker.KEY: (
        "stripe_without_key",
        gettext_noop(
            "Stripe does not accept the shop's key. New checkouts are refused kindly, and open orders wait. Put a "
            "valid STRIPE_SECRET_KEY into the settings and restart the shop; the orders then go on by themselves."
        ),
    ),
}


def watch() -> None:
    """Ask Stripe whether it is back if nobody has lately; open or close the finding that tells of it."""
    if breaker.is_shut() and breaker.claim_probe(breaker.PROBE_EVERY):
        try:
            stripe_gateway.for_worker().probe()
        except (Unavailable, Refused) as error:
            log.info("Stripe is still away: %s", error)
    standing = breaker.standing()
    if standing.shut_at is None:
        bell.withdraw(_open_findings())
        return
    away_for = timezone.now() - standing.shut_at
    if (standing.reason == breaker.KEY or away_for >= TELL_AFTER) and not _open_findings():
        code, why = FINDINGS[standing.reason]
        with transaction.atomic():
            # Every outage is a finding of its own, so that one closed by a person silences no later one.
            bell.report(code, about=f"Stripe {standing.shut_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", why=why)


def _open_findings() -> list[int]:
    codes = [code for code, _why in FINDINGS.values()]
    return list(Case.objects.filter(code__in=codes, closed_at=None, execution=None).values_list("pk", flat=True))
