"""Reconcile: compare, mend what may be mended, call a person for the rest, and write it all down.

It never writes an order. It plays, it cancels a PaymentIntent that no order can be paid with, or it reports.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from todoku.bad_news import Unavailable
from todoku.engines import engine
from todoku.gateways import stripe as stripe_gateway
from todoku.gateways.gateway import Gateway, Refused
from todoku.notify import bell
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.reconciliation import read, words
from todoku.reconciliation.compare import Book, compare
from todoku.reconciliation.kinds import CANCEL, KINDS, PLAY, PLAY_REFUND
from todoku.reconciliation.models import Finding, Run
from todoku.reconciliation.rules import Drift
from todoku.reconciliation.sweep import cancel_found, sweep

log = logging.getLogger(__name__)

#: How far back the run of every few minutes lists Stripe's payments. Orders that are not at rest are compared with
#: themselves however old they are.
WINDOW = timedelta(hours=3)
#: How far back the nightly run lists Stripe's payments, refunds and disputes; our own tables it reads whole. A
#: konbini voucher lives 60 days at most.
FULL = timedelta(days=92)
#: After so many plays within a day that changed nothing, a person is called.
IN_VAIN = 3
#: Runs of every few minutes that found nothing are kept so long.
KEEP_QUIET_RUNS = timedelta(days=14)

Did = Finding.Did


@dataclass(frozen=True)
class Outcome:
    """What was found, and what was done about it (or would be, in a dry run)."""

    drift: Drift
    did: str
    case: int | None = None


@dataclass(frozen=True)
class Report:
    """One run: its row (None for a dry one), and what it came to."""

    run: Run | None
    outcomes: list[Outcome]
    book: Book
    swept: int = 0

    @property
    def needs_a_person(self) -> list[Outcome]:
        """What a person has to look at, new or known."""
        return [one for one in self.outcomes if one.did in (Did.REPORTED, Did.KNOWN)]


def reconcile_window(now: datetime | None = None) -> Report:
    """Reconcile the last hours; the run of every few minutes."""
    return reconcile(Run.Kind.WINDOW, since=(now or timezone.now()) - WINDOW)


def reconcile_in_full(now: datetime | None = None) -> Report:
    """Reconcile all our tables with as much of Stripe's list as ``FULL`` reaches; the nightly run."""
    Run.objects.filter(kind=Run.Kind.WINDOW, findings=None, started_at__lt=timezone.now() - KEEP_QUIET_RUNS).delete()
    return reconcile(Run.Kind.FULL, since=(now or timezone.now()) - FULL)


def reconcile(
    kind: Run.Kind,
    *,
    since: datetime,
    until: datetime | None = None,
    dry: bool = False,
    who: str = "",
    row: Run | None = None,
) -> Report:
    """Compare the shop with Stripe and with itself, and act on what does not agree.

    ``since`` and ``until`` bound Stripe's payments by their creation. Talks to Stripe: call it outside a
    transaction. ``row`` is the run's own, where somebody has asked for it. Two runs at once do no harm: a play
    twice is a play, and a finding is one case.
    """
    gateway = stripe_gateway.for_worker()
    run = row
    if run is None and not dry:
        run = Run.objects.create(kind=kind, since=since, until=until, who=who, started_at=timezone.now())
    watched = Case.objects.filter(execution=None, closed_at=None, code__in=KINDS, about__startswith="pi_")
    names = list(watched.order_by("id").values_list("about", flat=True)[:50])
    book = compare(gateway, since=since, until=until, whole=kind != Run.Kind.WINDOW, watched=names)
    if run is None:
        return Report(None, [_would(drift) for drift in book.drifts.values()], book)
    swept = sweep(gateway, timezone.now())
    book.add(swept.paid)
    for order in book.news:
        _play(order)
    played: set[tuple[str, int]] = set()
    outcomes = [_act(gateway, run, drift, played) for drift in book.drifts.values()]
    outcomes += [Outcome(drift, Did.LEFT) for drift in book.left.values()]
    gone = bell.withdraw(_gone(book))
    _write_down(run, outcomes, book, swept.canceled, gone)
    return Report(run, outcomes, book, swept.canceled)


