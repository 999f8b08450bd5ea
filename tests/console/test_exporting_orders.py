"""Orders leave in a file as the list shows them: with tax by rate, harmless to spreadsheets, and nothing secret."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import load_workbook

from tests import shop
from tests.console import desk
from todoku.catalog.models import Product
from todoku.console import order_export

pytestmark = pytest.mark.django_db
EXPORT = reverse("admin:order_order_export")


@pytest.fixture
def crabs(db: None) -> Product:
    """A furnished shop that sells one thing."""
    shop.furnish()
    return shop.sell()


@pytest.fixture
def owner(db: None) -> Client:
    """A browser in which the shop's owner has logged in."""
    browser = desk.operator("owner", superuser=True)
    browser.cookies["todoku_language"] = "ja"
    return browser


def table(answer: Any, charset: str = "utf-8-sig") -> list[dict[str, str]]:
    """The file as a spreadsheet reads it."""
    assert answer.status_code == 200, answer.status_code
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode(charset), newline="")))


def test_a_file_has_what_the_list_has_with_tax_by_rate(owner: Client, crabs: Product) -> None:
    wanted = desk.stuck_order(crabs, status="complete", name="=HYPERLINK(1)", phone="0312345678", street="ほげ😀1")
    desk.stuck_order(crabs, status="canceled")
    query = "status__exact=complete"
    page = owner.get(f"{EXPORT}?{query}")
    assert page.context["count"] == 1

    [row] = table(owner.post(EXPORT, {"format": "utf8", "query": query}))

    assert (row["ご注文番号"], row["合計"]) == (wanted.number, "5400")
    assert [cell for name, cell in row.items() if "%" in name] == ["600", "54", "4800", "355"]
    assert "'=HYPERLINK(1)" in row.values() and "0312345678" in row.values() and "060-0001" in row.values()
    [entry] = desk.acts()
    assert entry.act == "exported" and query in entry.what

    [sjis] = table(owner.post(EXPORT, {"format": "sjis", "query": query}), "cp932")
    assert "ほげ〓1" in sjis.values()


def test_excel_keeps_numbers_as_numbers_and_runs_no_formula(owner: Client, crabs: Product) -> None:
    desk.stuck_order(crabs, name="=1+1", kana="\x07ベル", phone="0312345678")
    answer = owner.post(EXPORT, {"format": "xlsx", "query": ""})
    sheet = load_workbook(io.BytesIO(b"".join(answer.streaming_content))).active
    assert sheet is not None
    cells = [cell for row in sheet.iter_rows(min_row=2) for cell in row]
    assert not any(cell.data_type == "f" for cell in cells)
    values = [cell.value for cell in cells]
    assert 5400 in values and "0312345678" in values and "=1+1" in values and "ベル" in values


def test_who_may_not_see_personal_data_gets_none_of_it(crabs: Product) -> None:
    desk.stuck_order(crabs)
    clerk = desk.operator("clerk", "order.view_order", "order.export_order")
    body = b"".join(clerk.post(EXPORT, {"format": "utf8", "query": ""}).streaming_content).decode()
    assert "北海道" in body
    for secret in (*(str(shop.HANAKO[key]) for key in ("name", "kana", "email", "phone", "street")), desk.SECRET):
        assert secret not in body


def test_bad_asks_are_answered_and_write_nothing(owner: Client, crabs: Product) -> None:
    desk.stuck_order(crabs)
    for asked in (
        {"format": "pdf", "query": ""}, {"format": "utf8", "query": "status__exact=nothing"},
        {"format": "utf8", "query": "total__gte=abc"}, {"format": "utf8", "query": "nosuch__field__x=1"},
        {"format": "utf8", "query": "q=" + "%00" * 30}, {"format": "utf8", "query": "x" * 5000}, {},
    ):  # fmt: skip
        assert owner.post(EXPORT, asked).status_code in (200, 302, 400, 422), asked
    assert owner.get(f"{EXPORT}?total__gte=abc").status_code == 200
    assert owner.put(EXPORT).status_code == 405


def test_many_orders_are_read_in_chunks_with_a_fixed_number_of_questions(
    owner: Client, crabs: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_export, "CHUNK", 2)
    monkeypatch.setattr(order_export, "MOST_IN_EXCEL", 4)
    for _ in range(5):
        desk.stuck_order(crabs)
    with CaptureQueriesContext(connection) as asked:
        rows = table(owner.post(EXPORT, {"format": "utf8", "query": ""}))
    assert len(rows) == 5 and [row["ご注文番号"] for row in rows] == sorted(row["ご注文番号"] for row in rows)
    chunks = [query for query in asked if 'FROM "order_orderline"' in query["sql"]]
    assert len(chunks) == 3
    refused = owner.post(EXPORT, {"format": "xlsx", "query": ""})
    assert refused.status_code == 422 and "CSV" in refused.content.decode()
