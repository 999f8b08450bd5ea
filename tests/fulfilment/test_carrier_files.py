"""The carriers' files: the columns of their programs, in Shift_JIS, and what does not fit is told by name."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest

from todoku.fulfilment.carrier_csv import Parcel, Sender, Written, width, write
from todoku.fulfilment.carrier_layouts import SAGAWA, YAMATO

SENDER = Sender("北の便り商店", "0000000", "北海道ほたて郡ゆきなみ町港1-2-3", "0120-000-000", "012345678901")
HANAKO = Parcel(
    name_in_shop="T261128-7KQ2XA-1", temperature="chilled", name="北野 花子", kana="キタノ ハナコ", phone="09012345678",
    postal_code="0600001", prefecture="北海道", city="札幌市中央区", street="北一条西2丁目", building="",
    goods=("毛がに",), wished_on=date(2026, 12, 24),
)  # fmt: skip
TODAY = date(2026, 11, 28)


def rows(written: Written) -> list[dict[str, str]]:
    """The file as the carrier's program reads it."""
    return list(csv.DictReader(io.StringIO(written.data.decode("cp932"), newline="")))


def filled(row: dict[str, str]) -> dict[str, str]:
    return {name: cell for name, cell in row.items() if cell}


def test_yamatos_file_is_as_b2_cloud_wants_it() -> None:
    written = write("yamato", [HANAKO], SENDER, TODAY)
    assert written.notes == []
    assert written.data.startswith('"お客様管理番号","送り状種類","クール区分"'.encode("cp932"))
    assert written.data.count(b"\r\n") == 2 and written.data.endswith(b"\r\n")
    [row] = rows(written)
    assert tuple(row) == YAMATO and len(row) == 95
    assert filled(row) == {
        "お客様管理番号": "T261128-7KQ2XA-1", "送り状種類": "0", "クール区分": "2", "出荷予定日": "2026/11/28",
        "お届け予定日": "2026/12/24", "お届け先電話番号": "09012345678", "お届け先郵便番号": "0600001",
        "お届け先住所": "北海道札幌市中央区北一条西2丁目", "お届け先名": "北野 花子", "敬称": "様",
        "ご依頼主電話番号": "0120-000-000", "ご依頼主郵便番号": "0000000",
        "ご依頼主住所": "北海道ほたて郡ゆきなみ町港1-2-3", "ご依頼主名": "北の便り商店", "品名１": "毛がに",
        "荷扱い１": "ナマモノ", "記事": "T261128-7KQ2XA-1", "請求先顧客コード": "012345678901", "運賃管理番号": "01",
    }  # fmt: skip


def test_sagawas_file_is_as_e_hiden_wants_it() -> None:
    written = write("sagawa", [HANAKO], SENDER, TODAY)
    assert written.notes == []
    [row] = rows(written)
    assert tuple(row) == SAGAWA and len(row) == 74
    assert filled(row) == {
        "お届け先電話番号": "09012345678", "お届け先郵便番号": "060-0001",
        "お届け先住所１": "北海道札幌市中央区北一条西2丁目",
        "お届け先名称１": "北野 花子", "お客様管理番号": "T261128-7KQ2XA-1", "お客様コード": "012345678901",
        "ご依頼主電話番号": "0120-000-000", "ご依頼主郵便番号": "000-0000",
        "ご依頼主住所１": "北海道ほたて郡ゆきなみ町港1-2-3", "ご依頼主名称１": "北の便り商店", "荷姿": "001",
        "品名１": "毛がに", "出荷個数": "1", "スピード指定": "000", "クール便指定": "002", "配達日": "20261224",
        "指定シール１": "001", "指定シール２": "005", "元着区分": "1", "出荷日": "20261128",
    }  # fmt: skip


@pytest.mark.parametrize(("temperature", "yamato", "sagawa"), [("ambient", "0", "001"), ("frozen", "1", "003")])
def test_each_temperature_has_its_code(temperature: str, yamato: str, sagawa: str) -> None:
    from dataclasses import replace

    parcel = replace(HANAKO, temperature=temperature)
    assert rows(write("yamato", [parcel], SENDER, TODAY))[0]["クール区分"] == yamato
    assert rows(write("sagawa", [parcel], SENDER, TODAY))[0]["クール便指定"] == sagawa


@pytest.mark.parametrize("carrier", ["yamato", "sagawa"])
def test_whatever_stands_in_an_address_makes_a_file_and_is_told_by_name(carrier: str) -> None:
    from dataclasses import replace

    hostile = replace(
        HANAKO,
        name="=cmd|' /C calc'!A0",
        street="北一条〜2−3—4 😀\x00\r\n\"',;",
        building="𠮷野ビル🏠" + "あ" * 200,
        goods=("+1", "毛がに", "いくら", "ほたて", "たらば", "帆立"),
    )
    written = write(carrier, [hostile, HANAKO], SENDER, TODAY)
    first, second = rows(written)
    assert second["お届け先電話番号"] == HANAKO.phone
    told = " ".join(what for parcel, what in written.notes)
    assert {parcel for parcel, _what in written.notes} == {HANAKO.name_in_shop}
    assert "😀" in told and "🏠" in told
    address = "".join(cell for name, cell in first.items() if "お届け先住所" in name or "アパート" in name)
    assert "北一条～2－3―4 〓 \"',;" in address and "吉野ビル〓" in address
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in first.values())
    assert not any(sign in cell for cell in first.values() for sign in "\r\n\x00")


def test_no_line_of_a_text_that_is_cut_begins_with_a_formula() -> None:
    from dataclasses import replace

    before = "あ" * (16 - len("北海道札幌市中央区"))
    for sign in "=+@－":
        cut = replace(HANAKO, street=f"{before}{sign}1", name=f"{'あ' * 16}{sign}1")
        [row] = rows(write("sagawa", [cut], SENDER, TODAY))
        assert row["お届け先住所２"] == row["お届け先名称２"] == f"　{sign}1"


def test_a_text_is_as_long_as_it_is_on_a_slip() -> None:
    assert width("北野 花子") == 9
    assert width("ｷﾀﾉ") == 3
    assert width("Ａ1") == 3
