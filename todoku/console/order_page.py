"""An order's page: how it stands in one sentence, what can be done now, and everything that the shop knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from todoku.console import acts, address_page, at_stripe, call_off, destination, labels, masking, refunds
from todoku.console.readonly import Card, Fact, Page, Table, address, link
from todoku.console.ship import ShippedForm, may_ship
from todoku.console.sidebar import may_see
from todoku.console.templatetags.console import jst, jst_clock, took, yen
from todoku.engines.models import Execution
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Case, Mail
from todoku.notify.steps import KIND
from todoku.order.models import Order, Status
from todoku.payment.admin import paid_with, waits_for
from todoku.payment.models import Attempt, Outcome
from todoku.stock.models import Movement

State = Delivery.State
#: More stock movements, plays or cases than this no order has that a person would read.
MOST = 100


def build(request: HttpRequest, order: Order, mail_form: forms.Form | None) -> Page:
    """The page, from top to bottom. ``mail_form`` corrects the mail address; None for who may not."""
    executions = list(order.executions.order_by("number"))
    attempts = list(order.payment_attempts.all())
    mails = list(order.mails.order_by("id"))
    parcels = list(order.deliveries.order_by("number"))
    cases = list(order.cases.order_by("-id")[:MOST])
    case = next(
        iter(sorted((one for one in cases if one.closed_at is None), key=lambda one: one.execution_id is None)), None
    )
    running = any(execution.status == "RUNNING" for execution in executions)
    refused = case is not None and case.code == "mail_refused"
    corrected = any(mail.recipient != order.email for mail in mails if mail.kind == KIND)
    sent = order.status == Status.COMPLETE or any(mail.sent_at for mail in mails if mail.kind == KIND)
    may_call_off = call_off.may_call_off(request) and call_off.can_be_called_off(order, parcels)
    sees_parcels = may_see(request, "fulfilment", "delivery")
    slips = f"{reverse('admin:fulfilment_delivery_slips')}?ids={parcels[0].pk}" if parcels and sees_parcels else ""
    return Page(
        cards=[
            _amounts(request, order, attempts),
            Card(_("To"), [*destination.facts(request, order, mail=True), Fact(_("Language"), order.language)]),
            _happened(order),
        ],
        tables=[
            _lines(request, order),
            _deliveries(request, parcels),
            _attempts(request, attempts),
            _cases(request, cases),
            _movements(request, order),
            _executions(request, executions),
            _ledger(request, order, executions),
        ],
        more={
            "shown_name": masking.shown(request, "name", order.name),
            "sentence": sentence(order, parcels, attempts, case),
            "stripe_link": at_stripe.payment(order.intent.stripe_id),
            "case": case,
            "mails": [_mail(request, mail) for mail in mails] if may_see(request, "notify", "mail") else None,
            "mail_form": mail_form if not sent and not running else None,
            "mail_open": refused and not corrected,
            "mail_link": address(order, "mail"),
            "to_ship": [
                {"parcel": parcel, "form": ShippedForm(auto_id=f"id_{parcel.pk}_%s"), "link": address(parcel, "ship")}
                for parcel in parcels
                if parcel.state == State.TO_SHIP
            ]
            if may_ship(request)
            else [],
            "slips": slips,
            "address_link": address_page.link(request, order),
            "call_off_form": call_off.CallOffForm() if may_call_off else None,
            "call_off_link": address(order, "call_off"),
            "paid": order.paid_at is not None,
            "all_called_off": bool(parcels) and all(parcel.state == State.CANCELED for parcel in parcels),
            "acts": acts.acts_on_order(order.number),
            **refunds.panel(request, order),
        },
    )


def shipment(counts: Mapping[str, int]) -> tuple[str, str] | None:
    """How far an order's parcels are, as a state and its name; nothing while there are none."""
    to_ship, shipped, canceled = (counts.get(state, 0) for state in (State.TO_SHIP, State.SHIPPED, State.CANCELED))
    if to_ship and shipped:
        return "to_ship", _("%(shipped)s of %(all)s shipped") % {"shipped": shipped, "all": to_ship + shipped}
    if to_ship:
        return "to_ship", str(State.TO_SHIP.label)
    if shipped:
        return "shipped", str(State.SHIPPED.label)
    return ("canceled", str(State.CANCELED.label)) if canceled else None


