"""Paying at a convenience store, in words: until when, how long that is, and where."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from todoku.payment import rules, stores
from todoku.payment.models import Voucher
from todoku.shop import chosen
from todoku.storefront import details


def until(moment: datetime) -> str:
    """Write a deadline as a shopper reads it: the day with its weekday, and the time (JST)."""
    local = timezone.localtime(moment)
    return _("%(day)s, %(time)s") % {"day": details.spoken_day(local.date()), "time": f"{local:%H:%M}"}


def left(moment: datetime) -> str:
    """Say how many days are left to a deadline, counted as people do: by dates (JST)."""
    days = (timezone.localtime(moment).date() - timezone.localdate()).days
    if days <= 0:
        return _("today is the last day")
    if days == 1:
        return _("until tomorrow")
    return ngettext("%(n)s day left", "%(n)s days left", days) % {"n": days}


def offered(total: int) -> dict[str, Any]:
    """What the confirm page tells of paying at a konbini: whether it can be, and the day it would be due.

    A voucher that is asked for after midnight lives a day longer than was said: never shorter.
    """
    now = chosen.now()
    last = timezone.localtime(timezone.now()) + timedelta(days=now.konbini_days)
    return {
        "methods": list(rules.methods(total, card=now.card, konbini=now.konbini)),
        "konbini_until": until(last.replace(hour=23, minute=59)),
        # Said only where it helps: to somebody whose order is over the stores' limit.
        "konbini_too_much": now.konbini and total > rules.KONBINI_MOST,
        "konbini_most": rules.KONBINI_MOST,
    }


def terms() -> dict[str, Any]:
    """What the legal notice tells of it; no days where the shop does not take konbini payments."""
    now = chosen.now()
    return {
        "card": now.card,
        "konbini_days": now.konbini_days if now.konbini else 0,
        "konbini_least": rules.KONBINI_LEAST,
        "konbini_most": rules.KONBINI_MOST,
    }


def told(voucher: Voucher) -> dict[str, Any]:
    """What the order's page tells of a voucher."""
    return {
        "until": until(voucher.expires_at),
        "left": left(voucher.expires_at),
        "stores": stores.shown(voucher),
        "voucher_url": voucher.url if voucher.url.startswith(("https://", "http://")) else "",
    }
