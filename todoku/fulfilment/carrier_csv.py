"""Parcels as files for the carriers' own programs (docs/carrier-csv.md), and what in them needs a person's eye.

The files are Shift_JIS (CP932) with CRLF, as those programs want them. A character that Shift_JIS does not have becomes
〓 and is told by name, and so is a text that is longer than its field: it is written whole, and the carrier's program
asks. Nothing here knows the database.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from todoku.fulfilment.carrier_layouts import SAGAWA, YAMATO

#: Signs of other alphabets' making that Shift_JIS writes in its own way, and one kanji that many names have.
_SAME = str.maketrans(
    {"−": "－", "〜": "～", "—": "―", "‖": "∥", "¢": "￠", "£": "￡", "¬": "￢", "–": "－", "𠮷": "吉"}
)
#: What stands for a character that Shift_JIS does not have; printers have used it for a century.
UNKNOWN = "〓"
#: Text that begins so may be run by a spreadsheet that opens the file before the carrier's program does.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
#: What the two carriers call a cool parcel.
_COOL = {"ambient": ("0", "001", ""), "frozen": ("1", "003", "002"), "chilled": ("2", "002", "001")}


@dataclass(frozen=True)
class Sender:
    """Who sends, as it stands on the slip, and under which number the carrier knows them."""

    name: str
    postal_code: str
    address: str
    phone: str
    customer_code: str = ""
    #: Yamato's number of the agreed tariff; 01 unless agreed otherwise.
    tariff: str = "01"


@dataclass(frozen=True)
class Parcel:
    """One parcel as a slip needs it. ``name_in_shop`` is what it is called here: the order's number and its own."""

    name_in_shop: str
    temperature: str
    name: str
    kana: str
    phone: str
    postal_code: str
    prefecture: str
    city: str
    street: str
    building: str
    goods: tuple[str, ...]
    wished_on: date | None = None


@dataclass
class Written:
    """A file, and what a person should look at before it is used: (parcel, what)."""

    data: bytes = b""
    rows: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)


def write(carrier: str, parcels: Iterable[Parcel], sender: Sender, today: date) -> Written:
    """Write the file of one carrier ("yamato" or "sagawa")."""
    header, row = {"yamato": (YAMATO, _yamato), "sagawa": (SAGAWA, _sagawa)}[carrier]
    out = io.StringIO(newline="")
    sheet = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    sheet.writerow(header)
    written = Written()
    for parcel in parcels:
        cells = row(_Noting(parcel.name_in_shop, written.notes), parcel, sender, today)
        sheet.writerow([cells.get(name, "") for name in header])
        written.rows += 1
    written.data = out.getvalue().encode("cp932")
    return written