def sentence(order: Order, parcels: list[Delivery], attempts: list[Attempt], case: Case | None) -> str:
    """Say in one sentence how the order stands, and what comes next."""
    if case is not None and case.execution_id is not None:
        return (
            _("Paid, but stopped: it waits for a person, and its case says what to do.")
            if order.paid_at
            else _("Stopped before the payment was certain: its case says what to do.")
        )
    if order.status == Status.PLACED:
        return _placed(order, attempts)
    if order.status == Status.NOT_PAID:
        return _("Not paid: nothing was charged, and nothing is held for it.")
    if order.status == Status.CANCELED:
        return _("Ended without a payment: nothing was charged, and the goods are back on the shelf.")
    if order.status == Status.PAID:
        return _("Paid: the shop is recording it at this moment.")
    return _paid(parcels)


def _placed(order: Order, attempts: list[Attempt]) -> str:
    if order.withdrawn_at is not None:
        return _("Being called off: Stripe is asked to make sure that nobody can pay it any more.")
    latest = next((attempt for attempt in attempts if attempt.number == order.attempts), None)
    waits = latest.waits_for if latest is not None and latest.outcome == Outcome.WAITING else ""
    until = {"until": jst(order.pay_by)}
    if waits == "konbini":
        return _("Waiting for the customer to pay at a convenience store, until %(until)s.") % until
    if waits == "authentication":
        return _("Waiting for the customer to confirm the card with their bank, until %(until)s.") % until
    return _("The payment is being checked; nothing is to be done.")


def _paid(parcels: list[Delivery]) -> str:
    counts = {state: sum(parcel.state == state for parcel in parcels) for state in State.values}
    if not parcels:
        return _("Paid; its delivery slips are about to be written.")
    if counts["to_ship"] and counts["shipped"]:
        return _("Partly shipped: %(n)s of %(all)s parcels are still to be shipped.") % {
            "n": counts["to_ship"],
            "all": len(parcels),
        }
    if counts["to_ship"]:
        return _("Paid: %(n)s parcel(s) to be shipped.") % {"n": counts["to_ship"]}
    if counts["shipped"]:
        return _("Shipped on %(at)s. Nothing is left to do.") % {
            "at": jst(max(parcel.shipped_at for parcel in parcels if parcel.shipped_at is not None))
        }
    return _(
        "Called off before it was shipped. Do not send it; the customer has paid, so the money must be given back."
    )


def _amounts(request: HttpRequest, order: Order, attempts: list[Attempt]) -> Card:
    charge = next((attempt.charge for attempt in attempts if attempt.outcome == Outcome.PAID), "")
    return Card(
        _("Amounts"),
        [
            Fact(_("Goods"), yen(order.goods_total), number=True),
            Fact(_("Shipping"), yen(order.shipping), number=True),
            Fact(_("Total"), yen(order.total), number=True),
            *(
                Fact(
                    _("of which tax at %(percent)s %%") % {"percent": tax["percent"]},
                    f"{yen(tax['tax'])} / {yen(tax['base'])}",
                    number=True,
                )
                for tax in order.taxes
            ),
            Fact(
                _("Payment intent"),
                order.intent.stripe_id or "–",
                link(request, "payment", "intent", order.intent_id),
                mono=True,
            ),
            *([Fact(_("Stripe charge"), charge, mono=True)] if charge else []),
        ],
    )


def _happened(order: Order) -> Card:
    return Card(
        _("What happened"),
        [
            Fact(_("Placed"), jst(order.placed_at)),
            Fact(_("Paid"), jst(order.paid_at)),
            Fact(_("Recorded"), jst(order.recorded_at)),
            Fact(_("Complete"), jst(order.completed_at)),
            *([Fact(_("Pay by"), jst(order.pay_by))] if order.status == "placed" else []),
            *([Fact(_("Withdrawn"), jst(order.withdrawn_at))] if order.withdrawn_at else []),
        ],
    )


def _lines(request: HttpRequest, order: Order) -> Table:
    language = get_language() or "ja"
    return Table(
        _("Lines"),
        [
            (
                Fact(_("Product"), line.name_in(language), link(request, "catalog", "product", line.product_id)),
                Fact(_("SKU"), line.sku, mono=True),
                Fact(_("Unit price"), yen(line.unit_price), number=True),
                Fact(_("Quantity"), f"{line.quantity:,}", number=True),
                Fact(_("Tax"), f"{line.percent} %", number=True),
                Fact(_("Amount"), yen(line.amount), number=True),
            )
            for line in order.lines.all()
        ],
    )


def _deliveries(request: HttpRequest, parcels: list[Delivery]) -> Table:
    return Table(
        _("Deliveries"),
        [
            (
                Fact("№", parcel.number, link(request, "fulfilment", "delivery", parcel.pk)),
                Fact(_("State"), parcel.get_state_display(), state=parcel.state),
                Fact(_("Parcel"), f"{parcel.get_temperature_display()} {parcel.size}"),
                Fact(_("Carrier"), parcel.carrier_said or "–"),
                Fact(_("Tracking number"), parcel.tracking_number or "–", parcel.tracked_at, mono=True),
                Fact(_("Shipped"), jst(parcel.shipped_at)),
            )
            for parcel in parcels
        ],
        _("There is no delivery slip yet: it is written when the paid order is recorded."),
    )


