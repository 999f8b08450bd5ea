"""What is told of a case to somebody who is no developer: what happened, what the customer sees, what to do."""

from __future__ import annotations

from django.utils.translation import gettext as _

from todoku.console import labels
from todoku.console.templatetags.console import yen
from todoku.notify.models import Case
from todoku.order.models import Order, Status

#: The act that fits a cause, where it is not Resume.
ACTS = {
    "mail_refused": "mail",
    "paid_unallocated": "allocate",
    "amount_mismatch": "accept",
    "refunded_before_recorded": "write-off",
}


def happened(case: Case) -> str:
    """What happened, in one sentence without the order's number."""
    known = {
        "mail_refused": _("Paid, but the mail server says that the customer's mail address does not exist."),
        "paid_unallocated": _("Paid, but the goods are no longer in stock."),
        "amount_mismatch": _("The money at Stripe is not what the order says."),
        "unexpected_status": _("Stripe gave an answer that the shop does not know."),
        "unknown_step": _("The order was begun by another version of the shop, which this one cannot play."),
        "definition_refused": _("The order was begun by another version of the shop, which this one cannot play."),
        "stripe_key_refused": _("Stripe does not accept the shop's key."),
        "mail_not_taken": _("A mail to the customer could not be delivered."),
        "Unavailable": {
            "SendMail": _("Paid, but the mail server could not be reached, so the confirmation was not sent."),
            "TakePayment": _("Stripe could not be reached, so it is not known whether the customer has paid."),
            # A step of a refund has words of its own.
        }.get(case.step, labels.reason(case.code, case.step, case.why)),
        "States.Timeout": _("A step gave no answer in time, so it is not known what it did."),
    }
    if case.code in known:
        return known[case.code]
    if case.execution_id is None or (case.why and case.code.islower()):
        return labels.reason(case.code, case.step, case.why)
    return _("A step has failed through a fault in the shop's software.")


def customer_sees(order: Order) -> str:
    """What the customer reads on their order's page at this moment."""
    if order.status == Status.WRITTEN_OFF:
        return _("The customer's page says that the shop has ended this order.")
    if order.recorded_at is not None:
        return _("The customer's page says thank you and shows the order.")
    if order.status == Status.CANCELED or (order.status == Status.NOT_PAID and order.withdrawn_at is not None):
        return _("The customer's page says that the order has ended and nothing was charged.")
    if order.status == Status.NOT_PAID:
        return _("The customer's page says that the order was not paid, and offers another try.")
    return _("The customer's page says that the payment is being checked, and asks not to pay again.")


def to_do(case: Case, order: Order | None, *, corrected: bool = False) -> str:
    """What the operator can do about it, in one or two sentences."""
    if case.code == "mail_refused" and corrected:
        return _("The address has been corrected. Send the mail there.")
    return {
        "mail_refused": _("Ask the customer for the right address and enter it. The mail then goes out at once."),
        "paid_unallocated": _(
            "Look for the goods. If you have them, say how many, and the order goes on. "
            "If they cannot be had, talk to the customer, refund, and write the order off."
        ),
        "amount_mismatch": _(
            "Compare the money below. If you and the customer are content with what was paid, accept it. "
            "If not, give it back and write the order off."
        ),
        "refunded_before_recorded": _("Write the order off, and say what becomes of the goods."),
        "unexpected_status": _("Look at the payment at Stripe. When it is settled there, press Resume."),
        "unknown_step": _("Have the developer look at it, then press Resume."),
        "definition_refused": _("Have the developer look at it, then press Resume."),
        "stripe_key_refused": _("Have STRIPE_SECRET_KEY corrected and the shop restarted, then press Resume."),
        "Unavailable": {
            "SendMail": _("When the mail server is back, press Resume. Only the mail is sent; nothing is charged."),
            "TakePayment": _("When Stripe is back, press Resume. It looks first, so nobody pays twice."),
        }.get(case.step, _("When it is back, press Resume.")),
        "States.Timeout": _("Press Resume: it looks first at what was done, and does nothing twice."),
    }.get(case.code, _("Press Resume once. If it stops again, send the text below the picture to your developer."))


def headline(order: Order) -> str:
    """Name the order and its amount, as one would on the phone."""
    return _("Order %(number)s over %(amount)s") % {"number": order.number, "amount": yen(order.total)}


def act_for(case: Case) -> str:
    """The one act that fits the case's cause."""
    return ACTS.get(case.code, "resume")
