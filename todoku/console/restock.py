"""Restock files: uploaded, shown as what they would do, and applied once, by a person."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.catalog.csv_table import Refused
from todoku.catalog.models import Product
from todoku.console import acts, labels
from todoku.console.adjust import in_words
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, address, display, link
from todoku.console.templatetags.console import jst
from todoku.stock import restock
from todoku.stock.count import NotEnough
from todoku.stock.models import Level, Restock

#: So many of a file's problems are named; whoever has mended these sees the others.
MOST_PROBLEMS = 50


class UploadForm(forms.Form):
    """The file."""

    file = forms.FileField(
        label=gettext_lazy("CSV file"),
        max_length=255,
        allow_empty_file=True,
        help_text=gettext_lazy("Columns: sku, delta, reason. UTF-8 or Shift_JIS, as Excel writes it; 1 MB at most."),
        error_messages={"required": gettext_lazy("Please choose a file.")},
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv", "class": "tk-file"}),
    )


class RestockAdmin(ReadOnlyAdmin):
    """Restock files, the newest first."""

    detail_template = "console/restock.html"
    list_before_template = "console/restocks.html"
    list_display = ("file", "status", "pieces", "read", "who", "applied", "applied_by")
    search_fields = ("file",)

    def get_urls(self) -> list[URLPattern]:
        """The upload and the act on a file."""
        return [
            path("upload/", self.admin_site.admin_view(self.upload_view), name="stock_restock_upload"),
            path("<int:pk>/apply/", self.admin_site.admin_view(self.apply_view), name="stock_restock_apply"),
            *super().get_urls(),
        ]

    @display(description=gettext_lazy("state"), label=labels.COLOURS)
    def status(self, one: Restock) -> tuple[str, str]:
        """Applied, or only read."""
        return ("yes", _("applied")) if one.applied_at else ("paid", _("not applied"))

    @display(description=gettext_lazy("rows"))
    def pieces(self, one: Restock) -> str:
        """How many products it names."""
        return f"{len(one.rows):,}"

    @display(description=gettext_lazy("read"), ordering="id")
    def read(self, one: Restock) -> str:
        """When it was uploaded."""
        return jst(one.read_at)

    @display(description=gettext_lazy("applied"))
    def applied(self, one: Restock) -> str:
        """When it was applied."""
        return jst(one.applied_at)

    def page(self, request: HttpRequest, thing: Restock) -> Page:
        """What the file does, or did, to each product."""
        products = Product.objects.in_bulk([row["product"] for row in thing.rows])
        on_hand = dict(Level.objects.filter(product__in=products).values_list("product_id", "on_hand"))
        done = thing.applied_at is not None
        rows = []
        for row in thing.rows:
            there = on_hand.get(row["product"], 0)
            rows.append(
                (
                    Fact(_("SKU"), row["sku"], link(request, "stock", "level", row["product"]), mono=True),
                    Fact(_("Product"), products[row["product"]].name),
                    Fact(_("Difference"), f"{row['delta']:+,}", number=True),
                    *(
                        ()
                        if done
                        else (
                            Fact(_("On hand now"), f"{there:,}", number=True),
                            Fact(_("Afterwards"), f"{there + row['delta']:,}", number=True),
                        )
                    ),
                    Fact(_("Why"), in_words(row["reason"], row["why"])),
                )
            )
        came, went = (sum(row["delta"] for row in thing.rows if (row["delta"] > 0) is up) for up in (True, False))
        return Page(
            cards=[
                Card(
                    _("The file"),
                    [
                        Fact(_("File"), f"{thing.file} ({thing.encoding})"),
                        Fact(_("Rows"), f"{len(rows):,}", number=True),
                        Fact(_("Comes in"), f"{came:+,}", number=True),
                        Fact(_("Goes out"), f"{went:+,}", number=True),
                        Fact(_("Uploaded"), f"{jst(thing.read_at)} {thing.who}"),
                        Fact(_("Applied"), f"{jst(thing.applied_at)} {thing.applied_by}".strip()),
                    ],
                )
            ],
            tables=[Table(_("What it did") if done else _("What it would do"), rows)],
            more={
                "restock": thing,
                "twin": restock.twin(thing) if not done else None,
                "may": _may(request),
                "apply_link": address(thing, "apply"),
            },
        )

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a file, read it, and show what it would do. Nothing moves yet."""
        if not _may(request):
            raise PermissionDenied
        problems: list[Any] = []
        form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            name = "".join(sign if sign.isprintable() else "�" for sign in file.name)
            try:
                # One byte more than is allowed is enough to see that it is too much.
                read = restock.look(name, file.read(restock.GREATEST_FILE + 1), who=request.user.get_username())
            except Refused as refused:
                problems = refused.problems
            else:
                return HttpResponseRedirect(address(read))
        return TemplateResponse(
            request,
            "console/upload.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Restock from a file"),
                "list_title": self.opts.verbose_name_plural,
                "list_link": reverse("admin:stock_restock_changelist"),
                "form": form,
                "problems": problems[:MOST_PROBLEMS],
                "more_problems": len(problems) - MOST_PROBLEMS,
            },
            status=422 if problems or form.errors else 200,
        )

    def apply_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Apply a file, once. A GET shows it; only a POST acts."""
        if not _may(request):
            raise PermissionDenied
        one = self.find(request, str(pk))
        if one is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseRedirect(address(one))
        try:
            with transaction.atomic():
                done = restock.apply(one.pk, who=request.user.get_username(), again=request.POST.get("again") == "yes")
                acts.write_down(
                    request,
                    done,
                    _("Restock file applied: %(rows)s products") % {"rows": f"{len(done.rows):,}"},
                    act="adjusted",
                    after={row["sku"]: row["delta"] for row in done.rows},
                )
        except restock.AppliedAlready as already:
            before = already.before
            messages.warning(
                request,
                _("Nothing was changed: this file was applied at %(when)s by %(who)s.")
                % {"when": jst(before.applied_at), "who": before.applied_by},
            )
        except NotEnough as error:
            skus = {row["product"]: row["sku"] for row in one.rows}
            messages.error(
                request,
                _("Nothing was changed: of %(skus)s there are fewer on hand than the file takes away.")
                % {"skus": ", ".join(skus[product] for product in list(error.short)[:10])},
            )
        else:
            messages.success(request, _("The file was applied. The stock is up to date."))
        return HttpResponseRedirect(address(one))


def _may(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("stock.change_level"))
