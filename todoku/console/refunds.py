"""Give money back: what an order's page offers, what will happen, and the acts, each written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from todoku.bad_news import Unavailable
from todoku.console import acts
from todoku.console.readonly import address, link
from todoku.console.refund_form import RefundForm
from todoku.console.sidebar import may_see
from todoku.console.templatetags.console import jst, yen
from todoku.fulfilment.models import Delivery
from todoku.gateways import stripe as stripe_gateway
from todoku.gateways.gateway import Payment
from todoku.gateways.gateway import Refused as StripeRefused
from todoku.order.models import Order, Status
from todoku.payment import stores
from todoku.payment.models import Attempt, Outcome
from todoku.payment.received import received
from todoku.refund import ask
from todoku.refund.models import Refund, State
from todoku.refund.rules import COUNTED, needs_two
from todoku.shop import chosen

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def may_ask(request: HttpRequest) -> bool:
    """Say whether the operator may ask for refunds."""
    return bool(request.user.has_perm("refund.add_refund"))


def may_decide(request: HttpRequest) -> bool:
    """Say whether the operator may approve and reject what others have asked for."""
    return bool(request.user.has_perm("refund.change_refund"))


def person(request: HttpRequest) -> User:
    """The person at the desk; every console page has one."""
    return cast("User", request.user)


def panel(request: HttpRequest, order: Order) -> dict[str, Any]:
    """What an order's page shows of its refunds, and whether it offers one."""
    if not (may_see(request, "refund", "refund") or may_ask(request)):
        return {}
    refunds = list(order.refunds.all())
    counted = sum(refund.amount for refund in refunds if refund.state in COUNTED)
    offers = may_ask(request) and ask.may_be_refunded(order) and counted < received(order)
    return {
        "refunds": [(refund, link(request, "refund", "refund", refund.pk)) for refund in refunds],
        "refunded": sum(refund.amount for refund in refunds if refund.state == State.SUCCEEDED),
        "refund_link": reverse("admin:refund_refund_ask", args=[order.pk]) if offers else "",
    }


@dataclass(frozen=True)
class Notice:
    """One thing that will happen, or that somebody should know before they press."""

    icon: str
    text: str
    warns: bool = False


def what_will_happen(order: Order, form: RefundForm) -> list[Notice]:
    """Say everything that the press will do, and what it will not."""
    wish, amount = form.wish(), form.whole
    paid = Attempt.objects.filter(order=order, outcome=Outcome.PAID).order_by("-number").first()
    told = [Notice("currency_yen", _how_it_comes(amount, paid))]
    if paid is not None and paid.method == "konbini":
        told.append(
            Notice(
                "outgoing_mail",
                _(
                    "Stripe mails the customer and asks for a bank account. Without an answer within 45 days the "
                    "refund fails, and you are told."
                ),
            )
        )
    told.append(Notice("percent", _("Stripe does not give back its fee for the payment.")))
    back = [form.lines[line].sku + f" × {part.quantity}" for line, part in wish.lines.items() if part.back]
    told.append(
        Notice("inventory_2", _("Back on the shelf: %(goods)s") % {"goods": ", ".join(back)})
        if back
        else Notice("inventory_2", _("No goods go back on the shelf."))
    )
    told.append(
        Notice("mail", _("A mail goes to the customer."))
        if wish.mail
        else Notice("unsubscribe", _("The customer gets no mail from the shop."))
    )
    limit = chosen.now().refund_alone_up_to
    if needs_two(amount, form.has.given, limit):
        told.append(
            Notice(
                "group",
                _(
                    "Refunds of more than %(limit)s for one order need a second person: nothing happens until "
                    "somebody else has approved it."
                )
                % {"limit": yen(limit)},
                warns=True,
            )
        )
    return told + _warnings(order, form)


def _how_it_comes(amount: int, paid: Attempt | None) -> str:
    if paid is not None and paid.method == "konbini":
        store = stores.name(paid.chain) or _("a convenience store")
        return _("%(amount)s go to the customer's bank account (it was paid at %(store)s).") % {
            "amount": yen(amount),
            "store": store,
        }
    card = f"{paid.card_brand.upper()} ****{paid.card_last4}" if paid is not None and paid.card_last4 else _("the card")
    return _("%(amount)s go back to %(card)s. The customer sees it in 5 to 10 business days.") % {
        "amount": yen(amount),
        "card": card,
    }


