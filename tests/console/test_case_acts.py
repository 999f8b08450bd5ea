"""What Resume cannot mend: each act says what it will do, asks why, and happens once, whoever presses."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from rehearsal.api import Rehearsal
from tests import shop
from tests.console import desk, stuck
from tests.quick import knock, play
from tests.races.together import together
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.models import Execution, State
from todoku.notify.models import Case
from todoku.order import links
from todoku.order.models import Order, Status
from todoku.payment import rules
from todoku.payment.models import AcceptedAmount
from todoku.reconciliation.run import reconcile_in_full
from todoku.stock.models import Level, Movement


@pytest.fixture
def owner(transactional_db: None) -> Client:
    """A browser in which the shop's owner has logged in, who reads English."""
    browser = desk.operator("owner", superuser=True)
    browser.cookies["todoku_language"] = "en"
    return browser


def link(case: Case, act: str) -> str:
    """The address of an act on a case."""
    return reverse("admin:notify_case_act", args=[case.pk, act])


def form(browser: Client, case: Case, act: str) -> dict[str, str]:
    """What the act's page has filled in already."""
    shown = browser.get(link(case, act)).content.decode()
    inputs = re.findall(r"<input[^>]*>", shown)
    filled = {}
    for one in inputs:
        name, value = re.search(r'name="([^"]+)"', one), re.search(r'value="([^"]*)"', one)
        if name and value and 'type="radio"' not in one and 'type="checkbox"' not in one:
            filled[name[1]] = value[1]
    return filled


def at_once(case: Case, act: str, typed: dict[str, str], *, operators: int = 4) -> list[Any]:
    """So many operators press the same button at the same moment."""
    browsers = [desk.operator(f"operator{n}", superuser=True) for n in range(operators)]
    return together(*(lambda b=browser: b.post(link(case, act), typed).status_code for browser in browsers))


def order_of(case: Case) -> Order:
    """The case's order as it is now."""
    return Order.objects.select_related("intent").get(pk=case.order_id)


# Accept a differing amount ------------------------------------------------------------------------------------------


