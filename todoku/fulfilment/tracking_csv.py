"""Read the tracking numbers out of what a carrier's program writes: B2クラウド, e飛伝, or any table with both columns.

Everything that is wrong is told with its row, and a row that is wrong does not stop the others.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from todoku.catalog.csv_table import Problem, Refused, decode
from todoku.fulfilment import rules
from todoku.fulfilment.models import Delivery, carrier_name

#: The largest file (bytes) and the most rows that are read at once.
GREATEST_FILE = 2 * 1024 * 1024
MOST_ROWS = 1_000
#: What the column with our own name for a parcel is called, and the one with the tracking number and whose it is then.
OURS = (
    "お客様管理番号",
    "お客様管理ナンバー",
    "お客様管理no",
    "お客様側管理番号",
    "管理番号",
    "注文番号",
    "受注番号",
    "order number",
    "order",
)
THEIRS: Mapping[str, str] = {
    "伝票番号": "yamato",
    "送り状番号": "yamato",
    "お問い合せ送り状no": "sagawa",
    "お問い合わせ送り状no": "sagawa",
    "お問合せ送り状no": "sagawa",
    "お問合せ送り状番号": "sagawa",
    "お問い合わせ番号": "japanpost",
    "お問い合せ番号": "japanpost",
    "お問合せ番号": "japanpost",
    "追跡番号": "",
    "tracking number": "",
}


@dataclass(frozen=True)
class Line:
    """One row: what it names, and the number it gives."""

    row: int
    name: str
    carrier: str
    number: str


@dataclass
class Matched:
    """One row that names a parcel which can be marked as shipped."""

    line: Line
    delivery: Delivery


@dataclass
class Preview:
    """What a file would do, before it does anything."""

    file: str
    encoding: str
    matched: list[Matched] = field(default_factory=list)
    #: Rows that say what is known already.
    known: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read(file: str, data: bytes, carrier: str = "") -> tuple[str, list[Line], list[Problem]]:
    """Read a file's rows: (encoding, lines, problems). ``carrier`` is the one that a person chose, if they did.

    Raises Refused where nothing can be told from the file at all.
    """
    if len(data) > GREATEST_FILE:
        limit = GREATEST_FILE // 1024 // 1024
        raise Refused(file, [Problem(None, "", _("The file is larger than %(limit)s MB.") % {"limit": limit})])
    try:
        text, encoding = decode(data)
    except ValueError as error:
        raise Refused(file, [Problem(None, "", str(error))]) from error
    try:
        records = list(csv.reader(io.StringIO(text.replace("\x00", ""), newline=""), _dialect(text)))
    except csv.Error as error:
        raise Refused(file, [Problem(None, "", _("This is not CSV (%(error)s).") % {"error": error})]) from error
    if not any(any(cell.strip() for cell in record) for record in records):
        raise Refused(file, [Problem(None, "", _("The file is empty."))])
    header = [_plain(cell) for cell in records[0]]
    ours = next((header.index(name) for name in OURS if name in header), None)
    theirs = next((name for name in THEIRS if name in header), None)
    if ours is None or theirs is None:
        raise Refused(file, [Problem(1, "", _missing(ours is None, theirs is None))])
    if len(records) - 1 > MOST_ROWS:
        raise Refused(
            file,
            [
                Problem(
                    None, "", _("The file has more than %(most)s rows; please divide it.") % {"most": f"{MOST_ROWS:,}"}
                )
            ],
        )
    whose = carrier or THEIRS[theirs]
    lines: list[Line] = []
    problems: list[Problem] = []
    for row, record in enumerate(records[1:], start=2):
        if not any(cell.strip() for cell in record):
            continue
        name, number = (record[at].strip() if at < len(record) else "" for at in (ours, header.index(theirs)))
        plain = rules.plain(number)
        found = whose or rules.guess(plain) or "other"
        reason = _wrong(name, plain, found)
        if reason:
            problems.append(Problem(row, "", reason))
        else:
            lines.append(Line(row, unicodedata.normalize("NFKC", name).upper(), found, plain))
    return encoding, lines, problems


def _dialect(text: str) -> type[csv.Dialect]:
    """Tabs where the first line has them and no comma: some programs call that CSV as well."""
    first = text.partition("\n")[0]
    return csv.excel_tab if "\t" in first and "," not in first else csv.excel


def _plain(cell: str) -> str:
    return unicodedata.normalize("NFKC", cell).strip().strip(".").casefold()


def _missing(ours: bool, theirs: bool) -> str:
    if ours and theirs:
        return _(
            "The first row names no columns that are known: there must be お客様管理番号 (or 注文番号) and 伝票番号, "
            "お問い合せ送り状No. or 追跡番号. Please write the file with its header."
        )
    if ours:
        return _("There is no column with the order number: お客様管理番号 or 注文番号.")
    return _("There is no column with the tracking number: 伝票番号, お問い合せ送り状No. or 追跡番号.")


def _wrong(name: str, number: str, carrier: str) -> str:
    if not name:
        return _("The row names no order.")
    if not number:
        return _("%(name)s has no tracking number yet.") % {"name": name[:40]}
    wrong = rules.trouble(carrier, number)
    if wrong == "check_digit":
        return _("%(number)s is not a number of %(carrier)s: its last digit does not fit the others.") % {
            "number": number[:40],
            "carrier": carrier_name(carrier),
        }
    if wrong:
        # A spreadsheet that took the number for a number wrote 1.23457E+11.
        return _("%(number)s is not a tracking number of %(carrier)s.") % {
            "number": number[:40],
            "carrier": carrier_name(carrier),
        }
    return ""


def preview(file: str, data: bytes, carrier: str = "") -> Preview:
    """Say what a file would do; nothing is done. Raises Refused where nothing can be told from it at all."""
    encoding, lines, problems = read(file, data, carrier)
    seen = Preview(file, encoding, problems=problems)
    parcels = _parcels(lines)
    taken = _taken(lines)
    by_parcel: dict[int, Line] = {}
    by_number: dict[str, Line] = {}
    for line in lines:
        found = _find(line, parcels)
        if isinstance(found, str):
            seen.problems.append(Problem(line.row, "", found))
            continue
        earlier = by_parcel.get(found.pk) or by_number.get(line.number)
        if earlier is not None:
            reason = _("%(name)s, %(number)s: row %(row)s has this parcel or this number already.")
            seen.problems.append(
                Problem(line.row, "", reason % {"name": line.name[:40], "number": line.number, "row": earlier.row})
            )
            continue
        by_parcel[found.pk] = by_number[line.number] = line
        _judge(seen, line, found, taken)
    seen.problems.sort(key=lambda problem: problem.row or 0)
    return seen


def _judge(seen: Preview, line: Line, parcel: Delivery, taken: Mapping[str, int]) -> None:
    said = {"name": line.name[:40], "number": line.number}
    if parcel.state == Delivery.State.CANCELED:
        seen.problems.append(Problem(line.row, "", _("%(name)s has been called off: do not send this parcel.") % said))
    elif parcel.state == Delivery.State.SHIPPED and parcel.tracking_number == line.number:
        seen.known.append(Problem(line.row, "", _("%(name)s is marked as shipped with this number already.") % said))
    elif parcel.state == Delivery.State.SHIPPED:
        reason = _("%(name)s is marked as shipped with %(other)s. If that is wrong, correct it on the parcel's page.")
        seen.problems.append(Problem(line.row, "", reason % {**said, "other": parcel.tracking_number}))
    elif taken.get(line.number, parcel.pk) != parcel.pk:
        seen.problems.append(Problem(line.row, "", _("%(number)s belongs to another parcel already.") % said))
    else:
        seen.matched.append(Matched(line, parcel))


#: How a parcel is named: the order's number, and its own; programs that take 16 signs lose the first hyphen.
_NAME = re.compile(r"(T[0-9]{6})-?([0-9A-Z]{6})(?:-([0-9]{1,3}))?")


def _named(name: str) -> tuple[str, int | None]:
    found = _NAME.fullmatch(name)
    if found is None:
        return name, None
    return f"{found[1]}-{found[2]}", int(found[3]) if found[3] else None


def _parcels(lines: Iterable[Line]) -> dict[str, list[Delivery]]:
    """All parcels of all orders that are named, by the order's number; one question."""
    found: dict[str, list[Delivery]] = {}
    numbers = {_named(line.name)[0] for line in lines}
    for parcel in (
        Delivery.objects.filter(order__number__in=numbers).select_related("order").order_by("order", "number")
    ):
        found.setdefault(parcel.order.number, []).append(parcel)
    return found


def _taken(lines: Sequence[Line]) -> dict[str, int]:
    """Which of the numbers a parcel has already."""
    numbers = {line.number for line in lines}
    return dict(Delivery.objects.filter(tracking_number__in=numbers).values_list("tracking_number", "pk"))


def _find(line: Line, parcels: Mapping[str, list[Delivery]]) -> Delivery | str:
    number, place = _named(line.name)
    of_order = parcels.get(number)
    if not of_order:
        return _("%(name)s: there is no such order with parcels.") % {"name": line.name[:40]}
    if place is not None:
        parcel = next((parcel for parcel in of_order if parcel.number == place), None)
        return parcel or _("%(name)s: the order has no such parcel.") % {"name": line.name[:40]}
    if len(of_order) == 1:
        return of_order[0]
    return _("%(name)s: the order has %(n)s parcels, and the row does not say which one (%(name)s-1 …).") % {
        "name": line.name[:40],
        "n": len(of_order),
    }
