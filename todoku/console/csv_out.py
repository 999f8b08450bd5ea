"""CSV files for spreadsheets: sent row by row, and no cell that a spreadsheet would take for a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from django.http import StreamingHttpResponse
from django.utils.translation import get_language, override

#: A cell that begins with one of these may be run by the program that opens the file (OWASP, CSV injection).
STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


class _Echo:
    def write(self, row: str) -> str:
        return row


def harmless(cell: Any) -> Any:
    """The cell as text that no spreadsheet runs; numbers stay numbers."""
    if isinstance(cell, str) and cell.startswith(STARTS_A_FORMULA):
        return f"'{cell}"
    return cell


def lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """The rows as CSV, with the mark by which Excel knows that it is UTF-8."""
    writer = csv.writer(_Echo())
    yield "\ufeff"
    for row in rows:
        yield writer.writerow([harmless(cell) for cell in row])


def speaking(rows: Iterable[Any]) -> Iterator[Any]:
    """The rows in the operator's language: they are made after the request, when nobody's language is set."""
    language, table = get_language() or "ja", iter(rows)

    def spoken() -> Iterator[Any]:
        while True:
            with override(language):
                row = next(table, None)
            if row is None:
                return
            yield row

    return spoken()


def answer(rows: Iterable[Iterable[Any]], name: str) -> StreamingHttpResponse:
    """Answer with a file of this name; it may be as long as it likes."""
    return StreamingHttpResponse(
        lines(speaking(rows)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store, private"},
    )
