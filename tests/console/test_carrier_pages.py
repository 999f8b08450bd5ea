"""Parcels out to the carriers' programs and tracking numbers back: seen first, done once, told by row."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import shop
from tests.console import desk
from todoku.catalog.models import Product
from todoku.fulfilment import tracking_csv
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Mail
from todoku.order.models import Order

pytestmark = pytest.mark.django_db
EXPORT, TRACKING, APPLY = (
    reverse(f"admin:fulfilment_delivery_{name}") for name in ("export", "tracking", "tracking_apply")
)
GOOD = [f"{n}{n % 7}" for n in range(20000000000, 20000000010)]


@pytest.fixture
def crabs(db: None) -> Product:
    """A furnished shop that sells one thing."""
    shop.furnish()
    return shop.sell()


@pytest.fixture
def sender(db: None) -> Client:
    """A browser in which somebody has logged in who packs and ships."""
    return desk.operator("sender", "fulfilment.view_delivery", "fulfilment.change_delivery", "order.view_parcel_data")


def paid(crabs: Product, **facts: Any) -> Order:
    """A complete order with one parcel."""
    return desk.stuck_order(crabs, status="complete", **facts)


def upload(browser: Client, data: bytes | str, carrier: str = "") -> Any:
    """Choose a file; answers with the preview."""
    content = data if isinstance(data, bytes) else data.encode("cp932")
    return browser.post(TRACKING, {"file": SimpleUploadedFile("出荷.csv", content), "carrier": carrier})


def b2(*rows: tuple[str, str]) -> str:
    """What B2クラウド writes after printing."""
    return "お客様管理番号,送り状種類,クール区分,伝票番号,出荷予定日\r\n" + "".join(
        f'"{name}","0","2","{number}","2026/11/28"\r\n' for name, number in rows
    )


def reasons(answer: Any) -> list[str]:
    return [str(problem) for problem in answer.context["seen"].problems]


def test_parcels_go_into_one_file_once_and_it_is_known_who_has_it(sender: Client, crabs: Product) -> None:
    first, second = paid(crabs), paid(crabs, name="髙橋 😀", street="=1+1")
    shown = sender.get(EXPORT, {"carrier": "yamato"})
    assert shown.status_code == 200 and "😀" in shown.content.decode()
    assert not Delivery.objects.exclude(exported_at=None).exists()
    press = {"carrier": "yamato", "ids": shown.context["ids"], "temperature": ""}

    answer = sender.post(EXPORT, press)

    rows = list(csv.DictReader(io.StringIO(answer.content.decode("cp932"))))
    assert [row["お客様管理番号"] for row in rows] == [f"{first.number}-1", f"{second.number}-1"]
    assert rows[1]["お届け先名"] == "髙橋 〓"
    assert "attachment" in answer.headers["Content-Disposition"] and "no-store" in answer.headers["Cache-Control"]
    parcel = first.deliveries.get()
    assert (parcel.state, parcel.exported_by, parcel.exported_to) == ("to_ship", "sender", "yamato")
    [entry] = desk.acts()
    assert (entry.act, entry.orders) == ("exported", [first.number, second.number])

    assert sender.post(EXPORT, press).status_code == 409, "the second press writes nothing"
    assert len(sender.post(EXPORT, {**press, "carrier": "sagawa", "again": "on"}).content.splitlines()) == 3
    assert sender.get(EXPORT, {"temperature": "frozen", "carrier": "x", "ids": "1,;'"}).status_code == 200


def test_a_files_round_trip_ships_every_parcel_and_mails_every_customer_once(sender: Client, crabs: Product) -> None:
    orders = [paid(crabs) for _ in range(3)]
    ids = sender.get(EXPORT, {"carrier": "yamato"}).context["ids"]
    out = list(csv.reader(io.StringIO(sender.post(EXPORT, {"carrier": "yamato", "ids": ids}).content.decode("cp932"))))
    at = out[0].index("伝票番号")
    for row, number in zip(out[1:], GOOD, strict=False):
        row[at] = number  # as the carrier's program fills it in
    back = io.StringIO()
    csv.writer(back).writerows(out)

    seen = upload(sender, back.getvalue())

    assert seen.status_code == 200 and len(seen.context["seen"].matched) == 3
    assert seen.context["seen"].encoding.startswith("Shift_JIS")
    assert not Delivery.objects.filter(state="shipped").exists(), "a preview does nothing"
    for _ in range(2):
        sender.post(APPLY, {"token": seen.context["token"]})
    assert Delivery.objects.filter(state="shipped", carrier="yamato").count() == 3
    assert Mail.objects.filter(kind="shipped-1").count() == 3 == Mail.objects.filter(kind__startswith="shipped").count()
    again = upload(sender, back.getvalue())
    assert (len(again.context["seen"].known), again.context["token"]) == (3, "")
    assert orders[0].deliveries.get().tracking_number == GOOD[0]


def test_every_wrong_row_is_told_with_its_number_and_the_right_ones_go_through(sender: Client, crabs: Product) -> None:
    good, twice, gone, shipped, several, late = (paid(crabs) for _ in range(6))
    gone.deliveries.update(state="canceled")
    shipped.deliveries.update(state="shipped", carrier="yamato", tracking_number=GOOD[9])
    details = {name: getattr(several, name) for name in shop.HANAKO}
    Delivery.objects.create(order=several, number=2, temperature="frozen", size=60, contents=[], **details)
    answer = upload(
        sender,
        b2(
            (good.number, GOOD[0]),  # 2
            (f"{twice.number}-1", GOOD[1]),
            (f"{twice.number.replace('-', '')}-1", GOOD[2]),  # 4: the same parcel
            (gone.number, GOOD[3]),
            (shipped.number, GOOD[4]),  # 6: with another number
            (several.number, GOOD[5]),
            (f"{several.number}-3", GOOD[5]),  # 8
            ("T000000-XXXXXX-1", GOOD[5]),
            (late.number, GOOD[0]),  # 10: the number of row 2
            (late.number, GOOD[9]),
            (late.number, "200000000009"),  # 12
            (late.number, "2.00E+11"),
            (late.number, ""),
            ("", GOOD[6]),
            ("<script>alert(1)</script>", GOOD[6]),
        ),
    )
    assert [match.line.row for match in answer.context["seen"].matched] == [2, 3]
    assert [problem.row for problem in answer.context["seen"].problems] == list(range(4, 17))
    # Whoever is told that it is there already is told where.
    assert "3行目" in reasons(answer)[0] and "2行目" in reasons(answer)[6]
    body = answer.content.decode()
    assert "<script>alert" not in body and "取り消されています" in body and GOOD[9] in body
    sender.post(APPLY, {"token": answer.context["token"]})
    assert set(Delivery.objects.filter(state="shipped").values_list("order_id", flat=True)) == {
        good.pk, twice.pk, shipped.pk,
    }  # fmt: skip


def test_sagawas_file_and_a_plain_table_are_read_as_well(sender: Client, crabs: Product) -> None:
    first, second, third = (paid(crabs) for _ in range(3))
    sagawa = (
        f"お問い合せ送り状No.,出荷日,お客様管理番号\r\n{GOOD[0][:4]}-{GOOD[0][4:8]}-{GOOD[0][8:]},,{first.number}-1\r\n"
    )
    plain = f"﻿Order number,Tracking number\n{second.number},EE123456785JP\n{third.number},{GOOD[1]}\n"
    seen = upload(sender, sagawa).context["seen"]
    assert [(match.line.carrier, match.line.number) for match in seen.matched] == [("sagawa", GOOD[0])]
    seen = upload(sender, plain.encode()).context["seen"]
    assert [match.line.carrier for match in seen.matched] == ["japanpost", "other"]
    chosen = upload(sender, plain.encode(), "japanpost").context["seen"]
    assert [match.line.carrier for match in chosen.matched] == ["japanpost", "japanpost"]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xef\xbb\xbf", b"\r\n\r\n", b"\x00" * 50, b"\xff\xfeT\x00", "お客様管理番号".encode(),
        b"\x80\x81\x82\xff",
        "注文番号,数\r\nT1,1\r\n".encode("cp932"), "伝票番号\r\n1\r\n".encode("cp932"), b'"a',
        b"PK\x03\x04" + bytes(range(256)),
        "注文番号,伝票番号\r\n".encode("cp932") + b"T,1\r\n" * (tracking_csv.MOST_ROWS + 1),
        b"x" * (tracking_csv.GREATEST_FILE + 1),
        "注文番号,伝票番号\r\n".encode("cp932") + b'"' + b"x" * 200_000,
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_with_a_reason(sender: Client, crabs: Product, data: bytes) -> None:
    paid(crabs)
    answer = upload(sender, data)
    assert answer.status_code in (200, 422)
    if answer.status_code == 422:
        assert answer.context["refused"].problems
    else:
        assert not answer.context["seen"].matched
    assert sender.post(TRACKING, {}).status_code == 422


def test_a_preview_is_for_the_one_who_saw_it_and_cannot_be_made_up(sender: Client, crabs: Product) -> None:
    token = upload(sender, b2((paid(crabs).number, GOOD[0]))).context["token"]
    other = desk.operator("other", "fulfilment.change_delivery")
    assert other.post(APPLY, {"token": token}).status_code == 403
    for made_up in ("", "x", token[:-2] + "xx", token + ":"):
        assert sender.post(APPLY, {"token": made_up}).status_code == 302
    assert sender.get(APPLY).status_code == 405
    assert not Delivery.objects.filter(state="shipped").exists()


def test_a_preview_asks_as_much_for_many_rows_as_for_few(sender: Client, crabs: Product) -> None:
    counts = []
    orders: list[Order] = []
    upload(sender, b2())
    for _ in range(2):
        orders += [paid(crabs) for _ in range(1 + 4 * len(counts))]
        with CaptureQueriesContext(connection) as asked:
            upload(sender, b2(*((order.number, number) for order, number in zip(orders, GOOD, strict=False))))
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_slips_and_lists_are_for_paper_and_for_those_who_pack(sender: Client, crabs: Product) -> None:
    order = paid(crabs)
    paid(crabs, language="en")
    slips, picking = (reverse(f"admin:fulfilment_delivery_{name}") for name in ("slips", "picking"))
    ids = ",".join(str(pk) for pk in Delivery.objects.values_list("pk", flat=True))
    plain = sender.get(slips, {"ids": ids}).content.decode()
    assert plain.count('class="sheet"') == 2 and "納品書" in plain and "Delivery slip" in plain
    assert order.street in plain and "4,800" not in plain
    assert sender.get(slips, {"ids": ids, "prices": "1"}).status_code == 403
    owner = desk.operator("owner", superuser=True)
    priced = owner.get(slips, {"ids": ids, "prices": "1"}).content.decode()
    assert "4,800" in priced and "※" in priced
    summed = sender.get(picking).content.decode()
    assert "KANI" in summed and ">2<" in summed
    assert sender.get(picking, {"ids": "0,x,-1," + "9" * 30, "temperature": "hot"}).status_code == 200
    looker = desk.operator("looker", "fulfilment.view_delivery", "order.view_order")
    assert looker.get(slips, {"ids": ids}).status_code == 403
    many = ",".join(str(n) for n in range(1, 300))
    assert sender.get(slips, {"ids": many}).context["too_many"]
    chosen = {"action": "print_slips", "_selected_action": ids.split(",")}
    go = sender.post(reverse("admin:fulfilment_delivery_changelist"), chosen)
    assert go.status_code == 302 and go.headers["Location"].startswith(slips)


def test_nobody_else_comes_near_the_files(crabs: Product) -> None:
    paid(crabs)
    looker = desk.operator("looker", "fulfilment.view_delivery", "order.view_order", "order.view_personal_data")
    for link in (EXPORT, TRACKING, reverse("admin:order_order_export")):
        assert looker.get(link).status_code == 403
        assert looker.post(link, {}).status_code == 403
    assert looker.post(APPLY, {}).status_code == 403
