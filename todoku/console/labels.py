"""What the machine's words are called by people: steps, states, reasons, colours."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku import runbook

#: The flow's states, as an operator reads them.
STATES: dict[str, Any] = {
    "TakeStock": gettext_lazy("Hold the stock"),
    "StockTaken": gettext_lazy("Was there enough stock?"),
    "SoldOut": gettext_lazy("Sold out: nothing was charged"),
    "TakePayment": gettext_lazy("Take the payment"),
    "PaymentTaken": gettext_lazy("Was it paid?"),
    "Waiting": gettext_lazy("Waiting for the customer to pay"),
    "ReturnStock": gettext_lazy("Put the stock back"),
    "NotPaid": gettext_lazy("Not paid: nothing was charged"),
    "RecordOrder": gettext_lazy("Record the order and its parcels"),
    "CloseCart": gettext_lazy("Close the cart"),
    "PublishToMyPage": gettext_lazy("Publish to my page"),
    "SendMail": gettext_lazy("Send the mail"),
    "Done": gettext_lazy("It has arrived"),
    "NotUnderstood": gettext_lazy("An answer that this flow does not know"),
    # The refund's.
    "TakeBack": gettext_lazy("Give the money back"),
    "TakenBack": gettext_lazy("Has Stripe made the refund?"),
    "ReturnGoods": gettext_lazy("Put goods back on the shelf"),
    "SendRefundMail": gettext_lazy("Tell the customer of the refund"),
    "HasItArrived": gettext_lazy("Has the money arrived?"),
    "RecordRefund": gettext_lazy("Close the refund"),
    "Refunded": gettext_lazy("The money is given back"),
    "OnItsWay": gettext_lazy("Waiting for the customer or the bank"),
    "NotRefunded": gettext_lazy("Not refunded: a person has been told"),
    "NothingToRefund": gettext_lazy("Nothing to refund"),
}

#: Ends of a flow that are no end for the order: somebody still has to do something.
WAITING = frozenset({"Waiting", "OnItsWay", "NotRefunded"})

#: What a step may answer, where a flow asks what to do next.
OUTCOMES: dict[str, Any] = {
    "taken": gettext_lazy("yes"),
    "sold_out": gettext_lazy("sold out"),
    "paid": gettext_lazy("paid"),
    "waiting": gettext_lazy("not yet"),
    "declined": gettext_lazy("declined"),
    "canceled": gettext_lazy("canceled"),
    "expired": gettext_lazy("too late"),
    "succeeded": gettext_lazy("yes"),
    "failed": gettext_lazy("failed"),
    "refused": gettext_lazy("refused by Stripe"),
    "nothing": gettext_lazy("nothing"),
}

#: What the knocks that start a play are called.
KNOCKS: dict[str, Any] = {
    "press": gettext_lazy("order button"),
    "webhook": gettext_lazy("Stripe event"),
    "return": gettext_lazy("back from the bank's page"),
    "poller": gettext_lazy("regular look"),
    "resume": gettext_lazy("operator's Resume"),
    "knocked": gettext_lazy("news during the play"),
    "withdrawn": gettext_lazy("newer order of the same cart"),
    "reconciliation": gettext_lazy("reconciliation"),
}

#: The kinds of act in the audit log.
ACTS: dict[str, Any] = {
    "added": gettext_lazy("added"),
    "changed": gettext_lazy("changed"),
    "deleted": gettext_lazy("deleted"),
    "resumed": gettext_lazy("resumed"),
    "closed": gettext_lazy("closed a finding"),
    "corrected": gettext_lazy("corrected an order"),
    "shipped": gettext_lazy("shipped"),
    "called_off": gettext_lazy("called an order off"),
    "adjusted": gettext_lazy("adjusted stock"),
    "accepted": gettext_lazy("accepted an amount"),
    "allocated": gettext_lazy("found goods for an order"),
    "written_off": gettext_lazy("wrote an order off"),
    "noted": gettext_lazy("wrote a note"),
    "recovered": gettext_lazy("resumed many"),
    "refund_asked": gettext_lazy("asked for a refund"),
    "refunded": gettext_lazy("refunded"),
    "refund_stopped": gettext_lazy("stopped a refund"),
    "exported": gettext_lazy("exported"),
    "looked": gettext_lazy("looked at customers' data"),
    "login": gettext_lazy("logged in"),
    "login_failed": gettext_lazy("failed to log in"),
    "locked_out": gettext_lazy("locked out"),
    "logout": gettext_lazy("logged out"),
    "password": gettext_lazy("changed a password"),
    "second_factor": gettext_lazy("changed the second factor"),
    "invited": gettext_lazy("invited somebody"),
    "role": gettext_lazy("gave a role"),
    "deactivated": gettext_lazy("deactivated somebody"),
    "activated": gettext_lazy("let somebody in again"),
    "sessions_ended": gettext_lazy("ended sessions"),
}

#: The colours of every status that the console shows, in unfold's words.
COLOURS: dict[str, str] = {
    "placed": "info",
    "not_paid": "default",
    "canceled": "default",
    "paid": "warning",
    "recorded": "warning",
    "complete": "success",
    "written_off": "default",
    "pending": "default",
    "asked": "warning",
    "declined": "default",
    "waiting": "info",
    "RUNNING": "info",
    "SUCCEEDED": "success",
    "FAILED": "danger",
    "to_ship": "warning",
    "shipped": "success",
    "held": "info",
    "returned": "default",
    "sold": "success",
    "counted": "info",
    "taken": "warning",
    "requested": "warning",
    "approved": "info",
    "requires_action": "info",
    "succeeded": "success",
    "failed": "danger",
    "refused": "danger",
    "rejected": "default",
    "withdrawn": "default",
    "open": "danger",
    "picked_waiting": "default",
    "picked_running": "info",
    "picked_done": "success",
    "picked_failed": "danger",
    "picked_skipped": "default",
    "closed": "success",
    "yes": "success",
    "no": "danger",
}


def state(name: str) -> str:
    """The state's name in the operator's language; a state that has none keeps its own."""
    return str(STATES.get(name, name))


def outcome(word: object) -> str:
    """A step's answer in the operator's language; one that has no words keeps its own."""
    return str(OUTCOMES.get(str(word), word))


def knock(name: str) -> str:
    """What asked for a play, in the operator's language."""
    return str(KNOCKS.get(name, name))


