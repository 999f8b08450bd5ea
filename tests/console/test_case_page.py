"""A case's page says what happened, what the customer sees, what to do, and how the money stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop
from tests.console import desk, stuck
from tests.quick import play
from todoku.catalog.models import Product
from todoku.console import case_page
from todoku.engines.models import Execution, State
from todoku.notify import bell
from todoku.notify.models import Case, Note
from todoku.order.admin import mail_form

Made = Callable[[Rehearsal, Product], Case]


@pytest.fixture
def owner(transactional_db: None) -> Client:
    """A browser in which the shop's owner has logged in, who reads English."""
    browser = desk.operator("owner", superuser=True)
    browser.cookies["todoku_language"] = "en"
    return browser


@pytest.mark.parametrize(
    ("made", "says", "sees", "first"),
    [
        (stuck.without_mail_server, "mail server could not be reached", "says thank you", "resume"),
        (stuck.with_a_wrong_address, "mail address does not exist", "says thank you", "mail"),
        (stuck.by_a_bug, "a fault in the shop", "says thank you", "resume"),
        (stuck.with_other_money, "money at Stripe is not what the order says", "asks not to pay again", "accept"),
        (stuck.without_goods, "goods are no longer in stock", "asks not to pay again", "allocate"),
    ],
)
def test_each_kind_of_case_says_what_happened_and_has_one_button_that_fits(
    made: Made, says: str, sees: str, first: str, owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = made(rehearsal, crab)
    assert case.order is not None

    answer = owner.get(desk.page(case))

    shown = answer.content.decode()
    told = shown.split('class="tk-case"')[0]
    assert says in told and sees in told and case.order.number in told and "¥5,400" in told
    above = told.split("<details")[0]
    assert re.findall(r'tk-primary"[^>]*(?:href="[^"]*do/(\w+))?', above) != []
    act = {
        "resume": desk.page(case.execution, "resume"),
        "mail": desk.page(case, "mail"),
    }.get(first) or reverse("admin:notify_case_act", args=[case.pk, first])
    assert f'="{act}"' in above
    assert above.count("tk-primary") == 1
    # The picture: done, failed and not reached, and the same in words.
    assert answer.context["picture"].told.count("failed") == 1
    assert "tk-box-done" in shown and "tk-box-failed" in shown and "tk-box-open" in shown
    assert "_secret_" not in shown
    owner.cookies["todoku_language"] = "ja"
    japanese = owner.get(desk.page(case)).content.decode()
    assert "何が" not in told and "お客さまのページには" in japanese


def test_the_money_comes_fresh_from_stripe_and_what_differs_is_marked(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = stuck.with_other_money(rehearsal, crab)
    assert case.order is not None
    asked = len(rehearsal.requests)
    page = owner.get(desk.page(case)).content.decode()
    assert len(rehearsal.requests) == asked, "the page itself waits for nobody"
    assert f'data-part="{desk.page(case, "money")}"' in page

    part = owner.get(desk.page(case, "money"), headers={"X-Part": "yes"}).content.decode()

    assert "<html" not in part
    assert part.count("tk-differs") == 2 and "¥300" in part and "¥5,100" in part
    assert "Visa •••• 3184" in part
    assert f"/payments/{case.order.intent.stripe_id}" in page
    # Without a script: the whole page, with the money in it.
    whole = owner.get(desk.page(case, "money")).content.decode()
    assert "<html" in whole and "¥5,100" in whole


def test_when_stripe_is_away_or_knows_nothing_the_page_says_so(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = stuck.by_a_bug(rehearsal, crab)
    assert case.order is not None
    number = rehearsal.faults.set(Fault("drop_before", method="GET", path="/v1/payment_intents/*", times=None))
    part = owner.get(desk.page(case, "money"), headers={"X-Part": "yes"})
    assert part.status_code == 200 and "does not answer at the moment" in part.content.decode()
    rehearsal.faults.clear(number)
    case.order.intent.stripe_id = "pi_nobody_knows"
    case.order.intent.save()
    part = owner.get(desk.page(case, "money"), headers={"X-Part": "yes"})
    assert "does not know this payment" in part.content.decode()


def test_resume_leads_back_to_the_case_which_follows_the_play(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = stuck.without_mail_server(rehearsal, crab)
    assert case.execution is not None and case.order is not None

    answer = owner.post(desk.page(case.execution, "resume"), {"back": "case"}, follow=True)

    assert answer.redirect_chain == [(desk.page(case), 302)]
    shown = answer.content.decode()
    running = Execution.objects.get(status=State.RUNNING)
    assert desk.page(running, "status") in shown and 'data-mark="RUNNING"' in shown
    assert 'role="status"' in shown and "Resumed by owner" in shown
    assert 'http-equiv="refresh"' in shown
    with stuck.broken("SendMail", lambda: ZeroDivisionError("again")):
        play(case.order)
    case.refresh_from_db()
    assert (case.failures, case.closed_at) == (2, None)
    assert "It has stopped 2 times" in owner.get(desk.page(case)).content.decode()
    owner.post(desk.page(Execution.objects.get(pk=running.pk), "resume"), {"back": "case"})
    play(case.order)
    after = owner.get(desk.page(case))
    assert "the order went through" in after.content.decode()
    # The picture is of what went through in the end.
    assert {box.kind for box in after.context["picture"].boxes if box.x < 200} == {"done"}


def test_an_order_that_goes_through_while_its_page_is_made_is_not_shown_as_stopped(
    owner: Client, rehearsal: Rehearsal, crab: Product, rf: RequestFactory
) -> None:
    case = stuck.without_mail_server(rehearsal, crab)
    read_before = Case.objects.select_related("order__intent", "execution__definition").get(pk=case.pk)
    owner.post(desk.page(case.execution, "resume"))
    play(case.order)
    request = rf.get(desk.page(case))
    request.user = get_user_model().objects.get(username="owner")

    page = case_page.of_case(request, read_before, mail_form)

    assert page.more["case"].closed_at is not None
    assert page.cards[0].facts[0].state == "closed"


def test_a_wrong_address_is_mended_and_the_order_goes_on_with_one_press(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = stuck.with_a_wrong_address(rehearsal, crab)
    assert case.order is not None
    typed = {"email": "right@example.jp", "seen": "hanako@example.com", "go_on": "yes"}

    owner.post(desk.page(case, "mail"), typed)

    play(case.order)
    case.refresh_from_db()
    assert case.closed_by == "owner"
    assert case.order.mails.get(kind="order_complete").recipient == "right@example.jp"
    # The same press again changes nothing and starts nothing.
    plays = Execution.objects.count()
    owner.post(desk.page(case, "mail"), typed)
    assert Execution.objects.count() == plays


def test_a_finding_says_what_was_found_and_is_closed_with_a_reason(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    order = play(shop.order_one(rehearsal, crab))
    case = Case.objects.create(
        code="refunded_part", about="re_123", order=order, why="Somebody has refunded a part of the payment at Stripe. "
        "Does the order change?", technical="re_123", failed_at=timezone.now(),
    )  # fmt: skip
    shown = owner.get(desk.page(case)).content.decode()
    assert "Somebody has refunded a part" in shown and order.number in shown
    assert desk.page(case, "close") in shown and desk.page(case, "money") in shown
    assert "/do/" not in shown and "resume" not in shown
    for act in ("accept", "write-off"):
        assert owner.get(reverse("admin:notify_case_act", args=[case.pk, act])).status_code == 302
    owner.post(desk.page(case, "close"), {"why": "agreed with the customer"})
    assert Case.objects.get(pk=case.pk).closed_by == "owner"
    assert "agreed with the customer" in owner.get(desk.page(case)).content.decode()


def test_a_note_stays_as_it_was_written_with_its_writer(owner: Client, crab: Product) -> None:
    case = desk.stuck_order(crab).cases.get()
    for typed in ("", " ", "x" * 2001):
        assert owner.post(desk.page(case, "note"), {"text": typed}).status_code == 422
    text = "Called her, she writes back. <b>三時</b> 🦀"
    owner.post(desk.page(case, "note"), {"text": text, "after": "0"})
    owner.post(desk.page(case, "note"), {"text": text, "after": "0"})  # the same press again
    [note] = Note.objects.all()
    assert (note.who, note.text) == ("owner", text)
    shown = owner.get(desk.page(case)).content.decode()
    assert "&lt;b&gt;三時&lt;/b&gt; 🦀" in shown
    assert owner.get(desk.page(case, "note")).status_code == 302
    looker = desk.operator("looker", "notify.view_case")
    assert looker.post(desk.page(case, "note"), {"text": "hello"}).status_code == 403
    assert "<textarea" not in looker.get(desk.page(case)).content.decode()


def test_all_that_happened_stands_in_one_list(owner: Client, rehearsal: Rehearsal, crab: Product) -> None:
    case = stuck.by_a_bug(rehearsal, crab)
    owner.post(desk.page(case, "note"), {"text": "the developer is told"})
    owner.post(desk.page(case.execution, "resume"))
    Case.objects.filter(pk=case.pk).update(rung_at=timezone.now())
    told = " ".join(event.text for event in owner.get(desk.page(case)).context["events"])
    for part in (
        "began: order button", "stopped at “Publish to my page”", "The case was opened", "The bell was rung",
        "and was tried again", "the developer is told", "Resumed as checkout-", "operator's Resume",
    ):  # fmt: skip
        assert part in told, part


def test_what_is_paid_and_unfinished_stands_on_top_then_the_oldest(owner: Client, crab: Product) -> None:
    with transaction.atomic():
        found, _news = bell.report("on_hand_off", about="KANI", why="What is on hand …")
    unpaid = desk.stuck_order(crab, status="placed").cases.get()
    dear, cheap = desk.stuck_order(crab).cases.get(), desk.stuck_order(crab).cases.get()
    now = timezone.now()
    Case.objects.filter(pk=unpaid.pk).update(opened_at=now - timedelta(days=2))
    Case.objects.filter(pk=cheap.pk).update(opened_at=now - timedelta(hours=1))
    Case.objects.filter(pk=dear.pk).update(opened_at=now - timedelta(hours=2))
    link = reverse("admin:notify_case_changelist")
    listed = [case.pk for case in owner.get(link).context["cl"].result_list]
    assert listed[:3] == [dear.pk, cheap.pk, unpaid.pk]
    assert found.pk in listed[3:]
    shown = owner.get(link, {"cause": "Unavailable:SendMail"})
    assert len(shown.context["cl"].result_list) == 3
    for typed in ("nothing:x", "\x00", "'; --", "x" * 400):
        assert owner.get(link, {"cause": typed}).status_code == 200
    Case.objects.update(closed_at=now)
    assert "All is well" in owner.get(link).content.decode()
    assert len(owner.get(link, {"state": "closed"}).context["cl"].result_list) >= 3


def test_a_page_with_a_long_history_asks_no_more_often(owner: Client, crab: Product) -> None:
    case = desk.stuck_order(crab).cases.get()
    assert case.order is not None and case.execution is not None
    counts = []
    # With one later play each time: the page is of the newest one, which it asks for.
    for notes in (3, 40):
        while case.notes.count() < notes:
            Note.objects.create(case=case, who="owner", text=f"note {case.notes.count()}")
        for number in range(2, notes):
            Execution.objects.get_or_create(
                order=case.order, flow="checkout", number=number, definition=case.execution.definition,
                defaults={"knock": "poller", "status": State.FAILED, "position": "SendMail"},
            )  # fmt: skip
        owner.get(desk.page(case))
        with CaptureQueriesContext(connection) as asked:
            owner.get(desk.page(case))
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 25
