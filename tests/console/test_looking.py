"""Every page of the console answers, quickly, to the right people, and gives no secret away."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import shop
from tests.console import desk
from todoku.catalog.models import Product
from todoku.engines.models import Execution
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.quote.models import RemoteIsland

pytestmark = pytest.mark.django_db


@pytest.fixture
def crabs(db: None) -> Product:
    """A furnished shop that sells one thing."""
    shop.furnish()
    RemoteIsland.objects.create(postal_prefix="100", fee=900, name_ja="伊豆")
    return shop.sell()


@pytest.fixture
def owner(db: None) -> Client:
    """A browser in which the shop's owner has logged in."""
    return desk.operator("owner", superuser=True)


def test_every_page_answers_and_shows_no_secret(owner: Client, crabs: Product) -> None:
    order = desk.stuck_order(crabs)
    owner.post(desk.page(order.deliveries.get(), "ship"), {"carrier": "yamato", "tracking_number": "123456789013"})
    pages = {**desk.lists(), **{f"{name} page": link for name, link in desk.details().items()}}
    pages["front"] = reverse("admin:index")
    pages["history"] = reverse("admin:order_order_history", args=[order.pk])
    pages["new user"] = reverse("admin:auth_user_add")
    for label in {label.partition(".")[0] for label in desk.lists()}:
        pages[f"app {label}"] = reverse("admin:app_list", args=[{"admin": "admin"}.get(label, label)])
    for language in ("ja", "en"):
        owner.cookies["todoku_language"] = language
        for name, link in pages.items():
            answer = owner.get(link, follow=name == "history")
            assert answer.status_code == 200, (name, answer.status_code)
            body = answer.content.decode()
            assert desk.SECRET not in body, name
            assert desk.TOKEN not in body, name
            assert order.shopper not in body, name
            assert "no-store" in answer.headers["Cache-Control"], name


def test_everybody_else_is_sent_to_the_login(crabs: Product) -> None:
    desk.stuck_order(crabs)
    for link in (*desk.lists().values(), *desk.details().values(), reverse("admin:index")):
        answer = Client().get(link)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/console/login/")


def test_staff_without_a_permission_sees_nothing(crabs: Product) -> None:
    order = desk.stuck_order(crabs)
    nobody = desk.operator("nobody")
    for name, link in {**desk.lists(), **desk.details()}.items():
        assert nobody.get(link).status_code == 403, name
    front = nobody.get(reverse("admin:index")).content.decode()
    assert order.number not in front
    execution = order.executions.get()
    assert nobody.get(desk.page(execution, "status")).status_code == 403


def test_who_may_only_look_finds_no_button_and_no_door_to_act(crabs: Product) -> None:
    order = desk.stuck_order(crabs)
    looker = desk.operator(
        "looker", "engines.view_execution", "notify.view_case", "fulfilment.view_delivery", "stock.view_level"
    )
    execution, delivery, case = order.executions.get(), order.deliveries.get(), order.cases.get()
    level = crabs.level
    for thing in (execution, case, delivery, level):
        shown = looker.get(desk.page(thing)).content.decode()
        assert 'method="post" action="/console/' not in shown.replace('action="/console/logout/"', "")
    for link in (desk.page(execution, "resume"), desk.page(delivery, "ship"), desk.page(level, "adjust")):
        assert looker.post(link, {}).status_code == 403
    assert Execution.objects.count() == 1
    assert not desk.acts().exists()


def test_the_front_page_and_every_detail_ask_as_often_when_there_is_more(owner: Client, crabs: Product) -> None:
    counts = []
    for orders in (1, 30):
        while Order.objects.count() < orders:
            desk.stuck_order(crabs)
        # Orders that are looked at are noted, so the log has its first line before anything is counted.
        owner.get(reverse("admin:order_order_changelist"))
        asked = {}
        for name, link in {**desk.details(), "front": reverse("admin:index")}.items():
            owner.get(link)
            with CaptureQueriesContext(connection) as queries:
                owner.get(link)
            asked[name] = len(queries)
        counts.append(asked)
    assert counts[0] == counts[1]