def test_an_accepted_amount_lets_the_order_go_forward_and_changes_none_of_its_own(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = stuck.with_other_money(rehearsal, crab)
    page = owner.get(link(case, "accept")).content.decode()
    assert "¥5,100" in page and "Accept ¥5,100 and go on" in page and "tk-differs" in page
    assert not AcceptedAmount.objects.exists(), "to look is not to act"

    owner.post(link(case, "accept"), {**form(owner, case, "accept"), "why": "she agreed on the phone"})

    order = play(order_of(case))
    assert (order.status, order.total, order.goods_total, order.shipping) == (Status.COMPLETE, 5400, 4800, 600)
    [accepted] = AcceptedAmount.objects.all()
    assert (accepted.received, accepted.currency, accepted.refunded, accepted.who) == (5400, "jpy", 300, "owner")
    assert Case.objects.get(pk=case.pk).closed_by == "owner"
    entry = desk.acts().get(act="accepted")
    assert (entry.reason, entry.orders) == ("she agreed on the phone", [order.number])
    assert "she agreed on the phone" in owner.get(desk.page(case)).content.decode()
    # Whoever compares knows it: neither the amount nor the refund that explains it is found.
    reconcile_in_full()
    assert not Case.objects.filter(closed_at=None).exists()
    assert len(shop.charges(rehearsal)) == 1


def test_only_what_was_seen_is_accepted(owner: Client, rehearsal: Rehearsal, crab: Product) -> None:
    case = stuck.with_other_money(rehearsal, crab)
    seen = {**form(owner, case, "accept"), "why": "fine with us"}
    [charge] = shop.charges(rehearsal)
    rehearsal.refund_by_hand(charge["id"], 1000, "requested_by_customer")

    answer = owner.post(link(case, "accept"), seen, follow=True)

    assert "Stripe has another amount by now" in answer.content.decode()
    assert not AcceptedAmount.objects.exists()
    # And what was accepted is no good for anything else.
    order = order_of(case)
    AcceptedAmount.objects.create(order=order, received=5400, currency="jpy", refunded=300, who="owner", why="x")
    knock(order)
    assert order_of(case).status == Status.PLACED
    assert Case.objects.get(pk=case.pk).closed_at is None


def test_there_is_nothing_to_accept_when_all_of_it_was_given_back(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = stuck.with_other_money(rehearsal, crab, given_back=5400)
    assert "All of it has been given back" in owner.get(link(case, "accept")).content.decode()
    typed = {"received": "5400", "refunded": "5400", "currency": "jpy", "seen": case.code, "why": "please"}
    assert owner.post(link(case, "accept"), typed).status_code == 422
    assert not AcceptedAmount.objects.exists()


def test_of_many_who_accept_at_once_one_does(rehearsal: Rehearsal, owner: Client, crab: Product) -> None:
    case = stuck.with_other_money(rehearsal, crab)
    typed = {**form(owner, case, "accept"), "why": "all of us agree"}
    assert at_once(case, "accept", typed) == [302] * 4
    assert AcceptedAmount.objects.count() == desk.acts().filter(act="accepted").count() == 1
    assert Execution.objects.filter(knock="resume").count() == 1


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({}, "paid"),
        ({"amount_received": 5099}, "mismatch"),
        ({"amount_refunded": 1}, "mismatch"),
        ({"currency": "usd"}, "mismatch"),
        ({"livemode": True}, "mismatch"),
        ({"status": "processing"}, "waiting"),
        ({"status": "canceled"}, "canceled"),
    ],
)
def test_an_acceptance_is_good_for_exactly_its_own_money(changed: dict[str, Any], outcome: str) -> None:
    payment = {"status": "succeeded", "amount": 5400, "amount_received": 5100, "amount_refunded": 0} | {
        "currency": "jpy", "livemode": False
    } | changed  # fmt: skip
    accepted = {rules.Money(5100, "jpy"), rules.Money(5100, "jpy", 2)}
    assert rules.judge(**payment, due=5400, expect_live=False, accepted=accepted).outcome == outcome
    assert rules.judge(**payment, due=5400, expect_live=False).outcome == ("mismatch" if outcome == "paid" else outcome)


# Find the goods -----------------------------------------------------------------------------------------------------