@dataclass
class _Noting:
    """Makes texts fit for the file, and notes what did not fit."""

    parcel: str
    notes: list[tuple[str, str]]

    def text(self, what: Any, said: str, most: int = 0) -> str:
        """The text with signs that Shift_JIS has; ``most`` is the field's length in half-width signs."""
        # Control characters, and signs that no font has, are spaces; several spaces are one.
        plain = " ".join("".join(" " if unicodedata.category(one)[0] == "C" else one for one in said).split())
        plain = unicodedata.normalize("NFC", plain).translate(_SAME)
        missing = sorted({one for one in plain if not _fits(one)})
        if missing:
            plain = "".join(one if _fits(one) else UNKNOWN for one in plain)
            self.note(
                _("%(what)s: Shift_JIS has no %(signs)s, so it says %(instead)s. Please correct it on the slip.")
                % {"what": what, "signs": " ".join(missing), "instead": UNKNOWN}
            )
        if plain.startswith(_FORMULA):
            # A spreadsheet must not run it; on the slip it is only a space.
            plain = f"　{plain}"
            self.note(_("%(what)s begins with a sign of a formula; a space stands before it.") % {"what": what})
        if most and width(plain) > most:
            self.note(
                _("%(what)s is longer than the carrier's field (%(found)s of %(most)s full-width signs).")
                % {"what": what, "found": (width(plain) + 1) // 2, "most": most // 2}
            )
        return plain

    def note(self, what: str) -> None:
        self.notes.append((self.parcel, what))


def _fits(one: str) -> bool:
    try:
        one.encode("cp932")
    except UnicodeEncodeError:
        return False
    return True


def width(text: str) -> int:
    """How long a text is in half-width signs, as the carriers count."""
    return sum(1 if len(one.encode("cp932", "replace")) == 1 and one.isprintable() else 2 for one in text)


def split(text: str, most: int, lines: int) -> list[str]:
    """Cut a text into lines of so many half-width signs; the last one takes whatever is left.

    A line that would begin with a sign of a formula begins with a space: each line is a cell of its own.
    """
    cut = [""]
    for one in text:
        if len(cut) < lines and width(cut[-1] + one) > most:
            cut.append("　" if one in _FORMULA else "")
        cut[-1] += one
    return cut + [""] * (lines - len(cut))


Row = Callable[[_Noting, Parcel, Sender, date], Mapping[str, str]]


def _yamato(noting: _Noting, parcel: Parcel, sender: Sender, today: date) -> Mapping[str, str]:
    goods = [noting.text(_("Goods"), name, 50) for name in _two(parcel.goods)]
    return {
        "お客様管理番号": parcel.name_in_shop,
        "送り状種類": "0",
        "クール区分": _COOL[parcel.temperature][0],
        "出荷予定日": f"{today:%Y/%m/%d}",
        "お届け予定日": f"{parcel.wished_on:%Y/%m/%d}" if parcel.wished_on else "",
        "お届け先電話番号": parcel.phone,
        "お届け先郵便番号": parcel.postal_code,
        "お届け先住所": noting.text(_("Address"), f"{parcel.prefecture}{parcel.city}{parcel.street}", 64),
        "お届け先アパートマンション名": noting.text(_("Building"), parcel.building, 32),
        "お届け先名": noting.text(_("Name"), parcel.name, 32),
        "敬称": "様",
        "ご依頼主電話番号": sender.phone,
        "ご依頼主郵便番号": sender.postal_code,
        "ご依頼主住所": noting.text(_("Sender's address"), sender.address, 64),
        "ご依頼主名": noting.text(_("Sender"), sender.name, 32),
        "品名１": goods[0],
        "品名２": goods[1],
        "荷扱い１": "" if parcel.temperature == "ambient" else "ナマモノ",
        "記事": parcel.name_in_shop,
        "請求先顧客コード": sender.customer_code,
        "運賃管理番号": sender.tariff,
    }


def _sagawa(noting: _Noting, parcel: Parcel, sender: Sender, today: date) -> Mapping[str, str]:
    address = noting.text(_("Address"), f"{parcel.prefecture}{parcel.city}{parcel.street}")
    building = noting.text(_("Building"), parcel.building, 32)
    if building and width(address) <= 64:
        lines = [*split(address, 32, 2), building]
    else:
        lines = split(f"{address} {building}".strip(), 32, 3)
    if width(lines[2]) > 32:
        noting.note(_("Address: it does not fit into three lines of 16 full-width signs."))
    name = split(noting.text(_("Name"), parcel.name, 64), 32, 2)
    senders = split(noting.text(_("Sender's address"), sender.address, 64), 32, 2)
    cool, seal = _COOL[parcel.temperature][1:]
    seals = [code for code in (seal, "005" if parcel.wished_on else "") if code]
    cells = {
        "お届け先電話番号": parcel.phone,
        "お届け先郵便番号": f"{parcel.postal_code[:3]}-{parcel.postal_code[3:]}",
        "お届け先住所１": lines[0],
        "お届け先住所２": lines[1],
        "お届け先住所３": lines[2],
        "お届け先名称１": name[0],
        "お届け先名称２": name[1],
        # Sixteen signs at most: an order's tenth parcel goes without its hyphens.
        "お客様管理番号": parcel.name_in_shop
        if len(parcel.name_in_shop) <= 16
        else parcel.name_in_shop.replace("-", "", 1),
        "お客様コード": sender.customer_code,
        "ご依頼主電話番号": sender.phone,
        "ご依頼主郵便番号": f"{sender.postal_code[:3]}-{sender.postal_code[3:]}" if sender.postal_code else "",
        "ご依頼主住所１": senders[0],
        "ご依頼主住所２": senders[1],
        "ご依頼主名称１": noting.text(_("Sender"), sender.name, 32),
        "荷姿": "001",
        "出荷個数": "1",
        "スピード指定": "000",
        "クール便指定": cool,
        "配達日": f"{parcel.wished_on:%Y%m%d}" if parcel.wished_on else "",
        "元着区分": "1",
        "出荷日": f"{today:%Y%m%d}",
    }
    for number, goods in zip("１２３４５", parcel.goods, strict=False):
        # Five lines of sixteen full-width signs: what does not fit is on the shop's own slip.
        cells[f"品名{number}"] = split(noting.text(_("Goods"), goods), 32, 2)[0]
    for number, code in zip("１２３", seals, strict=False):
        cells[f"指定シール{number}"] = code
    return cells


def _two(goods: tuple[str, ...]) -> tuple[str, str]:
    """The goods in the two lines that there are: the first one, and what else."""
    if len(goods) <= 2:
        return (*goods, "", "")[:2]  # type: ignore[return-value]  # padded to two
    return goods[0], f"ほか{len(goods) - 1}点"
