"""The shipping table on one page: region by size for each temperature, and what a parcel would cost."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminSelectWidget

from todoku.catalog.models import Product, Temperature
from todoku.console import acts
from todoku.console.owner.pages import may_choose, may_look, page
from todoku.console.templatetags.console import yen
from todoku.console.typed import TextField, WholeField
from todoku.money import GREATEST_CHARGE
from todoku.quote import rules, shipping_table
from todoku.quote.csv_import import GREATEST_FEE
from todoku.quote.messages import REGIONS
from todoku.quote.models import RemoteIsland
from todoku.quote.shipping_table import Place, Table
from todoku.shop import choose
from todoku.shop.models import Choice, Topic


def _name(place: Place) -> str:
    return "fee-" + "-".join(map(str, place))


class ShippingForm(forms.Form):
    """Every place of the table; an empty one is not sent to."""

    print = forms.CharField(widget=forms.HiddenInput, max_length=32)
    free_above = WholeField(
        label=gettext_lazy("Shipping is free from (yen of goods)"),
        min_value=0,
        max_value=int(GREATEST_CHARGE),
        required=False,
        help_text=gettext_lazy("Empty: never. Surcharges for remote islands are added even then."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for place in shipping_table.places():
            self.fields[_name(place)] = WholeField(
                min_value=0,
                max_value=GREATEST_FEE,
                required=False,
                widget=forms.TextInput(
                    attrs={
                        "class": "tk-fee",
                        "inputmode": "numeric",
                        "autocomplete": "off",
                        "aria-label": _label(place),
                    }
                ),
            )

    @classmethod
    def of(cls, table: Table) -> ShippingForm:
        """The form filled with the table as it is."""
        filled = {_name(place): fee for place, fee in table.fees.items()}
        return cls(initial={**filled, "free_above": table.free_above, "print": table.print})

    def table(self) -> Table:
        """The table as it was filled in; ask only when the form is valid."""
        filled = {place: self.cleaned_data[_name(place)] for place in shipping_table.places()}
        return Table({place: fee for place, fee in filled.items() if fee is not None}, self.cleaned_data["free_above"])

    def grids(self) -> list[dict[str, Any]]:
        """The fields as they are shown: a grid for each temperature."""
        return [
            {
                "name": Temperature(temperature).label,
                "sizes": rules.SIZES,
                "rows": [
                    {
                        "name": REGIONS[region],
                        "prefectures": _prefectures(region),
                        "fields": [self[_name((region, temperature, size))] for size in rules.SIZES],
                    }
                    for region in rules.REGIONS
                ],
            }
            for temperature in rules.TEMPERATURES
        ]

    def wrong(self) -> list[str]:
        """What is wrong, named by its place."""
        by_name = {_name(place): _label(place) for place in shipping_table.places()}
        return [
            f"{by_name[name]}: {error}" for name, errors in self.errors.items() if name in by_name for error in errors
        ]


def _label(place: Place) -> str:
    region, temperature, size = place
    return f"{REGIONS[region]} · {Temperature(temperature).label} · {size}"


def _prefectures(region: str) -> str:
    japanese = (get_language() or "ja").startswith("ja")
    names = [p.name_ja if japanese else p.name_en for p in rules.PREFECTURES if p.region == region]
    return ("・" if japanese else ", ").join(names) if len(names) > 1 else ""


class TryForm(forms.Form):
    """Where to, and what."""

    prefecture = forms.ChoiceField(label=gettext_lazy("Prefecture"), widget=UnfoldAdminSelectWidget)
    postal_code = TextField(
        label=gettext_lazy("Postal code"), max_length=8, required=False, help_text=gettext_lazy("For remote islands.")
    )
    product = forms.ModelChoiceField(
        label=gettext_lazy("Product"), queryset=Product.objects.none(), empty_label=None, widget=UnfoldAdminSelectWidget
    )
    quantity = WholeField(label=gettext_lazy("Quantity"), min_value=1, max_value=999, initial=1)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        japanese = (get_language() or "ja").startswith("ja")
        prefecture, product = self.fields["prefecture"], self.fields["product"]
        assert isinstance(prefecture, forms.ChoiceField) and isinstance(product, forms.ModelChoiceField)
        prefecture.choices = [(p.name_ja, p.name_ja if japanese else p.name_en) for p in rules.PREFECTURES]
        product.queryset = Product.objects.filter(on_sale=True).order_by("position", "id")
        product.label_from_instance = lambda one: f"{one.name} · {yen(one.price)}"  # type: ignore[method-assign, assignment]


def table(request: HttpRequest) -> HttpResponse:
    """The table, and what a parcel would cost by it. Only a POST changes it."""
    if not may_look(request):
        raise PermissionDenied
    if request.method != "POST":
        return _shown(request, ShippingForm.of(shipping_table.read()))
    if not may_choose(request):
        raise PermissionDenied
    form = ShippingForm(request.POST)
    if not form.is_valid():
        return _shown(request, form, 422)
    with transaction.atomic():
        choose.alone(Topic.SHIPPING)
        before, after = shipping_table.read(lock=True), form.table()
        if before.print != form.cleaned_data["print"] and before.print != after.print:
            overtaken = True
        else:
            overtaken = False
            _write(request, before, after)
    if overtaken:
        messages.warning(
            request, _("Nothing was changed: somebody else has changed the table meanwhile. Please look again.")
        )
        again = ShippingForm({**request.POST.dict(), "print": before.print})
        return _shown(request, again, 409)
    return HttpResponseRedirect(reverse("admin:shop_shipping"))


def _write(request: HttpRequest, before: Table, after: Table) -> None:
    was, will_be = shipping_table.different(before, after)
    if not was:
        messages.info(request, _("Nothing was different, so nothing was changed."))
        return
    shipping_table.write(before, after)
    made = choose.write(Topic.SHIPPING, was, will_be, who=request.user.get_username())
    acts.write_down(
        request,
        made,
        _("Shop settings changed: %(topic)s") % {"topic": Topic.SHIPPING.label},
        before=was,
        after=will_be,
    )
    messages.success(request, _("Saved. It holds from now on."))


def _shown(request: HttpRequest, form: ShippingForm, status: int = 200) -> HttpResponse:
    trying = TryForm(request.GET) if "product" in request.GET else TryForm()
    if not may_choose(request):
        for field in form.fields.values():
            field.disabled = True
    return page(
        request,
        "console/owner/shipping.html",
        Topic.SHIPPING.label,
        status,
        form=form,
        wrong=form.wrong()[:10] if form.is_bound else [],
        trying=trying,
        tried=_tried(trying) if trying.is_bound and trying.is_valid() else None,
        islands_link=reverse("admin:quote_remoteisland_changelist"),
        islands=RemoteIsland.objects.count(),
        changes=Choice.objects.filter(topic=Topic.SHIPPING).order_by("-id")[:5],
    )


def _tried(form: TryForm) -> dict[str, Any]:
    """What sending it would cost, by the table as it is."""
    product, quantity = form.cleaned_data["product"], form.cleaned_data["quantity"]
    holds = shipping_table.read()
    line = rules.PricedLine(
        product_id=product.pk, sku=product.sku, name_ja=product.name_ja, name_en=product.name_en,
        unit_price=product.price, quantity=quantity, percent=0, tax_class=product.tax_class,
        temperature=product.temperature, parcel_size=product.parcel_size,
    )  # fmt: skip
    region = rules.region_of(form.cleaned_data["prefecture"])
    islands = dict(RemoteIsland.objects.values_list("postal_prefix", "fee"))
    code = "".join(sign for sign in form.cleaned_data["postal_code"] if sign.isdigit())
    try:
        sent = rules.shipping(
            rules.parcels([line]),
            region,
            code.translate(str.maketrans("０１２３４５６７８９", "0123456789")),
            line.amount,
            {(where, size, temperature): fee for (where, temperature, size), fee in holds.fees.items()},
            islands,
            holds.free_above,
        )
    except rules.NotServed as error:
        return {"refused": _label((error.region, error.temperature, error.size))}
    return {
        "goods": yen(line.amount),
        "parcels": [
            {
                "name": f"{Temperature(parcel.temperature).label} · {parcel.size}",
                "fee": yen(parcel.fee),
                "remote": yen(parcel.remote) if parcel.remote else "",
            }
            for parcel in sent.parcels
        ],
        "total": yen(sent.total),
        "free": holds.free_above is not None and line.amount >= holds.free_above,
    }