def _would(drift: Drift) -> Outcome:
    did = {PLAY: Did.PLAYED, PLAY_REFUND: Did.PLAYED, CANCEL: Did.CANCELED}.get(KINDS[drift.code], Did.REPORTED)
    known = Case.objects.filter(code=drift.code, about=drift.about, execution=None).order_by("-id").first()
    if known is None or did != Did.REPORTED or (known.closed_at and known.closed_by == bell.ITSELF):
        return Outcome(drift, did)
    return Outcome(drift, Did.KNOWN if known.closed_at is None else Did.SETTLED, known.pk)


def _act(gateway: Gateway, run: Run, drift: Drift, played: set[tuple[str, int]]) -> Outcome:
    """Play, cancel or report: the three things that a reconciliation may do."""
    mends = KINDS[drift.code]
    if mends in (PLAY, PLAY_REFUND) and drift.order is not None:
        flow = "checkout" if mends == PLAY else "refund"
        if (flow, drift.order) not in played:
            _play(drift.order, flow)
            played.add((flow, drift.order))
        if _played_in_vain(drift, run):
            return _report(drift, words.IN_VAIN)
        return Outcome(drift, Did.PLAYED)
    if mends == CANCEL:
        return Outcome(drift, Did.CANCELED if _cancel(gateway, drift) else Did.LEFT)
    return _report(drift, words.SENTENCES[drift.code])


def _play(order_id: int, flow: str = "checkout") -> None:
    with transaction.atomic():
        order = Order.objects.filter(pk=order_id).first()
        if order is not None:
            engine.play(flow, order, knock="reconciliation")


def _played_in_vain(drift: Drift, run: Run) -> bool:
    day_ago = run.started_at - timedelta(days=1)
    before = Finding.objects.filter(code=drift.code, about=drift.about, at__gte=day_ago, did=Did.PLAYED)
    return before.count() >= IN_VAIN


def _cancel(gateway: Gateway, drift: Drift) -> bool:
    try:
        found = read.intents([gateway.look(drift.payment)]).get(drift.payment)
        return found is not None and cancel_found(gateway, drift.payment, found.id, drift.order)
    except (Unavailable, Refused) as error:
        log.warning("%s could not be canceled: %s", drift.payment, error)
        return False


def _report(drift: Drift, why: str) -> Outcome:
    """Open the finding's case, or find the one that it has."""
    try:
        with transaction.atomic():
            order = Order.objects.filter(pk=drift.order).first() if drift.order is not None else None
            case, is_news = bell.report(drift.code, about=drift.about, why=why, technical=drift.detail, order=order)
    except IntegrityError:
        # Another run has opened it this moment.
        return Outcome(drift, Did.KNOWN)
    if is_news:
        return Outcome(drift, Did.REPORTED, case.pk)
    return Outcome(drift, Did.KNOWN if case.closed_at is None else Did.SETTLED, case.pk)


def _gone(book: Book) -> list[int]:
    """Open findings about what was examined and not found again."""
    still = {*book.drifts, *book.left}
    open_cases = Case.objects.filter(execution=None, closed_at=None, code__in=KINDS)
    return [
        pk
        for pk, code, about in open_cases.values_list("pk", "code", "about")
        if (code, about) not in still and about in book.examined
    ]


def _write_down(run: Run, outcomes: list[Outcome], book: Book, swept: int, gone: int) -> None:
    """Write the run's row and its findings; the run of every few minutes does not repeat what is known."""
    did = Counter(one.did for one in outcomes)
    told = [one for one in outcomes if run.kind != Run.Kind.WINDOW or one.did not in (Did.KNOWN, Did.SETTLED, Did.LEFT)]
    with transaction.atomic():
        Finding.objects.bulk_create(
            [
                Finding(
                    run=run, code=one.drift.code, about=one.drift.about[:255], order_id=one.drift.order,
                    case_id=one.case, ours=one.drift.ours, theirs=one.drift.theirs, detail=one.drift.detail,
                    did=one.did,
                )
                for one in told
            ],
            batch_size=1000,
        )  # fmt: skip
        for name, value in {
            "ended_at": timezone.now(),
            "payments": book.payments,
            "orders": len(book.orders),
            "returned": book.returned,
            "products": book.products,
            "found": len(outcomes) - did[Did.SETTLED],
            "played": did[Did.PLAYED],
            "canceled": did[Did.CANCELED],
            "reported": did[Did.REPORTED],
            "withdrawn": gone,
            "knocked": len(book.news),
            "swept": swept,
            "trouble": book.trouble,
        }.items():
            setattr(run, name, value)
        run.save()
    if outcomes or book.trouble:
        log.warning("reconciliation %s: %s %s", run, dict(did), book.trouble)