def _warnings(order: Order, form: RefundForm) -> list[Notice]:
    found = []
    if order.status == Status.PAID:
        found.append(
            _("The order is not recorded yet. After a refund of the whole payment it cannot go on any more.")
        )
    elif Delivery.objects.filter(order=order, state=Delivery.State.TO_SHIP).exists():
        found.append(_("The goods have not been shipped yet, and a refund does not stop the parcel."))
    payment = _at_stripe(order)
    if payment is None:
        found.append(_("Stripe could not be looked at just now. The refund itself looks again before it asks."))
    elif payment.disputed:
        found.append(_("The card's owner disputes this payment. Stripe will refuse a refund."))
    elif payment.amount_refunded != (ours := _known_at_stripe(order)):
        found.append(
            _("At Stripe %(theirs)s have been refunded, the shop knows of %(ours)s. Look at the payment first.")
            % {"theirs": yen(payment.amount_refunded), "ours": yen(ours)}
        )
    return [Notice("warning", text, warns=True) for text in found]


def _known_at_stripe(order: Order) -> int:
    made = order.refunds.filter(state__in=["requires_action", "pending", "succeeded"])
    return sum(refund.amount for refund in made)


def _at_stripe(order: Order) -> Payment | None:
    """The payment as Stripe has it at this moment; None when it does not answer in time."""
    try:
        return stripe_gateway.for_page().look(order.intent.stripe_id or "")
    except (Unavailable, StripeRefused):
        return None


def press(request: HttpRequest, order: Order, form: RefundForm) -> Refund:
    """Ask for the refund, and write down who did, in one transaction. Raises ask.Refused."""
    by = person(request)
    with transaction.atomic():
        known = ask.find(form.cleaned_data["token"], order, by)
        refund = ask.request(order, by=by, wish=form.wish(), token=form.cleaned_data["token"])
        if known is None and not acts.acts_on(refund).exists():
            act = "refund_asked" if refund.state == State.REQUESTED else "refunded"
            what = _("Refund of %(amount)s asked for") % {"amount": yen(refund.amount)}
            acts.write_down(request, refund, what, act=act, reason=refund.note)
    return refund


def approve(request: HttpRequest, refund: Refund) -> None:
    """Say yes to somebody else's refund, and write it down. Raises ask.Refused."""
    with transaction.atomic():
        ask.approve(refund, by=person(request))
        what = _("Refund of %(amount)s approved") % {"amount": yen(refund.amount)}
        acts.write_down(request, refund, what, act="refunded")


def reject(request: HttpRequest, refund: Refund) -> None:
    """Say no to somebody else's refund, and write it down. Raises ask.Refused."""
    with transaction.atomic():
        ask.reject(refund, by=person(request))
        what = _("Refund of %(amount)s rejected") % {"amount": yen(refund.amount)}
        acts.write_down(request, refund, what, act="refund_stopped")


def withdraw(request: HttpRequest, refund: Refund) -> None:
    """Take a refund back before Stripe is asked, and write it down. Raises ask.Refused."""
    with transaction.atomic():
        ask.withdraw(refund, by=person(request))
        what = _("Refund of %(amount)s withdrawn") % {"amount": yen(refund.amount)}
        acts.write_down(request, refund, what, act="refund_stopped")


def tell(request: HttpRequest, refused: ask.Refused) -> None:
    """Tell the operator why nothing was done, on the next page."""
    other = refused.other
    said = {
        "old_page": _("This page is too old. Please start the refund again; nothing was done."),
        "not_paid": _("This order has no payment to refund."),
        "playing": _("The order is being worked on right now. Please try again in a moment; nothing was done."),
        "same_person": _("Somebody else has to approve this: whoever asked for a refund of this size cannot."),
    }.get(refused.code, "")
    if not said and other is not None:
        which = {
            "number": other.number,
            "amount": yen(other.amount),
            "who": _last_hand(other),
            "when": jst(other.stopped_at or other.approved_at or other.requested_at),
            "state": other.get_state_display(),
        }
        said = {
            "overtaken": _(
                "Nothing was done: %(who)s has asked for refund №%(number)s of %(amount)s at %(when)s. Look at it "
                "first; if another one is right, start again."
            ),
            "another": _(
                "Nothing was done: refund №%(number)s of %(amount)s is still under way (%(state)s). One comes after "
                "the other."
            ),
            "decided": _("Nothing was done: this refund is by now “%(state)s” (%(who)s, %(when)s)."),
        }[refused.code] % which
    messages.warning(request, said)


def _last_hand(refund: Refund) -> str:
    who = refund.stopped_by or refund.approved_by or refund.requested_by
    return who.get_username()


def place(refund: Refund) -> str:
    """The console's address of a refund."""
    return address(refund)
