"""``todoku reconcile``: compare the shop with Stripe by hand, mend what can be mended, and print what was found."""

from __future__ import annotations

import sys
import unicodedata
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from todoku.order.models import Order
from todoku.reconciliation.models import Finding, Run
from todoku.reconciliation.run import FULL, Outcome, Report, reconcile
from todoku.reconciliation.words import sentence

#: Nobody sold anything with this shop before; such a date is a slip of the finger.
FIRST_DAY = date(2020, 1, 1)
WOULD = {Finding.Did.PLAYED: "would play", Finding.Did.CANCELED: "would cancel", Finding.Did.REPORTED: "would report"}
DID = {
    Finding.Did.PLAYED: "played again",
    Finding.Did.CANCELED: "canceled",
    Finding.Did.REPORTED: "a person was called",
    Finding.Did.KNOWN: "open already",
    Finding.Did.SETTLED: "closed by a person",
    Finding.Did.LEFT: "left for the next run",
}


class Command(BaseCommand):
    """Compare by hand. Ends with 1 when something needs a person, with 2 when it was asked wrongly."""

    help = "Compare the shop with Stripe and with itself; mend what can be mended; print what was found."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """From which day to which, in Japanese time, and whether to act at all."""
        parser.add_argument("--since", metavar="YYYY-MM-DD", help="the first day (JST) of Stripe's payments")
        parser.add_argument("--until", metavar="YYYY-MM-DD", help="the last day (JST); until now if not given")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Reconcile and print."""
        today = timezone.localdate()
        first = _day("--since", options["since"], today) if options["since"] else today - FULL
        last = _day("--until", options["until"], today) if options["until"] else None
        if last is not None and last < first:
            raise CommandError(f"--until {last} lies before --since {first}.", returncode=2)
        report = reconcile(
            Run.Kind.HAND,
            since=_midnight(first),
            until=_midnight(last + timedelta(days=1)) if last is not None and last < today else None,
            dry=options["dry_run"],
            who="todoku reconcile",
        )
        self._print(report, dry=options["dry_run"], days=f"{first} to {last or today}")
        if report.book.trouble:
            raise CommandError(f"Stripe's side could not be compared: {report.book.trouble}")
        if report.needs_a_person:
            sys.exit(1)

    def _print(self, report: Report, *, dry: bool, days: str) -> None:
        book = report.book
        self.stdout.write(
            f"{days} (JST): {book.payments:,} payments, {book.returned:,} refunds and disputes,"
            f" {len(book.orders):,} orders, {book.products:,} stock levels compared."
        )
        if report.swept:
            self.stdout.write(f"{report.swept:,} payments that nobody finished were canceled at Stripe.")
        if not report.outcomes:
            self.stdout.write("Everything agrees.")
            return
        for line in table(_rows(report.outcomes, dry=dry)):
            self.stdout.write(line)
        self.stdout.write("")
        for code in sorted({one.drift.code for one in report.outcomes}):
            self.stdout.write(f"{code}: {sentence(code)}")
        people = len(report.needs_a_person)
        self.stdout.write(f"\n{len(report.outcomes):,} found, {people:,} for a person.")


def _rows(outcomes: Sequence[Outcome], *, dry: bool) -> list[tuple[str, ...]]:
    orders = {one.drift.order for one in outcomes if one.drift.order is not None}
    numbers = dict(Order.objects.filter(pk__in=orders).values_list("pk", "number"))
    words = {**DID, **WOULD} if dry else DID
    found = [
        (
            one.drift.code,
            one.drift.about,
            numbers.get(one.drift.order or 0, "–"),
            _number(one.drift.ours),
            _number(one.drift.theirs),
            str(words[Finding.Did(one.did)]),
        )
        for one in outcomes
    ]
    return [("KIND", "ABOUT", "ORDER", "OURS", "THEIRS", "DONE"), *sorted(found)]


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Set rows in columns, as wide as a terminal shows them; numbers to the right."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for column, (text, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _width(text))
            cells.append(space + text if column in (3, 4) else text + space)
        lines.append("  ".join(cells).rstrip())
    return lines


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _number(amount: int | None) -> str:
    return "–" if amount is None else f"{amount:,}"


def _day(option: str, typed: str, today: date) -> date:
    try:
        day = datetime.strptime(typed.strip(), "%Y-%m-%d").date()  # noqa: DTZ007 - a day of the shop's calendar
    except ValueError:
        raise CommandError(f"{option} must be a day such as 2026-11-01, not {typed[:40]!r}.", returncode=2) from None
    if not FIRST_DAY <= day <= today:
        raise CommandError(f"{option} must lie between {FIRST_DAY} and today ({today}), not {day}.", returncode=2)
    return day


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
