"""Orders as a file for a spreadsheet or for accounting: CSV in UTF-8 or Shift_JIS, or Excel. Written row by row.

The file has what the list shows at that moment, with the same filters. Personal data are in it only for those who may
see them, and who exported what is written down.
"""

from __future__ import annotations

import copy
import csv
import io
import re
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from django import forms
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import Prefetch, QuerySet
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponseBase,
    HttpResponseNotAllowed,
    QueryDict,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from unfold.widgets import UnfoldAdminSelectWidget

from todoku.console import acts, csv_out, masking, order_page
from todoku.fulfilment.models import Delivery
from todoku.order.models import Order, OrderLine
from todoku.payment.models import Attempt, Outcome

#: So many orders are read at once.
CHUNK = 1_000
#: An Excel file is whole before it can be sent; for more there is CSV.
MOST_IN_EXCEL = 50_000
#: Signs that no Excel file can have.
_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
FORMATS = [
    ("utf8", gettext_lazy("CSV, UTF-8 (Excel, Google Sheets, accounting in the cloud)")),
    ("sjis", gettext_lazy("CSV, Shift_JIS (older Japanese programs)")),
    ("xlsx", gettext_lazy("Excel (xlsx)")),
]


class ExportForm(forms.Form):
    """In which form, and for which list: ``query`` is the list's own address."""

    format = forms.ChoiceField(
        label=gettext_lazy("File"), choices=FORMATS, initial="utf8", widget=UnfoldAdminSelectWidget
    )
    query = forms.CharField(required=False, max_length=2000, widget=forms.HiddenInput)


def may_export(request: HttpRequest) -> bool:
    """Say whether the operator may take orders out in a file."""
    return bool(request.user.has_perm("order.export_order"))


def view(request: HttpRequest, orders: Any) -> HttpResponseBase:
    """Say what the file would have in it; a POST writes it. ``orders`` is the list's own admin."""
    if not may_export(request):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponseNotAllowed(["GET", "POST"])
    form = (
        ExportForm(request.POST) if request.method == "POST" else ExportForm(initial={"query": request.GET.urlencode()})
    )
    query = (request.POST.get("query", "") if request.method == "POST" else request.GET.urlencode())[:2000]
    chosen = _chosen(request, orders, query)
    count = chosen.count() if chosen is not None else 0
    personal = masking.may_see(request, "name")
    if request.method == "POST" and form.is_valid() and chosen is not None and count:
        kind = form.cleaned_data["format"]
        if kind != "xlsx" or count <= MOST_IN_EXCEL:
            return _file(request, chosen, kind, count, query)
        form.add_error(
            "format",
            _("An Excel file takes at most %(most)s orders; please choose CSV.") % {"most": f"{MOST_IN_EXCEL:,}"},
        )
    listed = QueryDict(query)
    return TemplateResponse(
        request,
        "console/order_export.html",
        {
            **orders.admin_site.each_context(request),
            "title": _("Export orders"),
            "form": form,
            "count": count,
            "not_understood": chosen is None,
            "personal": personal,
            "list_query": query,
            "from": listed.get("from", ""),
            "to": listed.get("to", ""),
            "kept": [(key, value) for key, value in listed.items() if key not in ("from", "to", "day", "p", "o", "e")],
        },
        status=422 if request.method == "POST" else 200,
    )


def _chosen(request: HttpRequest, orders: Any, query: str) -> QuerySet[Order] | None:
    """The orders of a list's address; None when the address is none."""
    asked = copy.copy(request)
    asked.GET = QueryDict(query)
    asked.method = "GET"
    try:
        found: QuerySet[Order] = orders.get_changelist_instance(asked).get_queryset(asked)
    except (IncorrectLookupParameters, DisallowedModelAdminLookup):
        return None
    return found


