"""The audit log in the console: found, exported harmlessly; and personal data for those whose work needs it."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from tests import shop
from tests.console import desk
from todoku.audit.models import Entry
from todoku.audit.write import write
from todoku.console import csv_out, labels, masking, roles
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


def test_what_is_masked_or_secret_cannot_be_guessed_through_a_lists_address(order: Order) -> None:
    reader, owner = desk.member("reader", roles.READ_ONLY), desk.member("owner", roles.OWNER)
    for page, column, value in (
        ("order/order", "name__startswith", "北野"),
        ("order/order", "email", "hanako@example.com"),
        ("order/order", "phone__endswith", "5678"),
        ("order/order", "shopper__startswith", str(order.shopper)[:1]),
        ("fulfilment/delivery", "street__contains", "北一条"),
        ("notify/mail", "recipient__startswith", "h"),
        ("notify/case", "technical__contains", "hanako"),
        ("payment/intent", "client_secret__startswith", desk.SECRET),
        ("payment/attempt", "confirmation_token__startswith", desk.TOKEN),
        ("cart/cart", "shopper__startswith", str(order.shopper)[:1]),
    ):
        assert reader.get(f"/console/{page}/", {column: value}).status_code == 400, column
    assert owner.get("/console/auth/user/", {"password__startswith": "!"}).status_code == 400
    recipient = order.mails.get().recipient
    for client, found in ((reader, 0), (owner, 1)):
        assert len(client.get("/console/notify/mail/", {"q": recipient}).context["cl"].result_list) == found
    # What a list offers goes on to work.
    for page, offered in (
        ("order/order", {"status__exact": "recorded", "day": "today", "from": "2020-01-01"}),
        ("payment/attempt", {"outcome__exact": "paid", "method": "card"}),
        ("fulfilment/delivery", {"state__exact": "to_ship", "exported": "no"}),
    ):
        assert reader.get(f"/console/{page}/", offered).status_code == 200, page
    assert owner.get("/console/auth/user/", {"groups__id__exact": "1", "is_active__exact": "1"}).status_code == 200


def test_nonsense_in_any_lists_filters_is_answered(owner: Client, order: Order) -> None:
    for model, admin_of in admin.site._registry.items():
        page = desk.lists()[model._meta.label]
        own = {field.name for field in model._meta.concrete_fields}
        named = {getattr(one, "parameter_name", f"{one}__exact") for one in admin_of.list_filter}
        for name in sorted(named | own):
            assert owner.get(page, {name: "\x00", "q": "\x00"}).status_code in (200, 302, 400), (page, name)


def test_nonsense_in_the_logs_filters_and_days_is_answered(owner: Client, order: Order) -> None:
    nonsense = [("act", "\x00"), ("thing", "a:\x00"), ("thing", "\x00:1"), ("person", "9" * 5000), ("within", "\x00")]
    for name, typed in nonsense:
        assert owner.get(LOG, {name: typed}).status_code == 200, name
    for bounds in ({"until": "9999-12-31"}, {"since": "0001-01-01"}):
        assert len(table(owner.post(LOG + "export/", bounds))) > 1


def test_an_export_speaks_the_operators_language_although_it_is_made_after_the_page(owner: Client) -> None:
    write(who="owner", act="adjusted", what="one")
    with override("en"):
        wanted = [labels.act(act) for act in ("adjusted", "exported")]
    assert wanted != [labels.act(act) for act in ("adjusted", "exported")]
    assert [row[6] for row in table(owner.post(LOG + "export/"))[1:]] == wanted


def test_a_case_that_shows_a_mail_address_is_written_down(owner: Client, order: Order) -> None:
    looked = Entry.objects.filter(act="looked", orders=[order.number], kind="notify.case")
    owner.get(desk.page(order.cases.get()))
    assert not looked.exists()
    order.cases.update(technical="550 <hanako@example.com>")
    assert "hanako@example.com" in owner.get(desk.page(order.cases.get())).content.decode()
    assert looked.count() == 1
    reader = desk.member("reader", roles.READ_ONLY)
    reader.get(desk.page(order.cases.get()))
    assert looked.count() == 1