def _attempts(request: HttpRequest, attempts: list[Attempt]) -> Table:
    return Table(
        _("Payment attempts"),
        [
            (
                Fact("№", attempt.number, link(request, "payment", "attempt", attempt.pk)),
                Fact(
                    _("Outcome"),
                    attempt.get_outcome_display(),
                    state="complete" if attempt.outcome == Outcome.PAID else attempt.outcome,
                ),
                Fact(_("Paid with"), paid_with(attempt)),
                Fact(_("Waits for"), waits_for(attempt)),
                Fact(_("Decline"), attempt.decline_code or "–", mono=True),
                Fact(_("Asked"), jst(attempt.asked_at)),
            )
            for attempt in attempts
        ],
        _("Nobody has pressed the order button."),
    )


def _cases(request: HttpRequest, cases: list[Case]) -> Table:
    return Table(
        _("Cases"),
        [
            (
                Fact(_("Opened"), jst(case.opened_at), link(request, "notify", "case", case.pk)),
                Fact(
                    _("State"),
                    _("open") if case.closed_at is None else _("closed"),
                    state="open" if case.closed_at is None else "closed",
                ),
                Fact(_("Reason"), labels.reason(case.code, case.step, case.why)),
                Fact(_("Closed by"), case.closed_by or "–"),
            )
            for case in cases
        ],
        _("No case: nothing about this order has needed a person."),
    )


def _movements(request: HttpRequest, order: Order) -> Table:
    movements = Movement.objects.filter(order=order).select_related("product").order_by("id")[:MOST]
    return Table(
        _("Stock movements"),
        [
            (
                Fact(_("At"), jst(movement.at), link(request, "stock", "movement", movement.pk)),
                Fact(_("Product"), movement.product.name),
                Fact(_("Kind"), movement.get_kind_display(), state=movement.kind),
                Fact(_("On hand"), f"{movement.on_hand:+d}", number=True),
                Fact(_("Who"), movement.who or "–"),
                Fact(_("Reason"), movement.why or "–"),
            )
            for movement in movements
        ],
        _("No stock has been moved for this order."),
    )


def _executions(request: HttpRequest, executions: list[Execution]) -> Table:
    return Table(
        _("Executions"),
        [
            (
                Fact(_("Play"), execution.name, link(request, "engines", "execution", execution.pk), mono=True),
                Fact(_("Status"), execution.get_status_display(), state=execution.status),
                Fact(_("Asked by"), execution.who or labels.knock(execution.knock)),
                Fact(_("Started"), jst(execution.started_at)),
                Fact(_("Stopped at"), labels.state(execution.position) if execution.status == "FAILED" else "–"),
            )
            for execution in executions
        ],
    )


def _ledger(request: HttpRequest, order: Order, executions: list[Execution]) -> Table:
    numbers = {execution.name: execution.pk for execution in executions}
    return Table(
        _("Ledger"),
        [
            (
                Fact(_("Step"), labels.state(done.step)),
                Fact(_("Answer"), done.answer.get("outcome", "–"), mono=True),
                Fact(_("Attempt"), done.attempt or "–", number=True),
                Fact(
                    _("Done by"),
                    done.execution,
                    link(request, "engines", "execution", numbers.get(done.execution)),
                    mono=True,
                ),
                Fact(_("Took"), took(done.began_at, done.ended_at), number=True),
                Fact(_("At"), jst_clock(done.ended_at)),
            )
            for done in order.ledger.all()
        ],
        _("No step has finished yet."),
    )


def _mail(request: HttpRequest, mail: Mail) -> dict[str, Any]:
    """A mail with its text; the codes that pay at a till are on the mail's own page only."""
    codes = mail.kind in ("konbini_codes", "konbini_reminder")
    return {
        "mail": mail,
        "text": "" if codes else masking.shown(request, "text", mail.text),
        "link": link(request, "notify", "mail", mail.pk),
        "stands": _stands(mail),
    }


def _stands(mail: Mail) -> dict[str, Any]:
    """How a mail stands, as a state and in words."""
    if mail.sent_at:
        return {"state": "yes", "says": _("sent %(at)s") % {"at": jst(mail.sent_at)}}
    if mail.given_up_at:
        return {"state": "no", "says": _("could not be delivered")}
    if mail.overtaken_at:
        return {"state": "default", "says": _("not sent: it was no longer so")}
    return {"state": "waiting", "says": _("about to be sent")}