def act(key: str) -> str:
    """The kind of act, in the operator's language."""
    return str(ACTS.get(key, key))


def reason(code: str, step: str, why: str = "") -> str:
    """Say in one sentence why an order stopped and what to do; ``why`` is the machine's own sentence."""
    known = {
        "mail_refused": _(
            "The mail server refuses the customer's mail address for good. Correct the address, then press Resume."
        ),
        "paid_unallocated": _(
            "The customer has paid, but the goods are no longer in stock. Add stock, then press Resume."
        ),
        "amount_mismatch": _(
            "The money at Stripe is not what the order says. Compare the two before you do anything else."
        ),
        "unexpected_status": _("Stripe gave an answer that the shop does not know. Look at the payment at Stripe."),
        "unknown_step": _("The play was started by another version of the shop. Bring that version back, or resume."),
        "low_stock": _("A product is running out. Order more of it, or count the shelf."),
        "mail_not_taken": _("A mail could not be delivered. Tell the customer in another way."),
        "stripe_key_refused": _("Stripe does not accept the shop's key. Correct the key, then press Resume."),
        "refund_waits": _("A refund waits for a second person. Open it, and approve or reject it."),
        "refund_missing": _("Stripe does not list a refund that it had made. Look at the payment at Stripe."),
        "refund_differs": _("A refund at Stripe is not the one that was approved here. Compare the two."),
        "refund_changed": _("Stripe was first asked for another refund than now. Look at the payment at Stripe."),
        "refunded_before_recorded": _(
            "The whole payment has been refunded, or a refund has put its goods back on the shelf, so the order does"
            " not go on. Nothing is shipped; write it off."
        ),
        "Unavailable": {
            "SendRefundMail": _("The mail server could not be reached. When it is back, press Resume."),
            "TakeBack": _(
                "Stripe could not be reached, so it is not known whether the refund is made. The shop looks again by "
                "itself; you may also press Resume."
            ),
            "SendMail": _("The mail server could not be reached. When it is back, press Resume."),
            "TakePayment": _("Stripe could not be reached. When it is back, press Resume."),
        }.get(step, _("Something the shop depends on did not answer. When it is back, press Resume.")),
        "States.Timeout": _("The step gave no answer in time. What it did is not known; Resume looks before it acts."),
    }
    if code in known:
        return known[code]
    if why and code and code.islower():
        # A finding says its sentence itself, in the words that the catalog knows.
        return _(why)
    return _("The step failed unexpectedly (%(error)s). A developer may have to mend it; then press Resume.") % {
        "error": code or "?"
    }


def runbook_link(code: str) -> str:
    """Where the runbook tells what a cause means and what to do about it."""
    return runbook.address(code)


#: Words of the console's theme that it has no Japanese for; ours are found first.
THEME = (
    gettext_lazy("Filters"),
    gettext_lazy("Choose file to upload"),
    gettext_lazy("Select record"),
    gettext_lazy("Select all rows"),
    gettext_lazy("Add row"),
    gettext_lazy("Apply Filters"),
    gettext_lazy("Reset filters"),
    gettext_lazy("Click to cancel"),
    gettext_lazy("Click to download"),
    gettext_lazy("Dark"),
    gettext_lazy("Light"),
    gettext_lazy("System"),
    gettext_lazy("Date"),
    gettext_lazy("Date from"),
    gettext_lazy("Date to"),
    gettext_lazy("Expand row"),
    gettext_lazy("False"),
    gettext_lazy("True"),
    gettext_lazy("General"),
    gettext_lazy("Go back"),
    gettext_lazy("Loading more results..."),
    gettext_lazy("More actions"),
    gettext_lazy("Next"),
    gettext_lazy("Previous"),
    gettext_lazy("No data"),
    gettext_lazy("No recent searches"),
    gettext_lazy("Recent searches"),
    gettext_lazy("No results found"),
    gettext_lazy("No results matching your query"),
    gettext_lazy("Run"),
    gettext_lazy("Select action"),
    gettext_lazy("Select action to run"),
    gettext_lazy("Select value"),
    gettext_lazy("Submit"),
    gettext_lazy("This item will be deleted."),
    gettext_lazy("This page yielded into no results. Create a new item or reset your filters."),
    gettext_lazy("Toggle password visibility"),
    gettext_lazy("Type to search"),
    gettext_lazy("Value"),
    gettext_lazy("You have been successfully logged out from the administration"),
    gettext_lazy("All applications"),
    gettext_lazy("Return to site"),
    gettext_lazy("groups"),
    gettext_lazy("users"),
)