MISAKI = {"name": "長谷川 美咲", "kana": "ハセガワ ミサキ", "email": "misaki@example.jp", "phone": "0312345678"}


def test_an_order_is_found_by_whatever_is_known_of_it(owner: Client, crabs: Product) -> None:
    wanted = desk.stuck_order(crabs, **MISAKI)
    desk.stuck_order(crabs)
    orders = reverse("admin:order_order_changelist")
    for typed in (
        wanted.number, wanted.number.lower(), "長谷川美咲", "長谷川", "はせがわ", "ハセガワ　ミサキ",
        "misaki@example.jp",
        "03-1234-5678", "０３１２３４５６７８", "+81 3-1234-5678", "pi_000001", "ch_1",
    ):  # fmt: skip
        shown = owner.get(orders, {"q": typed})
        assert [order.pk for order in shown.context["cl"].result_list] == [wanted.pk], typed
    for typed in ("\x00", "%", "'; --", "x" * 500, "pi_nothing"):
        assert owner.get(orders, {"q": typed}).status_code == 200


def test_open_cases_come_first_and_the_oldest_of_them_on_top(owner: Client, crabs: Product) -> None:
    orders = [desk.stuck_order(crabs) for _ in range(4)]
    Case.objects.filter(order=orders[0]).update(closed_at=orders[0].placed_at)
    link = reverse("admin:notify_case_changelist")
    shown = owner.get(link, {"state": "all"})
    assert [case.order_id for case in shown.context["cl"].result_list] == [
        orders[1].pk, orders[2].pk, orders[3].pk, orders[0].pk,
    ]  # fmt: skip
    # Nobody has to choose to see what waits for a person.
    assert [case.order_id for case in owner.get(link).context["cl"].result_list] == [
        order.pk for order in orders[1:]
    ]


def test_the_front_page_says_what_is_wrong_or_that_all_is_well(owner: Client, crabs: Product) -> None:
    owner.cookies["todoku_language"] = "en"
    front = reverse("admin:index")
    assert "All is well" in owner.get(front).content.decode()

    order = desk.stuck_order(crabs)

    shown = owner.get(front).content.decode()
    assert "All is well" not in shown
    assert "1 thing needs you" in shown
    assert order.number in shown
    assert "¥5,400" in shown
    assert "Send the mail" in shown
    assert "The mail server could not be reached." in shown
    assert desk.page(order.cases.get()) in shown


def test_nobody_can_edit_or_delete_what_the_shop_has_written(owner: Client, crabs: Product) -> None:
    order = desk.stuck_order(crabs)
    for label, link in desk.details().items():
        if label.startswith(("catalog.", "quote.", "auth.")):
            continue
        assert owner.post(link, {"status": "complete", "total": 1}).status_code == 405, label
    for label, link in desk.lists().items():
        owner.post(link, {"action": "delete_selected", "_selected_action": [order.pk], "post": "yes"})
        assert owner.get(link.rstrip("/") + f"/{order.pk}/delete/").status_code in (302, 403, 404), label
    fresh = Order.objects.get(pk=order.pk)
    assert (fresh.status, fresh.total) == ("recorded", 5400)


def test_the_policy_is_opened_for_the_console_only(owner: Client, crabs: Product) -> None:
    for link in (reverse("admin:index"), reverse("admin:login")):
        policy = owner.get(link, follow=True).headers["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-eval'" in policy
        assert "http" not in policy
    assert "unsafe" not in Client().get("/healthz").headers["Content-Security-Policy"]


def test_an_id_that_does_not_exist_or_is_none_is_answered_quietly(owner: Client, crabs: Product) -> None:
    for link in ("order/order/999/change/", "order/order/x'/change/", "order/order/99999999999999999999999/change/",
                 "payment/intent/nonsense/change/", "engines/execution/999/change/"):  # fmt: skip
        assert owner.get(f"/console/{link}").status_code in (302, 404), link
    assert owner.get("/console/engines/execution/999/status/").status_code == 404
    assert owner.post("/console/engines/execution/999/resume/").status_code == 404
