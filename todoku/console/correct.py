"""Correct a customer's mail address, as long as the confirmation has not been sent."""

from __future__ import annotations

import enum

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from todoku.console import acts
from todoku.console.masking import masked
from todoku.engines.models import Execution, State
from todoku.notify.models import Mail
from todoku.notify.steps import KIND
from todoku.order.models import Order, Status
from todoku.order.moves import write


class Came(enum.Enum):
    """What came of a correction."""

    CORRECTED = enum.auto()
    #: The order has this address already: a second press of the same button.
    SAME = enum.auto()
    #: The confirmation has left; where it went stays written down.
    SENT = enum.auto()
    #: A play is under way. It has read the order, and may be sending the mail at this moment.
    PLAYING = enum.auto()
    #: Somebody has corrected the address since the operator looked.
    OVERTAKEN = enum.auto()


def may_correct(request: HttpRequest) -> bool:
    """Say whether the operator may correct a customer's mail address."""
    return bool(request.user.has_perm("order.change_order"))


def correct(request: HttpRequest, order: Order, *, email: str, seen: str) -> Came:
    """Write the order's new mail address and who corrected it, in one transaction.

    ``seen`` is the address that the operator's page showed. The order's row is locked against everything, so no
    play of it can start, or turn out to have started, between the look and the writing.
    """
    with transaction.atomic():
        held = Order.objects.select_for_update(of=("self",)).get(pk=order.pk)
        if held.email == email:
            return Came.SAME
        if is_sent(held):
            return Came.SENT
        if Execution.objects.filter(order=held, status=State.RUNNING).exists():
            return Came.PLAYING
        if held.email != seen:
            return Came.OVERTAKEN
        before = held.email
        write(held, email=email)
        acts.write_down(
            request,
            held,
            _("Mail address corrected"),
            act="corrected",
            before={"mail": masked("mail", before)},
            after={"mail": masked("mail", email)},
        )
    return Came.CORRECTED


def is_sent(order: Order) -> bool:
    """Say whether a mail server has taken the order's confirmation, and whatever mail a flow still has to send."""
    if Mail.objects.filter(order=order, kind__startswith="refund-", sent_at=None).exists():
        return False
    if order.status == Status.COMPLETE:
        return True
    return Mail.objects.filter(order=order, kind=KIND, sent_at__isnull=False).exists()


def tell(request: HttpRequest, came: Came) -> None:
    """Tell the operator what came of it, on the next page."""
    if came is Came.CORRECTED:
        messages.success(request, _("The mail address is corrected. The confirmation will go to the new one."))
    elif came is Came.SAME:
        messages.info(request, _("The order has this mail address; there is nothing more to change."))
    elif came is Came.SENT:
        messages.warning(request, _("Nothing was changed: the confirmation has already been sent."))
    elif came is Came.PLAYING:
        messages.warning(
            request,
            _("Nothing was changed: the order is being played right now. Please try again when the play has stopped."),
        )
    else:
        messages.warning(
            request,
            _(
                "Nothing was changed: somebody else has corrected the address meanwhile. "
                "If it is still wrong, please enter it again."
            ),
        )
