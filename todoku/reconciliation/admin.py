"""The reconciliation in the operator's console: the last runs, what they found, and the button for one more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from todoku.console import acts, at_stripe
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, address, link
from todoku.console.sidebar import may_see
from todoku.console.templatetags.console import ago, jst, jst_seconds, took
from todoku.notify.models import Case
from todoku.reconciliation import queue
from todoku.reconciliation.kinds import KINDS
from todoku.reconciliation.models import Finding, Run
from todoku.reconciliation.run import FULL
from todoku.reconciliation.words import sentence

#: Runs in the picture, and in the table below it.
DRAWN, LISTED = 96, 10
#: What was lately found, in the table between them.
FOUND = 20
#: Open findings that the page names; the rest is behind the link.
NAMED = 30
#: The colours of what was done about a finding, as the console's chips know them.
_STATES = {"played": "sold", "canceled": "sold", "reported": "open", "known": "open", "left": "asked"}


@dataclass(frozen=True)
class Bar:
    """One run in the picture: its place, how tall it is (per cent), its colour, and what it says."""

    left: float
    width: float
    height: float
    colour: str
    says: str
    link: str


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """The report page stands in the list's place."""

    def get_urls(self) -> list[URLPattern]:
        """The one act: reconcile now."""
        return [
            path("now/", self.admin_site.admin_view(self.now_view), name="reconciliation_run_now"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the last runs as a picture and a table, and what is still open."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        runs = list(Run.objects.order_by("-id")[:DRAWN])
        sees_cases = may_see(request, "notify", "case")
        open_cases = Case.objects.filter(execution=None, closed_at=None, code__in=KINDS).select_related("order")
        named = list(open_cases.order_by("id")[:NAMED]) if sees_cases else []
        return TemplateResponse(
            request,
            "console/reconciliation.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Reconciliation"),
                "bars": _bars(runs),
                "last": next((run for run in runs if run.ended_at), None),
                "last_full": Run.objects.exclude(kind=Run.Kind.WINDOW).filter(ended_at__isnull=False).first(),
                "waiting": any(run.ended_at is None and _is_young(run) for run in runs),
                "sees_cases": sees_cases,
                "open_count": len(named) if len(named) < NAMED else open_cases.count(),
                "open_table": Table(_("Open findings"), [_case_row(request, case) for case in named]),
                "run_table": Table(_("Last runs"), [_run_row(run) for run in runs[:LISTED]], _("None yet.")),
                "found_table": Table(
                    _("Lately found"),
                    [_finding_row(request, finding) for finding in _lately()],
                    _("Nothing: every order agrees with Stripe and with the stock."),
                ),
                "may_run": _may_run(request),
                "days": FULL.days,
                **(extra_context or {}),
            },
        )

    def now_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a run in full, once, and write down who did."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not _may_run(request):
            raise PermissionDenied
        now = timezone.now()
        try:
            with transaction.atomic():
                run = Run.objects.create(
                    kind=Run.Kind.HAND, since=now - FULL, started_at=now, who=request.user.get_username()
                )
                acts.write_down(request, run, _("Reconciliation asked for"))
                queue.defer_run(run)
        except queue.AlreadyWaiting:
            messages.info(request, _("A reconciliation is waiting to begin already."))
        else:
            messages.success(request, _("The reconciliation begins within seconds. Load this page again to see it."))
        return HttpResponseRedirect(reverse("admin:reconciliation_run_changelist"))

    def title(self, thing: Run) -> str:
        """The heading: which run, and when."""
        return f"{thing.get_kind_display()} · {jst(thing.started_at)}"

    def page(self, request: HttpRequest, thing: Run) -> Page:
        """What one run compared, found and did."""
        findings = list(thing.findings.select_related("order", "case")[:500])
        return Page(
            cards=[
                Card(
                    _("This run"),
                    [
                        Fact(_("Kind"), thing.get_kind_display()),
                        *([Fact(_("Asked by"), thing.who)] if thing.who else []),
                        Fact(_("Stripe's payments since"), jst(thing.since)),
                        *([Fact(_("and before"), jst(thing.until))] if thing.until else []),
                        Fact(_("Started"), jst_seconds(thing.started_at)),
                        Fact(_("Took"), _took(thing)),
                        *([Fact(_("Trouble"), thing.trouble, state="")] if thing.trouble else []),
                    ],
                ),
                Card(_("Compared"), [Fact(label, f"{n:,}", number=True) for label, n in _compared(thing)]),
                Card(_("Came of it"), [Fact(label, f"{n:,}", number=True) for label, n in _came(thing)]),
            ],
            tables=[
                Table(
                    _("Found"),
                    # The page is narrow, and it says already which run and when.
                    [[row[0], row[1], row[3], row[4]] for row in (_finding_row(request, one) for one in findings)],
                    _("Nothing: every order agrees with Stripe and with the stock."),
                )
            ],
        )


