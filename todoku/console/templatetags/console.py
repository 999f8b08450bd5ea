"""How the console's pages write amounts, times and states."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from todoku.console import labels, masking
from todoku.fulfilment.models import carrier_name
from todoku.money import spoken

register = template.Library()


@register.filter
def yen(amount: Any) -> str:
    """Write an amount as the operator reads it; a dash when there is none."""
    return spoken(int(amount), get_language() or "ja") if amount is not None else "–"


@register.filter
def jst(moment: datetime | None) -> str:
    """Write a moment in the shop's time zone (JST), to the minute; a dash when it has not come."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M") if moment else "–"


@register.filter
def jst_seconds(moment: datetime | None) -> str:
    """Write a moment in the shop's time zone (JST), to the second."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S") if moment else "–"


@register.filter
def jst_clock(moment: datetime | None) -> str:
    """Write a moment of today as a clock shows it (JST), and one of another day with its date."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    return local.strftime("%H:%M:%S" if local.date() == timezone.localdate() else "%Y-%m-%d %H:%M:%S")


@register.filter
def jst_short(moment: datetime | None) -> str:
    """Write a moment as briefly as can be (JST): the clock today, the day and the clock otherwise."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    clock = local.strftime("%H:%M")
    return clock if local.date() == timezone.localdate() else f"{local.month}/{local.day} {clock}"


@register.filter
def thousands(number: int) -> str:
    """Write a whole number with its thousands apart."""
    return f"{number:,}"


@register.filter
def converted(funnel: Any) -> str:
    """Write how many of a hundred carts were paid; a dash when there were none."""
    return f"{funnel.percent:.1f} %" if funnel.percent is not None else "–"


@register.filter
def ago(moment: datetime | None) -> str:
    """Say in one unit how long ago a moment was, as a person would."""
    if moment is None:
        return "–"
    seconds = int((timezone.now() - moment).total_seconds())
    if seconds < 60:
        return _("just now")
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return ngettext("%(n)d minute ago", "%(n)d minutes ago", minutes) % {"n": minutes}
    if hours < 48:
        return ngettext("%(n)d hour ago", "%(n)d hours ago", hours) % {"n": hours}
    return ngettext("%(n)d day ago", "%(n)d days ago", days) % {"n": days}


@register.filter
def without_addresses(text: str) -> str:
    """A technical text with the mail addresses in it masked."""
    return masking.masked("technical", text)


@register.filter
def state_name(name: str) -> str:
    """The flow's state in the operator's language."""
    return labels.state(name)


@register.filter
def colour(name: str) -> str:
    """The colour of a status."""
    return labels.COLOURS.get(str(name), "default")


@register.filter
def carrier_said(carrier: str) -> str:
    """The carrier's name in the operator's language."""
    return carrier_name(carrier)


@register.filter
def grouped(number: int) -> str:
    """Write a number with its thousands apart."""
    return f"{number:,}"


def took(began: datetime, ended: datetime) -> str:
    """Write how long something took."""
    return lasted(round((ended - began).total_seconds() * 1000))


@register.filter
def lasted(milliseconds: int | None) -> str:
    """Write how long something took: in milliseconds, seconds or minutes."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1000:
        return f"{milliseconds:,} ms"
    seconds = milliseconds / 1000
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
