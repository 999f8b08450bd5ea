"""The mail server refuses: the order is complete but for its mail, a person is called, and Resume sends just that."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from django.db import connection

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests import shop
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.models import Execution, Mishap
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Case, Mail
from todoku.order.models import MyPageEntry, Order, Status


def _refuse(how: str, mailbox: Mailbox, settings: Any) -> None:
    if how == "nobody listens":
        with socket.create_server(("127.0.0.1", 0)) as closed:
            settings.EMAIL_PORT = closed.getsockname()[1]
    else:
        mailbox.refuse(how)


@pytest.mark.parametrize("how", ["nobody listens", "closed", "later"])
def test_a_mail_server_that_is_away_stops_only_the_mail(
    how: str, rehearsal: Rehearsal, crab: Product, mailbox: Mailbox, settings: Any
) -> None:
    good_port = settings.EMAIL_PORT
    _refuse(how, mailbox, settings)
    order = shop.order_one(rehearsal, crab)
    _play_but_do_not_ring()

    # All is recorded and shown; only the mail is missing.
    order = Order.objects.get(pk=order.pk)
    assert (order.status, order.recorded_at is not None) == (Status.RECORDED, True)
    assert shop.levels(crab) == (9, 0, 1)
    assert Delivery.objects.filter(order=order).count() == MyPageEntry.objects.filter(order=order).count() == 1
    assert Cart.objects.get(pk=order.cart_id).closed_at is not None
    assert (mailbox.list(), Mail.objects.get().sent_at) == ([], None)
    failed = Execution.objects.get()
    assert (failed.status, failed.position, failed.error) == ("FAILED", "SendMail", "Unavailable")
    assert Mishap.objects.count() == 6  # the first try and five more
    case = Case.objects.get()
    assert (case.step, case.code, case.failures, case.rung_at) == ("SendMail", "Unavailable", 1, None)
    assert "hanako" not in case.technical + failed.cause

    # The bell needs the mail server too: it is tried again until it rings, once.
    mailbox.refuse(None)
    settings.EMAIL_PORT = good_port
    shop.work_off()
    [bell] = mailbox.list()
    assert bell["to"] == ["operator@example.jp"]
    assert order.number in bell["subject"] and bell["subject"].endswith("(Unavailable)")
    case.refresh_from_db()
    assert case.rung_at is not None and case.closed_at is None

    # Resume: the mail and nothing else.
    asked = len(rehearsal.requests)
    began = dict(order.ledger.values_list("step", "ended_at"))
    engine.resume(failed, who="sato")
    shop.work_off()
    assert len(rehearsal.requests) == asked
    [letter] = [one for one in mailbox.list() if one["to"] == ["hanako@example.com"]]
    assert letter["message_id"] == Mail.objects.get().message_id
    assert order.number in letter["subject"]
    order.refresh_from_db()
    assert (order.status, Case.objects.get().closed_by) == (Status.COMPLETE, "sato")
    assert {step: at for step, at in order.ledger.values_list("step", "ended_at") if step != "SendMail"} == began
    assert shop.levels(crab) == (9, 0, 1)
    assert len(shop.charges(rehearsal)) == 1


def _play_but_do_not_ring() -> None:
    """Play until the execution has failed; the bell's own job stays for later."""
    while Execution.objects.filter(status="RUNNING").exists():
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND queue_name = 'plays'"
            )
        shop.work_off(hurry=False)


def test_an_address_that_is_refused_for_good_is_not_tried_again_and_can_be_corrected(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox
) -> None:
    mailbox.refuse("never")
    order = shop.order_one(rehearsal, crab)
    _play_but_do_not_ring()

    case = Case.objects.get()
    assert (case.code, case.step) == ("mail_refused", "SendMail")
    assert "Correct it, then press Resume" in case.why
    assert "hanako" not in case.why
    assert Mishap.objects.count() == 1
    # Nor is it kept with the case what the server said of the address.
    assert "hanako" not in case.technical + Execution.objects.get().cause + Mishap.objects.get().cause
    assert Mail.objects.get().recipient == "hanako@example.com"
    first_id = Mail.objects.get().message_id

    Order.objects.filter(pk=order.pk).update(email="hanako.kitano@example.com")
    mailbox.refuse(None)
    engine.resume(Execution.objects.get(), who="sato")
    shop.work_off()

    letters = [one for one in mailbox.list() if one["to"] != ["operator@example.jp"]]
    assert [(one["to"], one["message_id"]) for one in letters] == [(["hanako.kitano@example.com"], first_id)]
    assert Order.objects.get().status == Status.COMPLETE
    assert Mail.objects.get().recipient == "hanako.kitano@example.com"


def test_a_case_that_was_closed_before_the_bell_could_ring_does_not_ring(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox, settings: Any
) -> None:
    good_port = settings.EMAIL_PORT
    _refuse("nobody listens", mailbox, settings)
    shop.order_one(rehearsal, crab)
    _play_but_do_not_ring()
    settings.EMAIL_PORT = good_port
    with connection.cursor() as cursor:
        # The bell's next try is far off.
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour'")
    engine.resume(Execution.objects.get(), who="sato")
    while Case.objects.filter(closed_at=None).exists():
        shop.work_off(hurry=False)
    shop.work_off()
    assert [one["to"] for one in mailbox.list()] == [["hanako@example.com"]]
