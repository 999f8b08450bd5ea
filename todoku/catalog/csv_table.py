"""Read a CSV file as people and Excel write it, and name everything that is wrong with it at once.

Nothing here knows the database. A reader of a cell returns the value or raises ValueError with the reason.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

#: The largest file that is read (bytes); about 20,000 products.
GREATEST_FILE = 20 * 1024 * 1024
#: What a name for machines, such as a SKU, looks like: it goes into addresses and onto labels as it is.
CODE = r"[A-Za-z0-9][A-Za-z0-9._-]*"


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to refuse a file, with its column and its row as a spreadsheet numbers it (the header is 1)."""

    row: int | None
    column: str
    reason: str

    def __str__(self) -> str:
        where = [_("row %(row)s") % {"row": self.row}] if self.row is not None else []
        if self.column:
            where.append(_("column %(column)s") % {"column": self.column})
        return f"{', '.join(where)}: {self.reason}" if where else self.reason


class Refused(Exception):
    """A file was refused as a whole; nothing of it was imported. ``problems`` names all that is wrong with it."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__(f"{file}: {len(problems)} problem(s)")
        self.file = file
        self.problems = list(problems)

    def told(self) -> str:
        """The message for the person who gave the file, a line for each problem."""
        head = _("%(file)s was refused, nothing of it was imported:") % {"file": self.file}
        return "\n".join([head, *(f"  {problem}" for problem in self.problems)])


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a format: its name in the header, and how a cell of it is read."""

    name: str
    read: Callable[[str], Any]


@dataclass(slots=True)
class Row:
    """One row's values by column; a cell that could not be read is left out."""

    number: int
    values: dict[str, Any]


@dataclass(slots=True)
class Table:
    """What was read of a file: its encoding's name, its rows, and what is wrong with it."""

    file: str
    encoding: str
    rows: list[Row]
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, row: Row | int | None, column: str, reason: str) -> None:
        """Note one more reason to refuse the file."""
        self.problems.append(Problem(row.number if isinstance(row, Row) else row, column, reason))

    def refuse_doubles(self, *columns: str) -> None:
        """Note every row whose values in these columns were there before."""
        first: dict[tuple[Any, ...], int] = {}
        for row in self.rows:
            if all(name in row.values for name in columns):
                key = tuple(row.values[name] for name in columns)
                if key in first:
                    self.refuse(
                        row,
                        columns[0],
                        _("%(value)s is already in row %(row)s")
                        % {"value": " ".join(str(part) for part in key), "row": first[key]},
                    )
                first.setdefault(key, row.number)

    def checked(self) -> list[Row]:
        """Give the rows when nothing is wrong, and raise Refused with everything that is when something is."""
        if self.problems:
            # Sorted is stable: within a row the columns stay in the order in which they were looked at.
            raise Refused(self.file, sorted(self.problems, key=lambda problem: problem.row or 0))
        return self.rows


# The file -----------------------------------------------------------------------------------------------------