def test_found_goods_are_set_aside_for_this_order_and_no_other(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = stuck.without_goods(rehearsal, crab, quantity=2)
    typed = form(owner, case, "allocate")
    assert typed[f"found_{crab.pk}"] == "2"

    owner.post(link(case, "allocate"), {**typed, "why": "in the other store"})

    # Held in the same moment: the shelf has none for anybody else.
    assert shop.levels(crab) == (0, 2, 0)
    assert play(order_of(case)).status == Status.COMPLETE
    assert shop.levels(crab) == (0, 0, 2)
    found = Movement.objects.get(on_hand=2, kind="counted")
    assert (found.who, found.why) == ("owner", "in the other store")
    reconcile_in_full()
    assert not Case.objects.filter(closed_at=None).exists()


def test_too_few_found_goods_are_not_taken_and_what_was_typed_stays(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = stuck.without_goods(rehearsal, crab, quantity=2)
    for number in ("1", "-1", "", "x", "99999999999999999999"):
        answer = owner.post(link(case, "allocate"), {f"found_{crab.pk}": number, "why": "in the cellar"})
        assert answer.status_code == 422
        assert "in the cellar" in answer.content.decode()
    assert shop.levels(crab) == (0, 0, 0)
    # Enough by the page, but somebody bought one since.
    Level.objects.update(on_hand=2)
    typed = form(owner, case, "allocate")
    Level.objects.update(on_hand=1)
    answer = owner.post(link(case, "allocate"), {**typed, "why": "in the cellar"}, follow=True)
    assert "still missing" in answer.content.decode() or "count again" in answer.content.decode()
    assert shop.levels(crab) == (1, 0, 0)


def test_of_many_who_find_the_same_crate_one_does(rehearsal: Rehearsal, owner: Client, crab: Product) -> None:
    case = stuck.without_goods(rehearsal, crab)
    typed = {**form(owner, case, "allocate"), "why": "the last crate"}
    assert at_once(case, "allocate", typed) == [302] * 4
    assert shop.levels(crab) == (0, 1, 0)
    assert play(order_of(case)).status == Status.COMPLETE
    assert shop.levels(crab) == (0, 0, 1)


def test_control_two_who_restock_without_the_orders_lock_count_the_crate_twice(
    rehearsal: Rehearsal, crab: Product
) -> None:
    from todoku.stock.count import adjust

    stuck.without_goods(rehearsal, crab)
    together(*(lambda: adjust({crab.pk: 1}, who="x", why="the last crate") for _ in range(2)))
    assert shop.levels(crab)[0] == 2


# Correct the address ------------------------------------------------------------------------------------------------

MISAKI = {
    "name": "長谷川 美咲", "kana": "ハセガワ ミサキ", "phone": "03-1234-5678", "postal_code": "１００−０００１",
    "prefecture": "東京都", "city": "千代田区", "street": "千代田1-1", "building": "",
}  # fmt: skip


def test_a_corrected_address_stands_on_the_order_and_on_its_slips(owner: Client, crab: Product) -> None:
    order = desk.stuck_order(crab)
    case = order.cases.get()
    typed = {**form(owner, case, "address"), **MISAKI}

    answer = owner.post(link(case, "address"), typed, follow=True)

    assert "Corrected: " in answer.content.decode()
    for thing in (order_of(case), order.deliveries.get()):
        assert (thing.name, thing.postal_code, thing.prefecture, thing.phone) == (
            "長谷川 美咲", "1000001", "東京都", "0312345678",
        )  # fmt: skip
        assert thing.email == "hanako@example.com"
    entry = desk.acts().get()
    assert (entry.act, "長谷川" in f"{entry.what}{entry.before}{entry.after}") == ("corrected", False)
    assert (order_of(case).total, Execution.objects.count()) == (5400, 1)
    # The page of before: somebody has corrected it since.
    answer = owner.post(link(case, "address"), {**typed, "city": "港区"}, follow=True)
    assert "somebody else has corrected it" in answer.content.decode()
    assert order_of(case).city == "千代田区"


def test_an_order_without_a_case_gets_another_address_too(owner: Client, crab: Product) -> None:
    order = desk.stuck_order(crab, status="complete")
    link = desk.page(order, "address")
    assert link in owner.get(desk.page(order)).content.decode()
    seen = re.search(r'name="seen" value="(\w+)"', owner.get(link).content.decode())
    assert seen is not None
    owner.post(link, {**MISAKI, "seen": seen[1]})
    assert (Order.objects.get().city, order.deliveries.get().city) == ("千代田区", "千代田区")
    looker = desk.operator("looker", "order.view_order", "order.change_order")
    assert looker.get(link).status_code == looker.post(link, {}).status_code == 403
    order.deliveries.update(state="shipped")
    assert link not in owner.get(desk.page(order)).content.decode()
    assert "has been shipped" in owner.get(link).content.decode()


def test_an_address_is_not_corrected_into_nonsense_or_after_the_parcel_has_left(owner: Client, crab: Product) -> None:
    order = desk.stuck_order(crab)
    case = order.cases.get()
    typed = {**form(owner, case, "address"), **MISAKI}
    wrong_ones = {"postal_code": "12", "name": "🦀", "kana": "x\x00y", "prefecture": "Mars", "city": ""}
    for name, wrong in wrong_ones.items():
        answer = owner.post(link(case, "address"), {**typed, name: wrong})
        assert answer.status_code == 422, name
    assert "千代田1-1" in answer.content.decode()
    Execution.objects.update(status=State.RUNNING)
    assert "being played right now" in owner.post(link(case, "address"), typed, follow=True).content.decode()
    Execution.objects.update(status=State.FAILED)
    order.deliveries.update(state="shipped")
    owner.post(link(case, "address"), typed)
    assert order_of(case).name == "北野 花子"
    assert not desk.acts().exists()


# Write off ----------------------------------------------------------------------------------------------------------


def test_a_written_off_order_is_left_alone_by_everything(
    owner: Client, rehearsal: Rehearsal, crab: Product, client: Client
) -> None:
    case = stuck.with_other_money(rehearsal, crab, given_back=5400)
    assert shop.levels(crab) == (9, 1, 0)
    typed = form(owner, case, "write-off")
    assert owner.post(link(case, "write-off"), {**typed, "why": "refunded by hand"}).status_code == 422, "the goods?"

    owner.post(link(case, "write-off"), {**typed, "why": "refunded by hand", "goods": "back"})

    order = order_of(case)
    assert (order.status, shop.levels(crab)) == (Status.WRITTEN_OFF, (10, 0, 0))
    assert (order.write_off.who, order.write_off.why, order.write_off.kept) == ("owner", "refunded by hand", 0)
    assert Case.objects.get(pk=case.pk).closed_by == "owner"
    assert desk.acts().get(act="written_off").reason == "refunded by hand"
    plays = Execution.objects.count()
    for who in ("webhook", "poller", "return", "reconciliation"):
        knock(order, who)
    assert case.execution is not None
    assert engine.resume(Execution.objects.order_by("-number")[0], who="owner") is None
    owner.post(desk.page(Execution.objects.order_by("-number")[0], "resume"))
    assert Execution.objects.count() == plays
    reconcile_in_full()
    assert not Case.objects.filter(closed_at=None).exists()
    # The customer is told so, and may order anew.
    page = client.get(f"/orders/{links.token(order)}/").content.decode()
    assert 'data-test="order-written_off"' in page
    assert "Written off at" in owner.get(desk.page(case)).content.decode()


def test_a_recorded_order_is_written_off_with_its_parcels_and_goods(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = stuck.with_a_wrong_address(rehearsal, crab)
    assert shop.levels(crab) == (9, 0, 1)
    typed = {**form(owner, case, "write-off"), "goods": "back", "why": "she has it from the store"}
    answer = owner.post(link(case, "write-off"), typed)
    assert answer.status_code == 422 and "still has" in answer.content.decode(), "the money is still there"

    owner.post(link(case, "write-off"), {**typed, "settled": "on"})

    order = order_of(case)
    assert (order.status, order.write_off.kept, shop.levels(crab)) == (Status.WRITTEN_OFF, 5400, (10, 0, 0))
    assert set(order.deliveries.values_list("state", flat=True)) == {"canceled"}
    reconcile_in_full()
    assert not Case.objects.filter(closed_at=None).exists()
    # Money that comes in afterwards is news, and what is given back is none.
    type(order.write_off).objects.update(kept=100)
    reconcile_in_full()
    assert Case.objects.get(closed_at=None).code == "paid_after_write_off"


def test_goods_that_are_gone_are_booked_out_and_not_held_for_ever(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = stuck.with_other_money(rehearsal, crab, given_back=5400)
    typed = {**form(owner, case, "write-off"), "goods": "gone", "why": "the box was crushed"}
    owner.post(link(case, "write-off"), typed)
    assert shop.levels(crab) == (9, 0, 0)
    assert Movement.objects.filter(why="the box was crushed", on_hand=-1).exists()
    reconcile_in_full()
    assert not Case.objects.filter(closed_at=None).exists()


def test_an_order_that_can_still_be_charged_or_has_left_is_not_written_off(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    order = play(shop.order_one(rehearsal, crab, number=stuck.THREE_D_SECURE))
    with stuck.broken("TakePayment", lambda: ZeroDivisionError("planted")):
        knock(order)
    case = Case.objects.get()
    assert "can still be made" in owner.get(link(case, "write-off")).content.decode()
    typed = {"why": "no reason", "goods": "back", "kept": "0", "seen": case.code}
    assert owner.post(link(case, "write-off"), typed).status_code == 422
    assert order_of(case).status == Status.PLACED

    shipped = stuck.with_a_wrong_address(rehearsal, crab)
    typed = {**form(owner, shipped, "write-off"), "why": "no reason", "goods": "back", "settled": "on"}
    Order.objects.get(pk=shipped.order_id).deliveries.update(state="shipped")
    owner.post(link(shipped, "write-off"), typed)
    assert order_of(shipped).status == Status.RECORDED


def test_who_writes_off_and_who_resumes_at_once_do_not_both_win(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    other = desk.operator("other", superuser=True)
    for _ in range(2):
        case = stuck.with_a_wrong_address(rehearsal, crab)
        assert case.execution is not None
        typed = {**form(owner, case, "write-off"), "goods": "back", "settled": "on", "why": "one of us"}
        resume = desk.page(case.execution, "resume")
        together(partial(owner.post, link(case, "write-off"), typed), partial(other.post, resume))
        order = order_of(case)
        plays = Execution.objects.filter(order=order, knock="resume").count()
        assert (order.status == Status.WRITTEN_OFF) == (plays == 0)
        play(order)
        assert order_of(case).status in (Status.WRITTEN_OFF, Status.COMPLETE)


# All of them --------------------------------------------------------------------------------------------------------


def test_each_act_wants_its_own_right_a_reason_and_a_post(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    case = desk.stuck_order(crab).cases.get()
    cases = {
        "accept": ("amount_mismatch", "accept_amount"),
        "allocate": ("paid_unallocated", "allocate_stock"),
        "address": ("Unavailable", "correct_address"),
        "write-off": ("Unavailable", "write_off"),
    }
    for act, (code, right) in cases.items():
        Case.objects.filter(pk=case.pk).update(code=code)
        looker = desk.operator(f"looker-{act}", "notify.view_case", "engines.change_execution")
        for method in (looker.get, looker.post):
            assert method(link(case, act)).status_code == 403, act
        assert link(case, act) not in looker.get(desk.page(case)).content.decode()
        able = desk.operator(f"able-{act}", "notify.view_case", f"notify.{right}")
        for other in cases:
            assert (able.get(link(case, other)).status_code == 403) == (other != act)
    assert owner.get(link(case, "nothing")).status_code == 404
    assert owner.get("/console/notify/case/999/do/accept/").status_code == 404
    # No longer needed: whoever comes late is told so, and changes nothing.
    Case.objects.update(closed_at=case.opened_at)
    for act in cases:
        assert owner.get(link(case, act)).status_code == 302
        assert owner.post(link(case, act), {"why": "too late"}).status_code == 302
    assert not desk.acts().exists()


def test_an_act_without_the_right_to_resume_waits_for_somebody_who_has_it(
    rehearsal: Rehearsal, owner: Client, crab: Product
) -> None:
    case = stuck.with_other_money(rehearsal, crab)
    browser = desk.operator("accountant", "notify.view_case", "notify.accept_amount")
    browser.cookies["todoku_language"] = "en"
    typed = {**form(browser, case, "accept"), "why": "the books agree"}
    answer = browser.post(link(case, "accept"), typed, follow=True)
    assert "Now somebody has to press Resume" in answer.content.decode()
    assert AcceptedAmount.objects.get().who == "accountant"
    assert not Execution.objects.filter(knock="resume").exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND lock LIKE 'recovery%'")
        assert cursor.fetchone() == (0,)
