"""CSV as people and Excel write it."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todoku.catalog.csv_table import Column, Refused, code, day, decode, digits, one_of, read, text, whole

COLUMNS = [Column("sku", code(10)), Column("name", text(20)), Column("price", whole(1, 1000))]


def problems(data: str | bytes) -> list[str]:
    with pytest.raises(Refused) as refused:
        read("f.csv", data.encode() if isinstance(data, str) else data, COLUMNS).checked()
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("encoding", "told"), [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("cp932", "Shift_JIS (CP932)")]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_is_read_as_excel_in_japan_writes_it(encoding: str, told: str, newline: str) -> None:
    # ① and 髙 are in CP932 and not in plain Shift_JIS.
    data = newline.join(["sku,name,price", 'A-1,"髙級①〜毛がに",480', ""]).replace("〜", "～").encode(encoding)
    table = read("f.csv", data, COLUMNS)
    assert table.encoding == told
    assert table.checked()[0].values == {"sku": "A-1", "name": "髙級①～毛がに", "price": 480}


def test_a_utf8_file_with_a_broken_byte_is_not_read_as_nonsense() -> None:
    data = "sku,name,price\nA,毛がにと帆立の詰め合わせ,480\n".encode()
    broken = data.replace("帆".encode(), "帆".encode()[:1])
    with pytest.raises(ValueError, match="line 2"):
        decode(broken)


@given(st.text("あいうえおかきくけこさしすせそアイウエオカキクケコ北海道産毛蟹帆立鮭昆布約詰合冷凍ー～①髙", min_size=4))
def test_japanese_in_shift_jis_is_never_taken_for_broken_utf8(name: str) -> None:
    # Found by trying: two-byte pairs of Shift_JIS that look like one letter of UTF-8 (é) were held against the file.
    assert decode(f"sku,name\nA,{name}\n".encode("cp932")) == (f"sku,name\nA,{name}\n", "Shift_JIS (CP932)")


def test_utf16_is_refused_with_what_to_do() -> None:
    assert problems("sku,name,price\n".encode("utf-16")) == ["The file is UTF-16; save it as “CSV UTF-8” instead."]


@given(st.binary(max_size=300))
def test_no_bytes_at_all_are_more_than_refused(data: bytes) -> None:
    try:
        read("f.csv", data, COLUMNS).checked()
    except Refused as refused:
        refused.told()


@given(st.lists(st.text(max_size=12), min_size=3, max_size=3))
def test_no_cells_at_all_are_more_than_refused(cells: list[str]) -> None:
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    try:
        rows = read("f.csv", f"sku,name,price\n{quoted}\n".encode("utf-8", "surrogatepass"), COLUMNS).checked()
    except Refused:
        return
    assert all(1 <= row.values["price"] <= 1000 for row in rows)


def test_quoted_newlines_do_not_shift_the_row_numbers() -> None:
    columns = [COLUMNS[0], Column("name", text(20, lines=True)), COLUMNS[2]]
    table = read("f.csv", b'sku,name,price\r\nA,"one\r\ntwo",5\r\n\r\nB,x,0\r\n', columns)
    assert table.rows[0].values["name"] == "one\ntwo"
    assert [(problem.row, problem.column) for problem in table.problems] == [(4, "price")]


def test_missing_unknown_and_double_columns_are_named_all_at_once() -> None:
    told = problems("sku,nmae,nmae,sku\nA,b,c,d\n")
    assert [line.split(":")[0] for line in told] == [
        "row 1, column name",
        "row 1, column price",
        "row 1, column sku",
        "row 1, column nmae",
    ]


def test_all_problems_of_a_file_are_told_together_in_the_order_of_the_rows() -> None:
    told = problems("sku,name,price\nA,,0\nB,x\n,y,1,2\nÄ,y,5\n")
    assert told == [
        "row 2, column name: is empty",
        "row 2, column price: 0 is not between 1 and 1000",
        "row 3: has 2 cells, the header has 3",
        "row 4: has 4 cells, the header has 3",
        "row 5, column sku: Ä must be letters A to Z, digits, and . _ - only, half-width",
    ]


def test_emptied_columns_and_blank_rows_of_a_spreadsheet_are_passed_over() -> None:
    table = read("f.csv", b"sku,name,price,,\nA,x,5,,\n,,,,\n   \nB,y,6,,\n", COLUMNS)
    assert [row.number for row in table.checked()] == [2, 5]


@pytest.mark.parametrize(("data", "reason"), [("", "empty"), ("sku,name,price\n", "no rows"), ("\n", "missing")])
def test_an_empty_file_is_refused(data: str, reason: str) -> None:
    assert reason in problems(data)[0]


def test_an_open_quotation_mark_is_told_with_its_row() -> None:
    told = problems('sku,name,price\nA,x,5\nB,"y,6\nC,z,7\n')
    assert told[0].startswith("row 3: this is not CSV from here on")
    assert "quotation mark" in told[0]


def test_nul_characters_are_refused_in_any_column() -> None:
    assert problems("sku,name,price\nA,x\x00y,5\n") == ["row 2, column name: has a NUL character in it"]
    assert problems("sku,na\x00me,price\nA,x,5\n")[0].startswith("row 1, column name")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("４８０", "full-width digits; write it in half-width digits: 480"),
        ("-5", "not a whole number"),
        ("4.5", "not a whole number"),
        ("480.0", "not a whole number"),
        ("1,000", "not a whole number"),
        ("¥480", "not a whole number"),
        ("480円", "not a whole number"),
        ("1e3", "not a whole number"),
        ("٤", "not a whole number"),
        ("0", "not between 1 and 1000"),
        ("1001", "not between 1 and 1000"),
        ("9" * 5000, "not between 1 and 1000"),
        ("", "is empty"),
    ],
)
def test_anything_but_plain_digits_is_no_number(cell: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        whole(1, 1000)(cell)


def test_leading_zeros_do_no_harm_to_a_number_and_are_kept_in_a_code() -> None:
    assert whole(1, 1000)("0" * 5000 + "7") == 7
    assert digits(7)("0971") == "0971"
    for wrong in ("", "097-1", "０９７", "12345678"):
        with pytest.raises(ValueError, match="half-width digits"):
            digits(7)(wrong)


def test_text_has_a_length_and_no_control_characters_and_html_is_text() -> None:
    assert text(50)("<b>蟹</b> & 🦀") == "<b>蟹</b> & 🦀"
    with pytest.raises(ValueError, match="21 characters long; at most 20"):
        text(20)("あ" * 21)
    for wrong in ("a\nb", "a\x1bb"):
        with pytest.raises(ValueError, match="control character"):
            text(20)(wrong)
    with pytest.raises(ValueError, match="control character"):
        text(20, lines=True)("a\x07b")


def test_an_unknown_word_is_told_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="冷凍 is unknown; it must be one of ambient, frozen"):
        one_of(["ambient", "frozen"])("冷凍")


def test_a_day_is_read_as_iso_and_as_excel_writes_it_back() -> None:
    assert day("2019-10-01") == day("2019/10/1") == day("2019/10/01") == date(2019, 10, 1)
    for wrong in ("", "2019-02-30", "2019-1-1", "1/10/2019", "令和元年10月1日", "２０１９-10-01"):
        with pytest.raises(ValueError, match="not a day"):
            day(wrong)