def decode(data: bytes) -> tuple[str, str]:
    """Turn a file's bytes into text, and name the encoding: UTF-8 (with or without BOM), or else Shift_JIS.

    Shift_JIS is read as CP932, the dialect that Excel in Japan writes. ValueError says why it is neither.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(_("The file is UTF-16; save it as “CSV UTF-8” instead."))
    try:
        return data.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    # A UTF-8 file with one broken byte can often be read as Shift_JIS, but as nonsense. Japanese in UTF-8 is three
    # bytes long, which Shift_JIS hits by chance hardly ever: where most such is good, UTF-8 was meant.
    guess = data.decode("utf-8", errors="replace")
    good = sum(character >= "\u0800" and character != "\ufffd" for character in guess)
    if good <= guess.count("\ufffd"):
        try:
            return data.decode("cp932"), "Shift_JIS (CP932)"
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
    raise ValueError(_("The file is neither UTF-8 nor Shift_JIS: line %(line)s cannot be read.") % {"line": line})


def read(file: str, data: bytes, columns: Sequence[Column]) -> Table:
    """Read a whole file into rows, noting everything that is wrong; blank rows are passed over.

    Raises Refused at once only where the rows cannot be told at all: the encoding, the quotes, the header.
    """
    if len(data) > GREATEST_FILE:
        limit = GREATEST_FILE // 1024 // 1024
        raise Refused(file, [Problem(None, "", _("The file is larger than %(limit)s MB.") % {"limit": limit})])
    try:
        text, encoding = decode(data)
    except ValueError as error:
        raise Refused(file, [Problem(None, "", str(error))]) from error
    table = Table(file, encoding, [])
    records: list[list[str]] = []
    try:
        for record in csv.reader(io.StringIO(text, newline=""), strict=True):
            records.append(record)
    except csv.Error as error:
        table.refuse(
            len(records) + 1,
            "",
            _("this is not CSV from here on (%(error)s); is a quotation mark left open?") % {"error": error},
        )
        table.checked()
    if not records:
        raise Refused(file, [Problem(None, "", _("The file is empty."))])

    header = [cell.strip() for cell in records[0]]
    while header and not header[-1]:  # a spreadsheet keeps emptied columns as commas
        header.pop()
    known = [column.name for column in columns]
    for name in known:
        if name not in header:
            table.refuse(1, name, _("this column is missing"))
    for name in dict.fromkeys(header):
        if name not in known:
            table.refuse(
                1, _shown(name), _("this column is unknown; known are %(known)s") % {"known": ", ".join(known)}
            )
        elif header.count(name) > 1:
            table.refuse(1, name, _("this column is there twice"))
    table.checked()

    readers = {column.name: column.read for column in columns}
    for number, record in enumerate(records[1:], start=2):
        cells = [cell.strip() for cell in record]
        if not any(cells):
            continue
        if any(cells[len(header) :]) or len(cells) < len(header):
            table.refuse(
                number,
                "",
                _("has %(found)s cells, the header has %(expected)s") % {"found": len(cells), "expected": len(header)},
            )
            continue
        row = Row(number, {})
        for name, cell in zip(header, cells, strict=False):
            try:
                if "\x00" in cell:
                    raise ValueError(_("has a NUL character in it"))
                row.values[name] = readers[name](cell)
            except ValueError as error:
                table.refuse(number, name, str(error))
        table.rows.append(row)
    if not table.rows and not table.problems:
        table.refuse(None, "", _("The file has a header and no rows."))
    return table


# The cells ----------------------------------------------------------------------------------------------------


def _shown(value: str) -> str:
    """Make a cell fit to be shown on a terminal: short, and without control characters."""
    clean = "".join(character if character.isprintable() else "�" for character in value)
    return clean if len(clean) <= 40 else clean[:39] + "…"


def text(most: int, *, required: bool = True, lines: bool = False) -> Callable[[str], str]:
    """A reader of text of so many characters at most; ``lines`` allows line breaks. HTML is text like any."""

    def read(cell: str) -> str:
        cell = cell.replace("\r\n", "\n").replace("\r", "\n")
        if required and not cell:
            raise ValueError(_("is empty"))
        if len(cell) > most:
            raise ValueError(_("is %(length)s characters long; at most %(most)s") % {"length": len(cell), "most": most})
        allowed = "\n\t" if lines else ""
        if any(unicodedata.category(character) == "Cc" and character not in allowed for character in cell):
            raise ValueError(_("has a line break or control character in it"))
        return cell

    return read


def code(most: int) -> Callable[[str], str]:
    """A reader of names for machines: ASCII letters, digits, full stop, hyphen, underscore."""
    plain = text(most)

    def read(cell: str) -> str:
        cell = plain(cell)
        if not re.fullmatch(CODE, cell):
            raise ValueError(
                _("%(value)s must be letters A to Z, digits, and . _ - only, half-width") % {"value": _shown(cell)}
            )
        return cell

    return read


def whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers between two bounds, in plain half-width digits."""

    def read(cell: str) -> int:
        if not cell:
            raise ValueError(_("is empty"))
        value = {"value": _shown(cell), "least": least, "most": most}
        if not cell.isascii():
            half = unicodedata.normalize("NFKC", cell)
            if half.isascii() and half.isdigit():
                raise ValueError(
                    _("%(value)s is in full-width digits; write it in half-width digits: %(half)s")
                    % {**value, "half": _shown(half)}
                )
        if not (cell.isascii() and cell.isdigit()):
            raise ValueError(
                _("%(value)s is not a whole number; write digits only: no sign, point, comma or currency") % value
            )
        plain = cell.lstrip("0") or "0"
        # Only so many digits are turned into a number: Python refuses thousands of them, in words of its own.
        if len(plain) > len(str(most)) or not least <= int(plain) <= most:
            raise ValueError(_("%(value)s is not between %(least)s and %(most)s") % value)
        return int(plain)

    return read


def one_of(values: Iterable[str]) -> Callable[[str], str]:
    """A reader of one out of a list of words."""
    known = list(values)

    def read(cell: str) -> str:
        if cell not in known:
            raise ValueError(
                _("%(value)s is unknown; it must be one of %(known)s")
                % {"value": _shown(cell) or "“”", "known": ", ".join(known)}
            )
        return cell

    return read


def digits(most: int) -> Callable[[str], str]:
    """A reader of one to so many digits that are not a number: leading zeros count."""

    def read(cell: str) -> str:
        if not (cell.isascii() and cell.isdigit() and len(cell) <= most):
            raise ValueError(
                _("%(value)s must be 1 to %(most)s half-width digits") % {"value": _shown(cell) or "“”", "most": most}
            )
        return cell

    return read


def day(cell: str) -> date:
    """Read a day as 2019-10-01, or as 2019/10/1, which is how Excel in Japan writes it back."""
    parts = re.fullmatch(r"([0-9]{4})(?:-([0-9]{2})-([0-9]{2})|/([0-9]{1,2})/([0-9]{1,2}))", cell)
    try:
        if parts is None:
            raise ValueError
        return date(int(parts[1]), int(parts[2] or parts[4]), int(parts[3] or parts[5]))
    except ValueError:
        raise ValueError(_("%(value)s is not a day like 2019-10-01") % {"value": _shown(cell) or "“”"}) from None
