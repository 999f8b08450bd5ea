"""The outbox: a mail server that is down, refuses or vanishes; senders that die; two senders at once."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connections

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests import shop
from tests.clock import Clock
from tests.quick import knock, play
from tests.races.together import together
from todoku.catalog.models import Product
from todoku.engines.management.commands.worker import _post_once
from todoku.notify import letters, outbox
from todoku.notify.models import Case, Mail
from todoku.order.models import Order
from todoku.ringing.ring import ring_new


@pytest.fixture
def order(rehearsal: Rehearsal, crab: Product) -> Order:
    """An order that waits at the konbini; the mail with its codes lies in the outbox."""
    return play(shop.order_at_konbini(rehearsal, crab))


def more_mails(order: Order, count: int) -> None:
    """So many more mails that are due, each of a kind of its own."""
    outbox.write(order, "konbini_codes")
    first = Mail.objects.get()
    Mail.objects.bulk_create(
        Mail(
            order=order,
            kind=f"kind {n}",
            message_id=f"<{n}@example.jp>",
            recipient=order.email,
            subject=f"subject {n}",
            text="text",
            next_try_at=first.next_try_at,
        )
        for n in range(count)
    )


def arrived(mailbox: Mailbox) -> list[str]:
    """The Message-IDs of what the mail server has taken."""
    return sorted(str(letter["message_id"]) for letter in mailbox.list())


def test_what_is_due_leaves_once(order: Order, mailbox: Mailbox) -> None:
    assert (outbox.send_due(), outbox.send_due()) == (1, 0)
    mail = Mail.objects.get()
    assert arrived(mailbox) == [mail.message_id]
    assert (mail.tries, mail.next_try_at, mail.sent_at is not None) == (1, None, True)
    from tests.flows import mail_door

    assert mail_door.in_transaction == [False]


def test_the_worker_sends_what_is_due(order: Order, mailbox: Mailbox) -> None:
    _post_once()
    assert len(mailbox.list()) == 1


def test_a_mail_server_that_nobody_finds_is_asked_for_one_mail_and_not_for_all(
    order: Order, mailbox: Mailbox, settings: Any, clock: Clock
) -> None:
    good = settings.EMAIL_PORT
    with socket.create_server(("127.0.0.1", 0)) as closed:
        settings.EMAIL_PORT = closed.getsockname()[1]
    more_mails(order, 5)
    assert outbox.send_due() == 0
    assert sum(Mail.objects.values_list("tries", flat=True)) == 1
    settings.EMAIL_PORT = good
    clock.advance(seconds=16)
    assert outbox.send_due() == 6
    assert len(mailbox.list()) == 6


@pytest.mark.parametrize("how", ["later", "closed"])
def test_later_means_again_after_pauses_that_grow_to_an_hour(
    how: str, order: Order, mailbox: Mailbox, clock: Clock
) -> None:
    mailbox.refuse(how)
    pauses = []
    for _ in range(12):
        assert outbox.send_due() == 0
        mail = Mail.objects.get()
        assert mail.next_try_at is not None
        pauses.append(round((mail.next_try_at - clock.now()).total_seconds()))
        assert outbox.send_due() == 0  # not before its time
        clock.advance_to(mail.next_try_at)
    assert pauses == [15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    mailbox.refuse(None)
    assert outbox.send_due() == 1
    assert arrived(mailbox) == [mail.message_id]
    assert not Case.objects.exists()


def test_an_address_that_is_refused_for_good_is_given_up_and_a_person_is_told(order: Order, mailbox: Mailbox) -> None:
    mailbox.refuse("never")
    assert (outbox.send_due(), outbox.send_due()) == (0, 0)
    mail = Mail.objects.get()
    assert (mail.tries, mail.sent_at, mail.next_try_at, mail.given_up_at is not None) == (1, None, None, True)
    case = Case.objects.get()
    assert (case.code, case.about, case.order) == ("mail_not_taken", f"mail {mail.pk}", order)
    assert "hanako" not in case.why + case.technical

    mailbox.refuse(None)
    assert ring_new() == 1
    [rung] = mailbox.list()
    assert rung["to"] == ["operator@example.jp"] and order.number in rung["subject"]


def test_after_three_days_nobody_tries_any_more(order: Order, mailbox: Mailbox, clock: Clock) -> None:
    more_mails(order, 1)
    Mail.objects.filter(kind="konbini_codes").delete()  # which would be overtaken by its own deadline
    mailbox.refuse("closed")
    clock.advance(hours=71)
    outbox.send_due()
    assert Mail.objects.get().given_up_at is None
    clock.advance(hours=2)
    outbox.send_due()
    assert Mail.objects.get().given_up_at is not None
    assert Case.objects.get().code == "mail_not_taken"
    clock.advance(days=1)
    assert (outbox.send_due(), Mail.objects.get().tries) == (0, 2)


def test_a_sender_that_dies_before_it_could_note_it_sends_the_same_mail_again(
    order: Order, mailbox: Mailbox, clock: Clock
) -> None:
    mail = outbox._take()
    assert mail is not None
    letters.post(mail)  # and here the sender is gone
    assert outbox.send_due() == 0  # perhaps it is still at it
    clock.advance(minutes=2, seconds=1)
    assert outbox.send_due() == 1
    # The reader's program sees one mail: the same Message-ID.
    assert arrived(mailbox) == [mail.message_id, mail.message_id]
    assert Mail.objects.get().tries == 2


def test_a_sender_that_was_taken_for_dead_does_not_bring_a_sent_mail_back(
    order: Order, mailbox: Mailbox, clock: Clock
) -> None:
    slow = outbox._take()
    assert slow is not None
    clock.advance(minutes=2, seconds=1)
    assert outbox.send_due() == 1
    outbox._later(slow, TimeoutError())
    clock.advance(days=1)
    assert outbox.send_due() == 0
    assert len(mailbox.list()) == 1


def test_many_senders_at_once_send_each_mail_once(order: Order, mailbox: Mailbox) -> None:
    more_mails(order, 11)
    sent = together(*[outbox.send_due] * 6)
    assert sum(n for n in sent if isinstance(n, int)) == 12, sent
    assert len(arrived(mailbox)) == len(set(arrived(mailbox))) == 12


def test_control_without_the_lock_a_mail_leaves_twice(order: Order, mailbox: Mailbox) -> None:
    both_have_looked = threading.Barrier(2)

    def careless() -> None:
        try:
            mail = Mail.objects.select_related("order").get(next_try_at__isnull=False)
            both_have_looked.wait(timeout=20)
            outbox._send(mail)
        finally:
            connections.close_all()

    together(careless, careless)
    assert len(arrived(mailbox)) == 2


def test_a_mail_that_another_has_in_hand_is_not_waited_for(order: Order, mailbox: Mailbox) -> None:
    from django.db import transaction

    taken, may_go = threading.Event(), threading.Event()

    def holds() -> None:
        with transaction.atomic():
            Mail.objects.select_for_update(no_key=True).get()
            taken.set()
            may_go.wait(timeout=20)

    def sends() -> int:
        taken.wait(timeout=20)
        try:
            return outbox.send_due()
        finally:
            may_go.set()

    assert together(holds, sends) == [None, 0]
    assert outbox.send_due() == 1


@pytest.mark.parametrize("address", ["a@example.com\nBcc: all@example.com", "a@example.com\r\nDATA", "@", "a@b@c"])
def test_no_header_and_no_command_is_smuggled_in_by_an_address(address: str, order: Order, mailbox: Mailbox) -> None:
    more_mails(order, 1)
    Order.objects.filter(pk=order.pk).update(email=address)
    other = play(shop.order_at_konbini(mailbox._rehearsal, Product.objects.get()))
    outbox.send_due()
    # Nothing of it has left, the next customer's mail has, and a person knows.
    assert [letter["to"] for letter in mailbox.list()] == [[other.email]]
    assert {mail.given_up_at is not None for mail in Mail.objects.filter(order=order)} == {True}
    assert {case.code for case in Case.objects.all()} == {"mail_not_taken"}


def test_a_line_break_in_a_subject_is_refused(order: Order, mailbox: Mailbox) -> None:
    Mail.objects.update(subject="hello\nBcc: all@example.com")
    assert outbox.send_due() == 0
    assert (mailbox.list(), Mail.objects.get().given_up_at is not None) == ([], True)


class Stumbles(BaseEmailBackend):
    """A door to the mail server with a fault in it that nobody thought of."""

    def send_messages(self, email_messages: Any) -> int:
        if "1" in email_messages[0].subject[-1]:
            raise RuntimeError("nobody thought of this")
        return 1


def test_a_fault_that_nobody_thought_of_does_not_hold_up_the_other_mails(order: Order, settings: Any) -> None:
    settings.EMAIL_BACKEND = "tests.notify.test_outbox.Stumbles"
    more_mails(order, 3)
    outbox.send_due()
    assert set(Mail.objects.filter(sent_at=None).values_list("subject", flat=True)) == {"subject 1"}
    assert Mail.objects.get(sent_at=None).next_try_at is not None


def test_a_corrected_address_gets_the_mail(order: Order, mailbox: Mailbox) -> None:
    Order.objects.filter(pk=order.pk).update(email="hanako.kitano@example.com")
    outbox.send_due()
    [letter] = mailbox.list()
    assert letter["to"] == ["hanako.kitano@example.com"]
    assert Mail.objects.get().recipient == "hanako.kitano@example.com"


def test_what_is_no_longer_so_is_not_sent(rehearsal: Rehearsal, order: Order, mailbox: Mailbox, clock: Clock) -> None:
    mailbox.refuse("closed")
    outbox.send_due()
    rehearsal.pay_at_till(order.intent.stripe_id)
    mailbox.refuse(None)
    knock(order)
    clock.advance(minutes=1)
    outbox.send_due()
    # The order is paid: only the confirmation has come, nobody is asked to pay once more.
    assert [letter["subject"].strip() for letter in mailbox.list()] == [Mail.objects.get(kind="order_complete").subject]
    codes = Mail.objects.get(kind="konbini_codes")
    assert (codes.sent_at, codes.given_up_at, codes.next_try_at) == (None, None, None)
    assert codes.overtaken_at is not None
    assert codes.overtaken_at - clock.now() < timedelta(seconds=5)


def test_writing_the_same_mail_twice_at_once_is_one_mail(order: Order) -> None:
    Mail.objects.all().delete()
    came = together(*[partial(outbox.write, order, "konbini_codes")] * 4)
    assert came == [None] * 4
    assert Mail.objects.count() == 1
