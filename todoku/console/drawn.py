"""The front page's numbers in words and plots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.formats import date_format
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from todoku.console import plots
from todoku.console.figures import BARS, LINE, WEEK, Day, Figures, Funnel
from todoku.console.plots import Part, Value
from todoku.console.templatetags.console import converted, lasted, yen

#: What the banks' many reasons come down to, for a shopkeeper.
_NO_MONEY, _DETAILS = gettext_lazy("Balance or card limit"), gettext_lazy("Card details wrong or expired")
_NOT_THEM, _LOST = (
    gettext_lazy("The bank's question (3-D Secure) not answered"),
    gettext_lazy("Card reported lost or stolen"),
)
_AWAY, _NO_WORD = gettext_lazy("Bank did not answer"), gettext_lazy("Declined without a reason")
DECLINES: dict[str, Any] = {
    "insufficient_funds": _NO_MONEY, "card_velocity_exceeded": _NO_MONEY, "withdrawal_count_limit_exceeded": _NO_MONEY,
    "expired_card": _DETAILS, "incorrect_cvc": _DETAILS, "invalid_cvc": _DETAILS, "incorrect_number": _DETAILS,
    "invalid_number": _DETAILS, "invalid_expiry_month": _DETAILS, "invalid_expiry_year": _DETAILS,
    "authentication_required": _NOT_THEM, "payment_intent_authentication_failure": _NOT_THEM,
    "lost_card": _LOST, "stolen_card": _LOST, "pickup_card": _LOST, "fraudulent": _LOST,
    "processing_error": _AWAY, "try_again_later": _AWAY, "issuer_not_available": _AWAY, "reenter_transaction": _AWAY,
}  # fmt: skip
#: Cards' names as they stand on them.
BRANDS = {
    "visa": "Visa", "mastercard": "Mastercard", "jcb": "JCB", "amex": "American Express", "diners": "Diners Club",
    "discover": "Discover", "unionpay": "UnionPay",
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """A plot with its legend, and the same numbers as a table."""

    picture: SafeString
    values: list[Value]
    legend: list[Part]


@dataclass(frozen=True)
class Compared:
    """Today against another day, both until this time of day."""

    name: str
    yen: str
    orders: int
    #: Such as +12 %; empty when the other day had nothing to compare with.
    change: str
    #: up, down or same.
    direction: str


def draw(found: Figures) -> dict[str, Any]:
    """Say and draw the numbers, for the page."""
    return {
        "today": found.today,
        "compared": [
            _compared(_("Yesterday by this time"), found.today, found.yesterday),
            _compared(
                _("%(weekday)s last week by this time") % {"weekday": date_format(found.same_weekday.day, "l")},
                found.today,
                found.same_weekday,
            ),
        ],
        "sales": _sales(found.days),
        "sales_sum": sum(day.yen for day in found.days),
        "bars_days": BARS,
        "week_days": WEEK,
        "line_days": LINE,
        "funnel_today": found.funnel(1),
        "funnel_week": found.funnel(WEEK),
        "steps": _steps(found.funnel(WEEK)),
        "conversion": _conversion(found),
        "speed_today": _speed(found.speed_today),
        "speed_week": _speed(found.speed_week),
        "methods": _methods(found.methods),
        "declines": _declines(found.declines),
    }


def _compared(name: str, today: Day, other: Day) -> Compared:
    change, direction = "", "same"
    if other.yen_by_now:
        percent = round(100 * (today.yen_by_now - other.yen_by_now) / other.yen_by_now)
        change = f"{percent:+,} %" if percent else "±0 %"
        direction = "up" if percent > 0 else "down" if percent < 0 else "same"
    return Compared(name, yen(other.yen_by_now), other.orders_by_now, change, direction)


def _short(day: date) -> str:
    return f"{day.month}/{day.day}"


def _sales(days: list[Day]) -> Plot:
    values = [
        Value(
            f"{_short(day.day)} ({date_format(day.day, 'D')})",
            day.yen,
            f"{yen(day.yen)}, " + ngettext("%(n)s order", "%(n)s orders", day.orders) % {"n": f"{day.orders:,}"},
            now=place == len(days) - 1,
        )
        for place, day in enumerate(days)
    ]
    best = max(values, key=lambda value: value.amount)
    picture = plots.bars(
        values,
        title=_("Sales of the last %(days)s days") % {"days": len(days)},
        desc=_("The best day was %(day)s. Today so far: %(today)s.") % {"day": best.said, "today": values[-1].written},
        name="plot-sales",
    )
    return Plot(mark_safe(picture), values[::-1], [])  # noqa: S308 (plots.py escapes what it writes)


def _conversion(found: Figures) -> Plot:
    values = []
    for day in found.days[-LINE:]:
        funnel = found.funnels.get(day.day, Funnel())
        values.append(Value(_short(day.day), funnel.percent or 0, converted(funnel)))
    picture = plots.line(
        values,
        title=_("Carts that were paid, day by day"),
        desc=_("The last %(days)s days, today at the right end.") % {"days": LINE},
        name="plot-conversion",
    )
    return Plot(mark_safe(picture), values[::-1], [])  # noqa: S308


def _steps(funnel: Funnel) -> list[tuple[str, int, int]]:
    """How far the carts came: what it is called, how many, and of a hundred."""
    return [
        (name, number, round(100 * number / funnel.begun) if funnel.begun else 0)
        for name, number in (
            (_("Carts"), funnel.begun),
            (_("Address given"), funnel.quoted),
            (_("Order button pressed"), funnel.ordered),
            (_("Paid carts"), funnel.paid),
        )
    ]


def _speed(speed: tuple[int, int, int] | None) -> tuple[str, str, int] | None:
    return (lasted(speed[0]), lasted(speed[1]), speed[2]) if speed else None


def _methods(methods: dict[tuple[str, str], int]) -> Plot:
    values = []
    for (method, brand), number in methods.items():
        name = _("Convenience store") if method == "konbini" else BRANDS.get(brand, brand.capitalize()) or _("Card")
        values.append(Value(name, number, f"{number:,}"))
    return _whole(values, _("How it was paid"), "plot-methods")


def _declines(declines: dict[str, int]) -> Plot:
    grouped: dict[str, int] = {}
    for code, number in declines.items():
        name = str(DECLINES.get(code, _NO_WORD))
        grouped[name] = grouped.get(name, 0) + number
    values = [Value(name, number, f"{number:,}") for name, number in sorted(grouped.items(), key=lambda one: -one[1])]
    return _whole(values, _("Why payments were declined"), "plot-declines")


def _whole(values: list[Value], title: str, name: str) -> Plot:
    legend = plots.parts(values)
    desc = ", ".join(f"{part.value.name} {part.percent} %" for part in legend)
    picture = plots.stacked(values, title=title, desc=desc, name=name)
    return Plot(mark_safe(picture), values, legend)  # noqa: S308
