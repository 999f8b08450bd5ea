"""Every act in the console is a POST by somebody who may, happens once, and is written down."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client

from tests import shop
from tests.console import desk
from todoku.catalog.models import Product
from todoku.engines.models import Execution, State
from todoku.order.models import Order


@pytest.fixture
def order(crab: Product) -> Order:
    """A paid order that has stopped at SendMail."""
    return desk.stuck_order(crab)


@pytest.fixture
def owner(transactional_db: None) -> Client:
    """A browser in which the shop's owner has logged in."""
    return desk.operator("owner", superuser=True)


def test_an_act_whose_line_cannot_be_written_is_not_done(owner: Client, order: Order) -> None:
    execution = order.executions.get()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room'; END $$;"
            "CREATE TRIGGER no_room BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION no_room()"
        )
    owner.raise_request_exception = False
    try:
        assert owner.post(desk.page(execution, "resume")).status_code >= 500
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION no_room CASCADE")
    assert [play.status for play in Execution.objects.all()] == [State.FAILED]
    # With room for it, it is done and written down.
    assert owner.post(desk.page(execution, "resume")).status_code == 302
    assert (Execution.objects.count(), desk.acts().count()) == (2, 1)


def test_resume_says_what_it_will_do_and_plays_on(owner: Client, order: Order) -> None:
    owner.cookies["todoku_language"] = "en"
    execution = order.executions.get()
    for thing in (execution, order.cases.get()):
        shown = owner.get(desk.page(thing)).content.decode()
        assert "“Send the mail” will be tried again." in shown
        assert "Hold the stock, Take the payment, Record the order and its parcels" in shown
        assert desk.page(execution, "resume") in shown

    answer = owner.post(desk.page(execution, "resume"), follow=True)

    play = Execution.objects.get(number=2)
    assert (play.status, play.knock, play.who) == (State.RUNNING, "resume", "owner")
    assert answer.redirect_chain[-1][0] == desk.page(play)
    assert "checkout-" in answer.content.decode()
    [entry] = desk.acts()
    assert (entry.who, entry.object_id) == ("owner", str(execution.pk))
    assert play.name in entry.what


def test_a_get_never_acts(owner: Client, order: Order, crab: Product) -> None:
    execution, delivery = order.executions.get(), order.deliveries.get()
    for link in (desk.page(execution, "resume"), desk.page(delivery, "ship")):
        assert owner.get(link).status_code == 405
        assert owner.put(link).status_code == 405
    assert owner.get(desk.page(crab.level, "adjust"), {"delta": "5", "why": "x", "after": "0"}).status_code == 302
    assert Execution.objects.count() == 1
    assert shop.levels(crab) == (10, 0, 0)
    assert not desk.acts().exists()


def test_an_act_without_the_forms_token_is_refused(order: Order) -> None:
    owner = Client(enforce_csrf_checks=True)
    owner.force_login(User.objects.create_superuser("owner"), backend="django.contrib.auth.backends.ModelBackend")
    assert owner.post(desk.page(order.executions.get(), "resume")).status_code == 403
    assert Execution.objects.count() == 1


def test_twenty_operators_press_resume_at_once_and_one_wins(order: Order) -> None:
    execution = order.executions.get()
    browsers = [desk.operator(f"operator{n}", "engines.change_execution") for n in range(20)]
    together = threading.Barrier(20)

    def press(browser: Client) -> int:
        together.wait()
        try:
            return browser.post(desk.page(execution, "resume")).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(press, browsers)) == [302] * 20

    [play] = Execution.objects.exclude(pk=execution.pk)
    [entry] = desk.acts()
    assert entry.who == play.who
    late = browsers[0].post(desk.page(execution, "resume"), follow=True).content.decode()
    assert play.who in late


def test_a_press_on_an_old_page_starts_nothing_even_when_the_next_play_has_failed_too(
    owner: Client, order: Order
) -> None:
    execution = order.executions.get()
    owner.post(desk.page(execution, "resume"))
    Execution.objects.filter(number=2).update(status=State.FAILED, position="SendMail", error="Unavailable")

    owner.post(desk.page(execution, "resume"))

    assert Execution.objects.count() == 2
    shown = owner.get(desk.page(execution)).content.decode()
    assert desk.page(execution, "resume") not in shown
    assert "owner" in shown
    assert (
        desk.page(Execution.objects.get(number=2), "resume")
        in owner.get(desk.page(Execution.objects.get(number=2))).content.decode()
    )


def test_the_status_that_a_page_follows_changes_with_the_play(owner: Client, order: Order) -> None:
    execution = order.executions.get()
    owner.post(desk.page(execution, "resume"))
    play = Execution.objects.get(number=2)
    before = owner.get(desk.page(play, "status")).json()
    assert before["status"] == "RUNNING"
    assert before["mark"] in owner.get(desk.page(play)).content.decode()
    Execution.objects.filter(pk=play.pk).update(status=State.SUCCEEDED)
    assert owner.get(desk.page(play, "status")).json()["mark"] != before["mark"]


def test_a_parcel_is_shipped_once_and_it_is_known_by_whom(owner: Client, order: Order) -> None:
    delivery = order.deliveries.get()
    link = desk.page(delivery, "ship")
    for carrier, number in (("", ""), ("yamato", "12"), ("nobody", "1" * 12), ("other", "<b>")):
        assert owner.post(link, {"carrier": carrier, "tracking_number": number}).status_code == 422
    assert owner.post(link, {"carrier": "yamato", "tracking_number": "１２３４−５６７８−９０１３"}).status_code == 302
    delivery.refresh_from_db()
    assert (delivery.state, delivery.carrier, delivery.tracking_number) == ("shipped", "yamato", "123456789013")

    owner.post(link, {"carrier": "sagawa", "tracking_number": "999999999999"})

    delivery.refresh_from_db()
    assert delivery.carrier == "yamato"
    [entry] = desk.acts()
    assert "123456789013" in entry.what


def test_only_an_owner_says_who_may_what(order: Order) -> None:
    staff = desk.operator("staff", "auth.view_user", "auth.change_user", "auth.add_user", "auth.delete_user")
    me = User.objects.get(username="staff")
    link = f"/console/auth/user/{me.pk}/change/"
    assert staff.get(link).status_code == 200
    staff.post(link, {"username": "staff", "is_superuser": "on", "is_staff": "on", "is_active": "on"})
    me.refresh_from_db()
    assert not me.is_superuser
    assert staff.get("/console/auth/user/add/").status_code == 403
    assert staff.post(f"/console/auth/user/{me.pk}/delete/", {"post": "yes"}).status_code == 403