def _file(request: HttpRequest, chosen: QuerySet[Order], kind: str, count: int, query: str) -> HttpResponseBase:
    personal = masking.may_see(request, "name")
    with transaction.atomic():
        acts.exported(
            request,
            _("%(n)s orders exported (%(format)s, %(personal)s; list: %(query)s)")
            % {
                "n": f"{count:,}",
                "format": kind,
                "personal": _("with personal data") if personal else _("without personal data"),
                "query": query[:200] or "–",
            },
            # Whose data left the house; without personal data nobody's did.
            chosen.values_list("number", flat=True) if personal else (),
        )
    table = csv_out.speaking(rows(chosen, personal=personal, mail=masking.may_see(request, "mail")))
    name = f"orders-{timezone.localtime():%Y%m%d-%H%M}"
    if kind == "xlsx":
        return FileResponse(
            _excel(table),
            as_attachment=True,
            filename=f"{name}.xlsx",
            content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        )
    charset = "utf-8" if kind == "utf8" else "cp932"
    return StreamingHttpResponse(
        _csv(table, charset),
        content_type=f"text/csv; charset={'utf-8' if kind == 'utf8' else 'Shift_JIS'}",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


# The table -----------------------------------------------------------------------------------------------------


def rows(chosen: QuerySet[Order], *, personal: bool, mail: bool) -> Iterator[list[Any]]:
    """The header, and then a row for each order, the oldest first."""
    rates = tax_rates()
    yield [str(name) for name in _header(rates, personal=personal, mail=mail)]
    for order in _in_chunks(chosen):
        yield _row(order, rates, personal=personal, mail=mail)


def tax_rates() -> list[int]:
    """Every consumption-tax rate that an order has, the highest first: each has two columns."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT (tax->>'percent')::int FROM order_order, jsonb_array_elements(taxes) AS tax")
        return sorted((percent for (percent,) in cursor.fetchall()), reverse=True)


def _in_chunks(chosen: QuerySet[Order]) -> Iterator[Order]:
    """The orders, so many at a time, each chunk with what a row needs in a fixed number of questions."""
    found = (
        chosen.order_by("pk")
        .select_related("intent")
        .prefetch_related(
            Prefetch("lines", OrderLine.objects.order_by("id")),
            Prefetch("deliveries", Delivery.objects.order_by("number")),
            Prefetch("payment_attempts", Attempt.objects.filter(outcome=Outcome.PAID), to_attr="paid_attempts"),
        )
    )
    last = 0
    while chunk := list(found.filter(pk__gt=last)[:CHUNK]):
        yield from chunk
        last = chunk[-1].pk


def _header(rates: list[int], *, personal: bool, mail: bool) -> list[Any]:
    return [
        _("Order number"),
        _("Placed (JST)"),
        _("Paid (JST)"),
        _("Status"),
        _("Shipment"),
        _("Paid with"),
        _("Goods"),
        _("Shipping"),
        _("Total"),
        *(
            name % {"percent": percent}
            for percent in rates
            for name in (_("at %(percent)s %%, tax included"), _("of which tax at %(percent)s %%"))
        ),
        _("Lines"),
        _("Temperature"),
        *([_("Name"), _("Kana"), _("Phone")] if personal else []),
        *([_("Mail")] if mail else []),
        *(
            [_("Postal code"), _("Prefecture"), _("City"), _("Street"), _("Building")]
            if personal
            else [_("Prefecture")]
        ),
        _("Wished day"),
        _("Shipped (JST)"),
        _("Tracking numbers"),
        _("Payment intent"),
        _("Stripe charge"),
    ]


def _row(order: Any, rates: list[int], *, personal: bool, mail: bool) -> list[Any]:
    taxes = {tax["percent"]: tax for tax in order.taxes}
    parcels = list(order.deliveries.all())
    lines = list(order.lines.all())
    counts = {state: sum(parcel.state == state for parcel in parcels) for state in Delivery.State.values}
    shipped = order_page.shipment(counts)
    attempt = order.paid_attempts[-1] if order.paid_attempts else None
    left = [parcel.shipped_at for parcel in parcels if parcel.shipped_at is not None]
    return [
        order.number,
        _moment(order.placed_at),
        _moment(order.paid_at),
        str(order.get_status_display()),
        shipped[1] if shipped else "",
        {"card": _("card"), "konbini": _("convenience store")}.get(attempt.method, attempt.method) if attempt else "",
        order.goods_total,
        order.shipping,
        order.total,
        *(taxes.get(percent, {}).get(key, 0) for percent in rates for key in ("base", "tax")),
        " / ".join(f"{line.sku} {line.name_ja} × {line.quantity}" for line in lines),
        " / ".join(dict.fromkeys(str(line.get_temperature_display()) for line in lines)),
        *([order.name, order.kana, order.phone] if personal else []),
        *([order.email] if mail else []),
        *(
            [
                f"{order.postal_code[:3]}-{order.postal_code[3:]}",
                order.prefecture,
                order.city,
                order.street,
                order.building,
            ]
            if personal
            else [order.prefecture]
        ),
        f"{order.wished_on:%Y-%m-%d}" if order.wished_on else "",
        _moment(max(left)) if left else "",
        " / ".join(parcel.tracking_number for parcel in parcels if parcel.tracking_number),
        order.intent.stripe_id or "",
        attempt.charge if attempt else "",
    ]


def _moment(moment: Any) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M") if moment else ""


# The files -----------------------------------------------------------------------------------------------------


def _csv(table: Iterable[list[Any]], charset: str) -> Iterator[bytes]:
    """The rows as CSV; the mark at the start tells Excel that it is UTF-8."""
    if charset == "utf-8":
        yield b"\xef\xbb\xbf"
    out = io.StringIO(newline="")
    sheet = csv.writer(out, lineterminator="\r\n")
    for number, row in enumerate(table, start=1):
        sheet.writerow([csv_out.harmless(cell) for cell in row])
        if number % 200 == 0:
            yield _encoded(out, charset)
    yield _encoded(out, charset)


def _encoded(out: io.StringIO, charset: str) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        # A sign that Shift_JIS does not have: 〓, as printers write it.
        return "".join(one if one.encode(charset, "ignore") else "〓" for one in text).encode(charset)


def _excel(table: Iterable[list[Any]]) -> Any:
    """The rows as an Excel file, on the disk: however many there are, the memory holds one at a time."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(_("Orders"))
    sheet.freeze_panes = "B2"
    for row in table:
        sheet.append([_cell(sheet, cell) for cell in row])
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the answer closes it
    book.save(file)
    file.seek(0)
    return file


def _cell(sheet: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    clean = _ILLEGAL.sub("", value)[:32_000]
    if not clean.startswith("="):
        return clean
    # openpyxl would take it for a formula.
    cell = WriteOnlyCell(sheet, value=clean)
    cell.data_type = "s"
    return cell
