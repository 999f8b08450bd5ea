"""The audit log in the console: found, exported harmlessly; and personal data for those whose work needs it."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests import shop
from tests.console import desk
from todoku.audit.models import Entry
from todoku.audit.write import write
from todoku.console import csv_out, masking, roles
from todoku.order.models import Order

pytestmark = pytest.mark.django_db
LOG = "/console/audit/entry/"


@pytest.fixture
def order(db: None) -> Order:
    """A paid order that has stopped at SendMail."""
    shop.furnish()
    return desk.stuck_order(shop.sell())


@pytest.fixture
def owner(db: None) -> Client:
    """A browser in which the shop's owner has logged in."""
    client = desk.member("owner", roles.OWNER)
    client.cookies["todoku_language"] = "en"
    return client


def shown(client: Client, **asked: str) -> list[str]:
    """The acts that the list shows."""
    return [entry.what for entry in client.get(LOG, asked).context["cl"].result_list]


def table(answer: Any) -> list[list[str]]:
    """An exported file, row by row."""
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def test_the_log_is_found_by_person_act_time_order_and_thing(owner: Client, order: Order) -> None:
    hanako = User.objects.create(username="hanako")
    old = write(who="hanako", user=hanako, act="shipped", what="one", orders=["T1"], ip="192.0.2.1")
    write(who="owner", act="adjusted", what="two", thing=order, orders=[order.number])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE audit_entry SET at = %s WHERE id = %s", [timezone.now() - timedelta(days=9), old.pk])
        cursor.execute("SET LOCAL session_replication_role = origin")
    for asked, found in (
        ({}, ["two", "one"]),
        ({"person": str(hanako.pk)}, ["one"]),
        ({"act": "adjusted"}, ["two"]),
        ({"within": "168"}, ["two"]),
        ({"thing": f"order.order:{order.pk}"}, ["two"]),
        ({"q": order.number.lower()}, ["two"]),
        ({"q": "192.0.2.1"}, ["one"]),
        ({"q": "hanako"}, ["one"]),
        ({"q": "' --"}, []),
        ({"person": "x", "within": "x"}, ["two", "one"]),
    ):
        assert shown(owner, **asked) == found, asked
    history = owner.get(f"/console/order/order/{order.pk}/history/")
    assert shown(owner, **dict([history.headers["Location"].split("?")[1].replace("%3A", ":").split("=")])) == ["two"]
    assert owner.get(f"{LOG}{old.pk}/change/").status_code == 200
    assert desk.member("operator", roles.OPERATOR).get(f"/console/order/order/{order.pk}/history/").status_code == 403


def test_an_order_that_is_looked_at_is_noted_once_an_hour_for_one_person(owner: Client, order: Order) -> None:
    page = desk.page(order)
    for _ in range(3):
        owner.get(page)
        owner.get("/console/order/order/")
    looked = Entry.objects.filter(act="looked").order_by("id")
    assert [(entry.who, entry.object_id, entry.orders) for entry in looked] == [
        ("owner", str(order.pk), [order.number]),
        ("owner", "", [order.number]),
    ]
    desk.member("reader", roles.READ_ONLY).get(page)
    assert looked.all().count() == 2, "whoever sees masked data was shown nobody's"
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE audit_entry SET at = at - interval '61 minutes'")
        cursor.execute("SET LOCAL session_replication_role = origin")
    owner.get(page)
    assert looked.all().count() == 3


def test_whose_data_were_shown_is_exported_by_time_and_person(owner: Client, order: Order) -> None:
    desk.member("hanako", roles.OPERATOR).get(desk.page(order))
    person = str(User.objects.get(username="hanako").pk)
    today = f"{timezone.localdate():%Y-%m-%d}"
    rows = table(owner.post(f"{LOG}touched/", {"since": today, "until": today, "person": person}))
    assert [row[1] for row in rows[1:]] == ["hanako"]
    assert rows[1][5:] == [order.number, "北野 花子", "hanako@example.com"]
    assert len(table(owner.post(f"{LOG}touched/", {"until": "2020-01-01"}))) == 1
    assert [entry.act for entry in Entry.objects.filter(who="owner")] == ["exported", "exported"]


def test_the_export_holds_no_formula_that_a_spreadsheet_would_run(owner: Client) -> None:
    for nasty in ("=1+1", "+1", "-1", "@SUM(A1)", "＝1", "plain"):
        write(who=nasty, act="changed", what=nasty)
    rows = table(owner.post(f"{LOG}export/", {}))
    cells = [cell for row in rows[1:] for cell in row]
    assert {"'=1+1", "'+1", "'-1", "'@SUM(A1)", "'＝1", "plain"} <= set(cells)
    assert not [cell for cell in cells if cell.startswith(csv_out.STARTS_A_FORMULA)]
    assert owner.get(f"{LOG}export/").status_code == 405
    assert desk.member("reader", roles.OPERATOR).post(f"{LOG}export/").status_code == 403


def test_a_form_that_is_saved_is_written_down_with_what_it_was(owner: Client, order: Order) -> None:
    product = order.lines.get().product
    page = desk.page(product)
    form = {field.html_name: field.value() for field in owner.get(page).context["adminform"].form}
    form = {name: value for name, value in form.items() if value is not None and value is not False}
    owner.post(page, {**form, "price": "4900"})
    [entry] = Entry.objects.filter(kind="catalog.product")
    assert (entry.who, entry.act, entry.change) == ("owner", "changed", [("price", 4800, 4900)])


# Masking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("name", "北野 花子", "北野 **"),
        ("name", "北野　花子", "北野 **"),
        ("name", "キタノ", "キ**"),
        ("kana", "キタノ ハナコ", "キタノ **"),
        ("mail", "hanako@example.com", "h***@example.com"),
        ("mail", "@", "***"),
        ("phone", "09012345678", "last 4 digits 5678"),
        ("phone", "5678", "****"),
        ("address", "北一条西2丁目", "***"),
        ("technical", "550 <hanako@example.com>: no such user", "550 <h***@example.com>: no such user"),
        ("name", "", ""),
    ],
)
def test_a_masked_value_is_known_again_and_told_to_nobody(kind: Any, value: str, expected: str) -> None:
    from django.utils import translation

    with translation.override("en"):
        assert masking.masked(kind, value) == expected


def test_who_needs_no_personal_data_finds_none_on_any_page(order: Order) -> None:
    order.executions.get().mishaps.update(cause="550 <hanako@example.com>")
    order.cases.update(technical="550 <hanako@example.com>")
    order.mails.update(text="北野 花子様 北一条西2丁目")
    secret = ("花子", "ハナコ", "hanako@", "09012345678", "北一条西")
    reader, sender = desk.member("reader", roles.READ_ONLY), desk.member("sender", roles.SHIPPING)
    for link in (*desk.lists().values(), *desk.details().values(), "/console/"):
        for client, hidden in ((reader, secret), (sender, ("hanako@",))):
            answer = client.get(link, follow=True)
            body = answer.content.decode() if answer.status_code == 200 else ""
            assert [word for word in hidden if word in body] == [], link
    assert "花子" in sender.get(desk.page(order.deliveries.get())).content.decode()
    for typed in ("花子", "hanako@example.com", "09012345678"):
        assert len(reader.get("/console/order/order/", {"q": typed}).context["cl"].result_list) == 0
    assert len(reader.get("/console/order/order/", {"q": order.number}).context["cl"].result_list) == 1