def _may_run(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("reconciliation.add_run"))


def _is_young(run: Run) -> bool:
    return (timezone.now() - run.started_at).total_seconds() < 3600


def _lately() -> list[Finding]:
    return list(Finding.objects.exclude(did=Finding.Did.SETTLED).select_related("run", "order", "case")[:FOUND])


def _took(run: Run) -> str:
    if run.ended_at is not None:
        return took(run.started_at, run.ended_at)
    return _("still running") if _is_young(run) else _("did not come to its end")


def _compared(run: Run) -> list[tuple[str, int]]:
    return [
        (_("Payments"), run.payments),
        (_("Orders"), run.orders),
        (_("Refunds and disputes"), run.returned),
        (_("Stock levels"), run.products),
    ]


def _came(run: Run) -> list[tuple[str, int]]:
    return [
        (_("Found"), run.found),
        (_("Mended by a play"), run.played),
        (_("Canceled at Stripe"), run.canceled),
        (_("New for a person"), run.reported),
        (_("Gone again"), run.withdrawn),
        (_("Orders told early"), run.knocked),
        (_("Left open, canceled after a day"), run.swept),
    ]


def _run_row(run: Run) -> list[Fact]:
    if run.trouble:
        state, says = "FAILED", _("Stripe away")
    elif run.ended_at is None:
        state, says = "RUNNING", _took(run)
    elif not run.found:
        state, says = "complete", _("all agrees")
    else:
        state, says = ("open" if run.reported else "paid"), f"{run.found:,}"
    return [
        Fact(_("Started"), jst(run.started_at), address(run)),
        Fact(_("Kind"), run.get_kind_display()),
        Fact(_("Payments"), f"{run.payments:,}", number=True),
        Fact(_("Orders"), f"{run.orders:,}", number=True),
        Fact(_("Took"), _took(run), number=True),
        Fact(_("Found"), says, state=state),
    ]


def _finding_row(request: HttpRequest, finding: Finding) -> list[Fact]:
    case = finding.case
    to_case = address(case) if case is not None and may_see(request, "notify", "case") else ""
    to_order = link(request, "order", "order", finding.order_id)
    numbers = "" if finding.ours is None and finding.theirs is None else f"{_n(finding.ours)} / {_n(finding.theirs)}"
    return [
        Fact(_("What"), sentence(finding.code), to_case),
        Fact(_("About"), finding.about, at_stripe.anything(finding.about) or to_order, mono=True),
        Fact(_("Order"), finding.order.number if finding.order is not None else "–", to_order),
        Fact(_("Ours / theirs"), numbers or "–", number=True),
        Fact(_("Done"), finding.get_did_display(), state=_STATES.get(finding.did, "closed")),
        Fact(_("At"), jst(finding.at)),
    ]


def _n(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _case_row(request: HttpRequest, case: Case) -> list[Fact]:
    order = case.order
    return [
        Fact(_("What"), sentence(case.code), address(case)),
        Fact(_("About"), case.about, mono=True),
        Fact(
            _("Order"),
            order.number if order is not None else "–",
            link(request, "order", "order", order.pk) if order is not None else "",
        ),
        Fact(_("Since"), ago(case.opened_at)),
    ]


def _bars(runs: list[Run]) -> list[Bar]:
    """The runs as bars, the oldest on the left: as tall as what was compared, coloured by what came of it."""
    most = max((run.payments + run.orders for run in runs), default=0) or 1
    width = 100 / DRAWN
    return [
        Bar(
            left=round(100 - (place + 1) * width, 3),
            width=round(width * 0.7, 3),
            height=round(8 + 92 * (run.payments + run.orders) / most, 1),
            colour=_colour(run),
            says=f"{jst(run.started_at)} · {run.payments + run.orders:,} · {_('Found')}: {run.found:,}",
            link=address(run),
        )
        for place, run in enumerate(runs)
    ]


def _colour(run: Run) -> str:
    if run.ended_at is None:
        return "blue"
    if run.reported or run.trouble:
        return "red"
    return "amber" if run.found else "green"
