"""The pages of a refund: form, preview, press; approval by somebody else; what the customer sees."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop
from tests.console import desk as office
from tests.refund import desk
from todoku.audit.models import Entry
from todoku.catalog.models import Product
from todoku.notify.models import Case, Mail
from todoku.order import links
from todoku.order.models import Order
from todoku.refund.models import Refund

ASK, SEE, YES = "refund.add_refund", "refund.view_refund", "refund.change_refund"


@pytest.fixture
def order(rehearsal: Rehearsal, crab: Product) -> Order:
    """Two crabs of 4,800 yen and 800 yen for the parcel: 10,400 yen, paid and complete."""
    return desk.bought(rehearsal, crab)


@pytest.fixture
def sato(transactional_db: None) -> Client:
    """Somebody who may ask for refunds."""
    return office.operator("sato", ASK, "order.view_order")


def place(order: Order) -> str:
    return reverse("admin:refund_refund_ask", args=[order.pk])


def typed(browser: Client, order: Order, **more: Any) -> dict[str, Any]:
    """What the form sends: one crab, back on the shelf."""
    line = order.lines.get()
    form = browser.get(place(order)).content.decode()
    found = re.search(r'name="token" value="([^"]+)"', form)
    assert found is not None, form
    return {
        f"line_{line.pk}": "1", f"back_{line.pk}": "yes", "shipping": "", "other": "", "reason": "damaged",
        "note": "脚が折れていた", "mail": "on", "token": found[1], "step": "preview", **more,
    }  # fmt: skip


def test_from_the_orders_page_to_the_money(rehearsal: Rehearsal, order: Order, crab: Product, sato: Client) -> None:
    sato.cookies["todoku_language"] = "en"
    assert place(order) in sato.get(office.page(order)).content.decode()
    sent = typed(sato, order, shipping="３００")
    preview = sato.post(place(order), sent)
    shown = preview.content.decode()
    assert preview.status_code == 200
    for said in ("¥5,100", "VISA ****4242", "does not give back its fee", "KANI × 1", "A mail goes to the customer"):
        assert said in shown, said
    assert "has not been shipped" not in shown  # the sentence is about goods
    assert "have not been shipped yet" in shown
    assert not Refund.objects.exists()

    answer = sato.post(place(order), {**sent, "step": "press"}, follow=True)

    assert "The refund is on its way." in answer.content.decode()
    shop.work_off()
    refund = Refund.objects.get()
    assert (refund.state, refund.amount, refund.requested_by.username, shop.levels(crab)) == (
        "succeeded", 5100, "sato", (9, 0, 1),
    )  # fmt: skip
    [act] = Entry.objects.filter(act__contains="refund")
    assert (act.who, act.object_id, act.reason) == ("sato", str(refund.pk), "脚が折れていた")
    assert "¥5,100" in act.what
    page = sato.get(office.page(refund)).content.decode()
    assert "Give the money back" in page
    assert str(refund.key) not in page
    assert "¥5,100" in sato.get(office.page(order)).content.decode()


def test_pressing_twice_going_back_and_reloading_is_one_refund(
    rehearsal: Rehearsal, order: Order, sato: Client
) -> None:
    sent = {**typed(sato, order), "step": "press"}
    gate = threading.Barrier(5)

    def press(_: int) -> int:
        browser = Client()
        browser.cookies = sato.cookies
        gate.wait()
        try:
            return browser.post(place(order), sent).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(press, range(5))) == [302] * 5
    shop.work_off()
    for step in ("preview", "press", "press"):
        sato.post(place(order), {**sent, "step": step})
    # And with everything else changed on the old page.
    sato.post(place(order), {**sent, "other": "777"})
    shop.work_off()
    assert [one["amount"] for one in desk.at_stripe(rehearsal)] == [4800]
    assert (Refund.objects.count(), Entry.objects.filter(act__contains="refund").count()) == (1, 1)


def test_two_people_with_the_form_open_refund_once(rehearsal: Rehearsal, order: Order, sato: Client) -> None:
    suzuki = office.operator("suzuki", ASK)
    both = [(browser, {**typed(browser, order), "step": "press"}) for browser in (sato, suzuki)]
    for browser, sent in both:
        browser.cookies["todoku_language"] = "en"
        last = browser.post(place(order), sent, follow=True).content.decode()
    shop.work_off()
    assert "sato has asked for refund №1 of ¥4,800" in last
    assert len(desk.at_stripe(rehearsal)) == 1


WRONG: list[tuple[dict[str, str], str]] = [
    ({"reason": ""}, "Please choose why"),
    ({"reason": "revenge"}, "Select a valid choice"),
    ({"note": " "}, "in a few words"),
    ({"line": "3"}, "At most 2"),
    ({"line": "-1"}, "never negative"),
    ({"line": "1.5"}, "whole number"),
    ({"line": "一つ"}, "whole number"),
    ({"line": "\x00"}, "whole number"),
    ({"line": "9" * 40}, "whole number"),
    ({"back": ""}, "whether the goods go back"),
    ({"back": "sometimes"}, "Select a valid choice"),
    ({"shipping": "801"}, "At most 800"),
    ({"other": "10401"}, "At most 10400"),
    ({"other": "10000"}, "at most ¥10,400"),
    ({"line": "0"}, "how much is refunded"),
    ({"note": "\x00"}, "Null characters are not allowed"),
    ({"note": "🦀" * 201}, "at most 200 characters"),
]


def test_what_cannot_be_is_answered_with_a_sentence_and_what_was_typed_stays(order: Order, sato: Client) -> None:
    sato.cookies["todoku_language"] = "en"
    line = order.lines.get()
    names = {"line": f"line_{line.pk}", "back": f"back_{line.pk}"}
    for wrong, said in WRONG:
        sent = {**typed(sato, order), **{names.get(name, name): value for name, value in wrong.items()}}
        for step in ("preview", "press"):
            answer = sato.post(place(order), {**sent, "step": step})
            assert answer.status_code == 422, wrong
            shown = answer.content.decode()
            assert said in shown, wrong
            assert "note" in wrong or "脚が折れていた" in shown, wrong
    assert not Refund.objects.exists()


def test_the_form_can_be_filled_with_everything_and_a_mail_can_be_left_out(
    rehearsal: Rehearsal, order: Order, crab: Product, sato: Client
) -> None:
    line = order.lines.get()
    form = sato.get(place(order) + "?all=1").content.decode()
    assert re.search(rf'name="line_{line.pk}"[^>]*value="2"|value="2"[^>]*name="line_{line.pk}"', form)
    sent = typed(sato, order, shipping="800", **{f"line_{line.pk}": "2", f"back_{line.pk}": "no"})
    del sent["mail"]
    sato.post(place(order), {**sent, "step": "press"})
    shop.work_off()
    assert [one["amount"] for one in desk.at_stripe(rehearsal)] == [order.total]
    assert shop.levels(crab) == (8, 0, 2)
    assert not Mail.objects.filter(kind__startswith="refund").exists()
    assert "返金できるものがありません" in sato.get(place(order)).content.decode()
    assert place(order) not in sato.get(office.page(order)).content.decode()


def test_the_preview_looks_at_stripe_and_warns(rehearsal: Rehearsal, order: Order, sato: Client) -> None:
    sato.cookies["todoku_language"] = "en"
    sent = typed(sato, order)
    rehearsal.faults.set(Fault("drop_before", method="GET", path="/v1/payment_intents/*", times=9))
    assert "could not be looked at" in sato.post(place(order), sent).content.decode()
    rehearsal.faults.clear()
    rehearsal.refund_by_hand(order.payment_attempts.get().charge, 500)
    assert "At Stripe ¥500 have been refunded, the shop knows of ¥0" in sato.post(place(order), sent).content.decode()


# Who may ---------------------------------------------------------------------------------------------------------


def test_only_who_may_asks_and_only_somebody_else_says_yes(
    rehearsal: Rehearsal, order: Order, sato: Client, settings: LazySettings
) -> None:
    settings.REFUND_ALONE_UP_TO = 1000
    looker = office.operator("looker", SEE, "order.view_order")
    assert place(order) not in looker.get(office.page(order)).content.decode()
    assert looker.get(place(order)).status_code == 403
    sent = {**typed(sato, order), "step": "press"}
    assert looker.post(place(order), sent).status_code == 403
    assert Client().post(place(order), sent).status_code == 302
    assert not Refund.objects.exists()

    sato.cookies["todoku_language"] = "en"
    assert "need a second person" in sato.post(place(order), {**sent, "step": "preview"}).content.decode()
    sato.post(place(order), sent)
    refund = Refund.objects.get()
    approve, reject = office.page(refund, "approve"), office.page(refund, "reject")
    for browser in (sato, looker):
        assert approve not in browser.get(office.page(refund)).content.decode()
        for act in (approve, reject):
            assert browser.post(act).status_code == 403
    assert looker.post(office.page(refund, "withdraw")).status_code == 403
    assert looker.get(approve).status_code == 405

    # Also not with the right: whoever has asked is not somebody else.
    both = office.operator("both", ASK, YES)
    Refund.objects.update(state="withdrawn")
    both.post(place(order), {**typed(both, order), "step": "press"})
    own = Refund.objects.get(number=2)
    assert office.page(own, "approve") not in both.get(office.page(own)).content.decode()
    assert both.post(office.page(own, "approve")).status_code == 302
    shop.work_off()
    assert (desk.stands(own), desk.at_stripe(rehearsal)) == ("requested", [])

    boss = office.operator("boss", YES)
    assert office.page(own, "approve") in boss.get(office.page(own)).content.decode()
    boss.post(office.page(own, "approve"))
    shop.work_off()
    assert (desk.stands(own), len(desk.at_stripe(rehearsal))) == ("succeeded", 1)
    acts = Entry.objects.filter(kind="refund.refund", object_id=own.pk).exclude(act="looked").order_by("pk")
    assert list(acts.values_list("who", "act")) == [("both", "refund_asked"), ("boss", "refunded")]


def test_a_refund_that_waits_for_a_second_person_stands_on_the_front_page_and_in_the_sidebar(
    order: Order, settings: LazySettings
) -> None:
    settings.REFUND_ALONE_UP_TO = 0
    boss = office.operator("boss", SEE, YES)
    boss.cookies["todoku_language"] = "en"
    waiting = reverse("admin:refund_refund_changelist") + "?state__exact=requested"
    assert waiting not in boss.get(reverse("admin:index")).content.decode()
    refund = desk.request(order, crabs=1)
    front = boss.get(reverse("admin:index"))
    shown = front.content.decode()
    assert waiting in shown and "refund waits for a second person" in shown
    items = [item for group in front.context["sidebar_navigation"] for item in group["items"]]
    badges = {str(item["link"]): item["badge"] for item in items if item.get("badge")}
    assert badges == {waiting.partition("?")[0]: "1"}
    # The bell's link leads to the case, and the case to the refund.
    looker = office.operator("looker", SEE, "notify.view_case", "order.view_order")
    case = Case.objects.get(code="refund_waits")
    assert f'href="{office.page(refund)}"' in looker.get(office.page(case)).content.decode()
    assert [refund] == list(boss.get(waiting).context["cl"].result_list)


def test_a_requested_refund_can_be_rejected_or_withdrawn_and_is_then_over(
    rehearsal: Rehearsal, order: Order, sato: Client, settings: LazySettings
) -> None:
    settings.REFUND_ALONE_UP_TO = 0
    boss = office.operator("boss", YES)
    for act, browser in (("reject", boss), ("withdraw", sato)):
        sato.post(place(order), {**typed(sato, order), "step": "press"})
        refund = Refund.objects.latest("pk")
        assert browser.post(office.page(refund, act)).status_code == 302
        assert desk.stands(refund) == {"reject": "rejected", "withdraw": "withdrawn"}[act]
        boss.post(office.page(refund, "approve"))
    shop.work_off()
    assert desk.at_stripe(rehearsal) == []


def test_an_act_without_the_forms_token_is_refused(order: Order) -> None:
    owner = Client(enforce_csrf_checks=True)
    owner.force_login(User.objects.create_superuser("owner"), backend="django.contrib.auth.backends.ModelBackend")
    assert owner.post(place(order), {"step": "press"}).status_code == 403
    refund = desk.request(order, crabs=1)
    for act in ("approve", "reject", "withdraw"):
        assert owner.post(office.page(refund, act)).status_code == 403


def test_the_list_asks_the_same_for_one_refund_and_for_ten(rehearsal: Rehearsal, order: Order, sato: Client) -> None:
    link = reverse("admin:refund_refund_changelist")

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert sato.get(link).status_code == 200
        return len(queries)

    desk.request(order, other=1)
    shop.work_off()
    asked()
    before = asked()
    for _ in range(4):
        desk.request(order, other=1)
        shop.work_off()
    assert asked() == before


# The customer ----------------------------------------------------------------------------------------------------


def test_the_customers_pages_show_what_came_back(rehearsal: Rehearsal, order: Order, settings: LazySettings) -> None:
    shopper, pages = Client(), [f"/orders/{links.token(order)}/", f"/mypage/{links.token(order)}/"]

    def shown() -> list[str]:
        return [shopper.get(page).content.decode() for page in pages]

    assert all("given-back" not in page for page in shown())
    settings.REFUND_ALONE_UP_TO = 0
    asked = desk.request(order, crabs=1)
    assert all("given-back" not in page for page in shown())  # nobody has said yes
    settings.REFUND_ALONE_UP_TO = 99_999
    from todoku.refund import ask

    ask.reject(asked, by=desk.person("boss"))
    desk.request(order, crabs=1)
    assert all("返金の手続き中" in page for page in shown())
    shop.work_off()
    for page in shown():
        assert "返金済み" in page
        assert "4,800円" in page
        assert "5,600円" in page
