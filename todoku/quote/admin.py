"""Tax rates and shipping in the operator's console. What is changed here holds from the next look at a cart on."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.validators import MaxValueValidator, RegexValidator
from django.db.models import Field
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from todoku.console.editable import EditableAdmin
from todoku.quote import messages, rules
from todoku.quote.csv_import import GREATEST_FEE
from todoku.quote.models import RemoteIsland, ShippingFee, ShippingRule, TaxRate


class _FeeAdmin(EditableAdmin):
    """Whatever costs a shopper yen is asked for within bounds, as the import does."""

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Refuse a fee that can only be a slip of the finger."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "fee":
            field.validators.append(MaxValueValidator(GREATEST_FEE))
        return field


@admin.register(TaxRate)
class TaxRateAdmin(EditableAdmin):
    """Tax rates, each from a day on; the law changes them, so old ones stay."""

    list_display = ("tax_class", "percent", "starts_on")
    list_filter = ("tax_class",)
    ordering = ("tax_class", "-starts_on")


@admin.register(ShippingFee)
class ShippingFeeAdmin(_FeeAdmin):
    """What one parcel costs: region x size x temperature."""

    list_display = ("region_name", "temperature", "size", "fee")
    list_display_links = ("region_name",)
    list_editable = ("fee",)
    list_filter = ("region", "temperature", "size")
    list_per_page = 54

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the regions and sizes that prices are worked out with, and no others."""
        choices: list[tuple[Any, Any]]
        if db_field.name == "region":
            choices = list(messages.REGIONS.items())
        elif db_field.name == "size":
            choices = [(size, str(size)) for size in rules.SIZES]
        else:
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        return forms.TypedChoiceField(
            coerce=int if db_field.name == "size" else str,
            choices=choices,
            label=db_field.verbose_name,
            widget=UnfoldAdminSelectWidget,
        )

    @admin.display(description=_("region"), ordering="region")
    def region_name(self, fee: ShippingFee) -> str:
        """Name the region in the reader's language."""
        return str(messages.REGIONS.get(fee.region, fee.region))


@admin.register(RemoteIsland)
class RemoteIslandAdmin(_FeeAdmin):
    """Surcharges by the beginning of the postal code; the longest that fits holds."""

    list_display = ("postal_prefix", "name_ja", "name_en", "fee")
    list_editable = ("fee",)
    search_fields = ("postal_prefix", "name_ja", "name_en")

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Take digits only: a hyphen would fit no postal code as it is kept."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "postal_prefix":
            field.validators.append(RegexValidator(r"\A[0-9]{1,7}\Z", _("1 to 7 half-width digits.")))
        return field


@admin.register(ShippingRule)
class ShippingRuleAdmin(EditableAdmin):
    """The one row of shipping policy."""

    list_display = ("__str__", "free_above")
    fields = ("free_above",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one row, so it can be made only where there is none."""
        return super().has_add_permission(request) and not ShippingRule.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: ShippingRule | None = None) -> bool:
        """Empty the threshold instead: shipping is then never free."""
        return False
